"""Annotation of a study: where people work, what they are asked, and what a page may show of a feature before its label is in.

What is shown is gathered here, from the feature's codes and its text alone: no map, no parcel, and nobody's label can get in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from saebrain.annotation.database import Database
from saebrain.annotation.queues import Desk, plan, planned
from saebrain.annotation.sampling import strata, wanted
from saebrain.annotation.schema import Queue
from saebrain.errors import MissingStepError
from saebrain.labels import agreed, by_machine
from saebrain.pipeline.feature_examples import Interval, by_interval, near_misses
from saebrain.pipeline.selection import study_codebook
from saebrain.store import FeatureStore, read_table
from saebrain.study import Study

BEFORE, AFTER = 24, 12
"""Tokens of context."""
STRONGEST = 12


@dataclass(frozen=True)
class Evidence:
    """What an annotator sees of a feature.

    strongest, levels, controls : windows of text as `FeatureStore.windows` gives them: the strongest contexts; examples of
        every interval of activation (``intervals``); contexts in which it is silent though a similar feature is not, None
        if the neighbours of features are not computed.
    largest : greatest activation.
    active, density : tokens at which it is active, and their share.
    promoted, suppressed : tokens and effects on their logits.
    """

    feature: int
    largest: float
    active: int
    density: float
    strongest: pd.DataFrame
    intervals: list[Interval]
    levels: pd.DataFrame
    controls: pd.DataFrame | None
    promoted: tuple[list[str], list[float]]
    suppressed: tuple[list[str], list[float]]


def desk(study: Study, database: Database, queue: Queue | None = None) -> Desk:
    """Where people work on a study's layer by its codebook."""
    return Desk(database, study.layer, study_codebook(study).version, study.config.annotation, queue)


def plan_queues(study: Study, at: Desk) -> int:
    """Plan the queues as study.toml says; what is there stays. Returns how many slots are new.

    Features at fewer words than machine annotators ask for are left out.

    Raises
    ------
    MissingStepError
        If the labels step has not run.
    """
    labels = read_table(study.labels, f"python -m saebrain labels {study.folder}", ["feature", "annotator", "label"])
    features = read_table(study.features / "features.parquet", f"python -m saebrain features {study.folder}", ["feature", "density"])
    contexts = read_table(study.features / "contexts.parquet", f"python -m saebrain features {study.folder}", ["feature"])
    seen = contexts["feature"].value_counts()
    density = features.set_index("feature")["density"].loc[sorted(seen.index[seen >= study.config.labels.min_contexts])]
    settings = study.config.annotation
    table = wanted(
        strata(density, agreed(labels[by_machine(labels)])),
        _impact(study),
        random=settings.random,
        overlap=settings.overlap,
        annotators_each=settings.annotators_each,
        most_impact=settings.impact,
        seed=settings.seed,
    )
    return plan(at, table)


def ensure_planned(study: Study, at: Desk) -> None:
    """Plan the queues unless there are some."""
    if not planned(at):
        plan_queues(study, at)


def _impact(study: Study) -> pd.Series | None:
    """What each feature contributes to encoding: r of its course with its best parcel; None before the encode step."""
    path = study.features / "parcels.parquet"
    return read_table(path, "", ["feature", "parcel_r"]).set_index("feature")["parcel_r"] if path.is_file() else None


def evidence(store: FeatureStore, feature: int) -> Evidence:
    """All that is shown of a feature before its label is in."""
    stored = store.feature(feature)[["active", "density", "max", *_EFFECTS]]
    intervals = by_interval(*store.codes(feature), seed=feature)
    tokens = np.concatenate([interval.tokens for interval in intervals])
    strongest = store.strongest([feature]).head(STRONGEST)["token"].to_numpy()
    return Evidence(
        feature=feature,
        largest=float(stored["max"]),
        active=int(stored["active"]),
        density=float(stored["density"]),
        strongest=store.windows(feature, strongest, before=BEFORE, after=AFTER),
        intervals=intervals,
        levels=store.windows(feature, tokens, before=BEFORE, after=AFTER),
        controls=_controls(store, feature),
        promoted=(list(stored["promoted_text"]), list(stored["promoted_effect"])),
        suppressed=(list(stored["suppressed_text"]), list(stored["suppressed_effect"])),
    )


_EFFECTS = ("promoted_text", "promoted_effect", "suppressed_text", "suppressed_effect")


def _controls(store: FeatureStore, feature: int) -> pd.DataFrame | None:
    try:
        found = near_misses(store, feature, before=BEFORE, after=AFTER)
    except MissingStepError:
        return None
    return store.windows(feature, found["token"].to_numpy(), before=BEFORE, after=AFTER)
