"""Encoding results as maps of the cortex: one selection, the difference of two, or the category that predicts best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from saebrain.errors import InputError
from saebrain.pipeline.results import read_result, result_folder
from saebrain.pipeline.selection import ALL, NUISANCE, standard_selections, study_codebook, subcategories
from saebrain.pipeline.space import study_atlas
from saebrain.pipeline.summary import in_parcels, predicted_cortex
from saebrain.study import Study
from saebrain.surface.atlas import parcel_means
from saebrain.taxonomy import SEMANTIC

Part = Literal["whole", "features"]
DIFFERENCES = {"all-minus-nuisance": (ALL, NUISANCE), "semantic-minus-nuisance": (SEMANTIC, NUISANCE)}
"""What features add to the nuisance bands: name of the difference, minuend, subtrahend."""


@dataclass(frozen=True)
class CorticalMap:
    """r at every vertex, a row per subject; NaN where there is no data.

    absent : why there is nothing at all, if so.
    """

    subjects: list[str]
    r: Float[np.ndarray, "subjects vertices"]
    n_features: int
    absent: str | None = None

    def of(self, subject: str | None) -> Float[np.ndarray, " vertices"]:
        """One subject's map, or the mean over subjects (None)."""
        return np.asarray(self.r.mean(axis=0) if subject is None else self.r[self.subjects.index(subject)])


def available(study: Study) -> list[str]:
    """Selections to look at: the standard ones, differences, and any other label whose result has been computed."""
    codebook = study_codebook(study)
    standard = sorted(standard_selections(codebook), key=lambda name: name == NUISANCE)  # nuisance last
    others = [path for path in codebook.paths if path not in standard and (result_folder(study, path) / "result.json").is_file()]
    return [*standard, *others, *DIFFERENCES]


def selection_map(study: Study, selection: str, part: Part = "whole") -> CorticalMap:
    """Map of a selection or of a difference; of the whole prediction, or of the selection's own part of it.

    Raises
    ------
    MissingStepError
        If the result has not been computed.
    """
    if selection in DIFFERENCES:
        more, less = (read_result(study, name) for name in DIFFERENCES[selection])
        return CorticalMap(more.subjects, more.r - less.r, more.info["n_features"], more.absent)
    result = read_result(study, selection)
    return CorticalMap(result.subjects, result.r_features if part == "features" else result.r, result.info["n_features"], result.absent)


def is_computed(study: Study, selection: str) -> bool:
    """Whether the result of a selection, or both of a difference, are there."""
    return all((result_folder(study, name) / "result.json").is_file() for name in DIFFERENCES.get(selection, (selection,)))


def has_parts(selection: str) -> bool:
    """Whether a selection's own part can be told from the whole prediction: it has features, and is no difference."""
    return selection != NUISANCE and selection not in DIFFERENCES


@dataclass(frozen=True)
class BestCategory:
    """Which semantic subcategory's features predict each vertex best.

    index : row of ``paths``; -1 where none reaches the threshold.
    r : r of that subcategory's own part; NaN where there is no data.
    """

    paths: list[str]
    index: Int[np.ndarray, " vertices"]
    r: Float[np.ndarray, " vertices"]

    @property
    def measured(self) -> Bool[np.ndarray, " vertices"]:
        return np.isfinite(self.r)


def best_category(study: Study, subject: str | None, threshold: float) -> BestCategory:
    """The subcategory with the largest r (of its features' part) at every vertex where that is above 0 and reaches ``threshold``.

    Raises
    ------
    InputError
        If no subcategory has features.
    """
    maps = {path: selection_map(study, path, "features") for path in subcategories(study_codebook(study))}
    paths = [path for path, found in maps.items() if found.absent is None]
    if not paths:
        raise InputError("no semantic subcategory has active features, so none can be best anywhere; label some, then run: python -m saebrain encode")
    r = np.stack([maps[path].of(subject) for path in paths])
    best = np.where(np.isnan(r).any(axis=0), np.nan, r.max(axis=0))
    index = np.where((best > 0) & (best >= threshold), np.nan_to_num(r, nan=-np.inf).argmax(axis=0), -1)
    return BestCategory(paths, index.astype(np.int16), best)


def best_category_table(study: Study, best: BestCategory) -> pd.DataFrame:
    """A row a subcategory: category, vertices won, share of them in its predicted parcels, and those parcels' share of the measured cortex.

    The last is what the share would be on average if vertices were won at random.
    """
    codebook, atlas = study_codebook(study), study_atlas(study)
    rows = []
    for number, path in enumerate(best.paths):
        won, predicted = best.index == number, in_parcels(atlas, codebook.predicted(path))
        rows.append((path, int(won.sum()), _share(predicted, won), _share(predicted, best.measured)))
    return pd.DataFrame(rows, columns=["category", "vertices", "in_predicted", "expected"])


def parcel_table(study: Study, values: Float[np.ndarray, " vertices"], selection: str) -> pd.DataFrame:
    """Mean over the vertices of each parcel: hemisphere, parcel, r, vertices, predicted (of the selection by the codebook)."""
    atlas = study_atlas(study)
    predicted = predicted_parcels(study, selection)
    return pd.DataFrame(
        {
            "hemisphere": [hemisphere for hemisphere, _ in atlas.parcels],
            "parcel": [name for _, name in atlas.parcels],
            "r": parcel_means(values, atlas),
            "vertices": atlas.sizes(),
            "predicted": [name in predicted for _, name in atlas.parcels],
        }
    )


def predicted_parcels(study: Study, selection: str) -> set[str]:
    """Parcels that the codebook predicts for a selection; for all features and for differences those of any subcategory."""
    codebook = study_codebook(study)
    if selection == NUISANCE:
        return set()
    return set(codebook.predicted(selection if selection in codebook.paths else SEMANTIC))


def shared_reach(study: Study) -> float:
    """One colour range for the maps of all selections, so that their colours can be compared: all features' 99.5th percentile, rounded up."""
    return reach(selection_map(study, ALL).of(None)[predicted_cortex(study)])


def reach(values: Float[np.ndarray, "*axes"], step: float = 0.1, percentile: float = 99.5) -> float:
    """End of a colour range: a percentile of abs(values), rounded up to a multiple of ``step``, at least that."""
    finite = np.abs(values[np.isfinite(values)])
    if len(finite) == 0:
        return step
    return max(1, math.ceil(float(np.percentile(finite, percentile)) / step - 1e-9)) * step


def _share(inside: Bool[np.ndarray, " vertices"], of: Bool[np.ndarray, " vertices"]) -> float:
    return float(inside[of].mean()) if of.any() else float("nan")
