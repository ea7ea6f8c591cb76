"""Labels of people in the study: published from the annotation log into labels.parquet, beside those of the machine annotators.

They have one row a feature, by the annotator "people", whose kind says where the label comes from: "human" or "adjudicated". Everything
that asks `saebrain.labels.agreed` for a feature's label follows them. Publishing is an act of its own, so that results do
not change under their readers while labels come in.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from saebrain.annotation.database import open_database
from saebrain.annotation.log import read_events
from saebrain.annotation.state import ADJUDICATED, final_labels
from saebrain.errors import InputError
from saebrain.labels import agreed, by_machine
from saebrain.pipeline.selection import study_codebook
from saebrain.store import CONTEXTS_PER_ROW_GROUP, read_table, write_table
from saebrain.study import Study
from saebrain.taxonomy import Codebook

PEOPLE = "people"
COMMAND = "python -m saebrain labels"


def publish(study: Study) -> int:
    """Bring labels.parquet up to date with the log; returns how many features have another label of people than before.

    Raises
    ------
    MissingStepError
        If the labels step has not run.
    """
    table = read_table(study.labels, COMMAND)
    changed = _changes(table, people_rows(study, study_codebook(study)))
    if changed:
        write_table(study.labels, with_people(study, table[by_machine(table)], study_codebook(study)), rows_per_group=CONTEXTS_PER_ROW_GROUP)
    return changed


def unpublished(study: Study) -> int:
    """How many features' labels publishing would change."""
    if open_database(study, create=False) is None:
        return 0
    return _changes(read_table(study.labels, COMMAND), people_rows(study, study_codebook(study)))


def with_people(study: Study, machine: pd.DataFrame, codebook: Codebook) -> pd.DataFrame:
    """Machine labels, as labels.parquet has them, with those of people.

    Raises
    ------
    InputError
        If people labelled a feature that there is not: the log belongs to another SAE.
    """
    people = people_rows(study, codebook)
    unknown = people.loc[~people["feature"].isin(machine["feature"]), "feature"]
    if len(unknown):
        raise InputError(
            f"feature {unknown.iloc[0]} was labelled at layer {study.layer}, but this SAE has none of that number; "
            "the annotation log belongs to another SAE, so keep it with that study and begin a new one here"
        )
    return pd.concat([machine, people.astype(machine.dtypes.to_dict())], ignore_index=True) if len(people) else machine


def people_rows(study: Study, codebook: Codebook) -> pd.DataFrame:
    """The labels of people as rows of labels.parquet, from the log."""
    database = open_database(study, create=False)
    if database is None:
        return _no_rows()
    found = final_labels(read_events(database, study.layer), codebook.paths)
    if found.empty:
        return _no_rows()
    count = found["annotators"].astype(str) + np.where(found["annotators"] == 1, " person", " people")
    return pd.DataFrame(
        {
            "feature": found["feature"],
            "annotator": PEOPLE,
            "kind": found["provenance"],
            "label": found["label"],
            "confidence": found["confidence"],
            "reason": np.where(found["provenance"] == ADJUDICATED, "settled after labels of " + count, "what " + count + " agree on"),
            "codebook": found["codebook"],
        }
    )


def moved(study: Study, label: str) -> list[tuple[int, bool]]:
    """Features that people's labels bring under a label (True) or take from it (False): what a selection by it depends on besides the labels step."""
    state = study.labels.stat() if study.labels.is_file() else None
    if state is None:
        return []
    human, machine = _human_and_machine(study.labels, state.st_mtime_ns)
    under = [(labels == label) | labels.str.startswith(f"{label}/") for labels in (human, machine)]
    different = under[0] != under[1]
    return [(int(feature), bool(inside)) for feature, inside in under[0][different].items()]


@lru_cache(maxsize=8)
def _human_and_machine(path: Path, written_ns: int) -> tuple[pd.Series, pd.Series]:
    """What people and what machines say of the features that people have labelled, by feature."""
    table = read_table(path, COMMAND, ["feature", "annotator", "label"])
    human = table[~by_machine(table)]
    machine = table[by_machine(table) & table["feature"].isin(human["feature"])]
    empty = pd.Series(dtype=str)
    return (agreed(human), agreed(machine)) if len(human) else (empty, empty)


def _changes(table: pd.DataFrame, people: pd.DataFrame) -> int:
    """Features of which people say something else than ``table`` has."""
    before, after = ({row.feature: (row.label, row.kind) for row in rows.itertuples()} for rows in (table[~by_machine(table)], people))
    return sum(before.get(feature) != after.get(feature) for feature in before.keys() | after.keys())


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame({name: [] for name in ("feature", "annotator", "kind", "label", "confidence", "reason", "codebook")})
