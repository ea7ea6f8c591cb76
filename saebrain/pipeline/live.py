"""Answers while somebody waits: the parcels of any selection, within a second, from kernels that stay in memory.

A changed label is followed feature by feature, whoever changed it. Model code (torch) is imported by name when the first
answer is asked for, so that pages, which import this module, open fast.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from saebrain.labels import agreed
from saebrain.pipeline.filed import filed, read_filed
from saebrain.pipeline.results import result_folder
from saebrain.pipeline.selection import Known, by_layer, canonical, depends_on, select, study_codebook
from saebrain.pipeline.steps import fingerprint, read_record
from saebrain.store import read_table
from saebrain.study import Study
from saebrain.taxonomy import Codebook

STATISTICS_VERSION = 1
"""Of results that pages can show: `VERSION` of the module that writes them, which cannot be imported here."""
FILED: dict[str, tuple[int, dict[str, int]]] = {
    "topography": (1, {"n": 10_000, "seed": 0}),
    "prediction-error": (1, {"n": 499, "seed": 0}),
    "partition": (1, {}),
}
"""The same for results of a whole study: version, and the arguments they are usually computed with."""
LABEL_COLUMNS = ["feature", "annotator", "label"]


class _Problem(Protocol):
    """What is used of :class:`saebrain.pipeline.problem.Problem`, which cannot be named here: importing it brings torch."""

    @property
    def labels(self) -> pd.Series: ...

    def relabelled(self, labels: Mapping[int, str]) -> _Problem: ...

    def score_parcels(self, selection: str) -> pd.DataFrame: ...

    def forget(self, layer: int) -> None: ...


@dataclass(frozen=True)
class Answer:
    """r of every parcel in every subject.

    table : subject, hemisphere, parcel, r, r_features.
    seconds : what finding it took.
    moved : features whose label had changed since the answer before.
    """

    table: pd.DataFrame
    seconds: float
    moved: int


class Live:
    """The encoding models of one study at one layer, held in memory. Several threads may ask."""

    def __init__(self, study: Study) -> None:
        """Read all that answers need; takes seconds.

        Raises
        ------
        MissingStepError, InputError
            As `Problem.load`.
        """
        self._study, self._lock = study, threading.Lock()
        self._stamps: dict[int, str] = {}
        self._load()

    def answer(self, selection: str) -> Answer:
        """Score the parcels with the labels as they are now.

        Raises
        ------
        InputError
            If the selection is not understood, or has no active feature.
        """
        with self._lock:
            started = time.perf_counter()
            moved = self._follow_labels()
            self._follow_other_layers(selection)
            table = self._problem.score_parcels(selection)
            return Answer(table, time.perf_counter() - started, moved)

    def _load(self) -> None:
        self._stamp, self._said = labels_stamp(self._study), _read_labels(self._study)
        self._problem: _Problem = import_module("saebrain.pipeline.problem").Problem.load(self._study)

    def _follow_labels(self) -> int:
        """Move the features whose label has changed; returns how many."""
        stamp = labels_stamp(self._study)
        if stamp == self._stamp:
            return 0
        said = _read_labels(self._study)
        # Only what was said anew is looked at: finding what annotators agree on takes a second for 32,000 features.
        touched = pd.concat([self._said, said]).drop_duplicates(keep=False)["feature"].unique()
        if said["feature"].nunique() != len(self._problem.labels):  # another SAE
            self._load()
            return len(touched)
        labels = agreed(said[said["feature"].isin(touched)])
        before = self._problem.labels
        moves = {int(feature): str(label) for feature, label in labels.items() if before[feature] != label}
        if moves:
            self._problem = self._problem.relabelled(moves)
        self._stamp, self._said = stamp, said
        return len(moves)

    def _follow_other_layers(self, selection: str) -> None:
        """Read those anew whose labels have changed."""
        for layer in by_layer(canonical(selection, study_codebook(self._study)), self._study.layer):
            stamp = labels_stamp(self._study.at(layer))
            if layer != self._study.layer and stamp != self._stamps.setdefault(layer, stamp):
                self._problem.forget(layer)
                self._stamps[layer] = stamp


def live_key(study: Study) -> str:
    """Changes with all that `Live` reads once, that is, all but labels."""
    records = [read_record(study, name).get("key") for name in ("stimulus", "activations", "responses")]
    records += [read_record(study.at(layer), "codes").get("key") for layer in study.layers]
    codebook = fingerprint(study.resolve(study.config.labels.codebook))
    return json.dumps([str(study.folder.resolve()), study.config.model_dump(mode="json"), records, codebook])


def answer_key(study: Study, selection: str) -> str:
    """Changes with all that an answer depends on besides `live_key`: labels, and files that the selection refers to."""
    name = canonical(selection, study_codebook(study))
    files, stamps = depends_on(name, study), [labels_stamp(study.at(layer)) for layer in by_layer(name, study.layer)]
    return json.dumps([labels_stamp(study), stamps, {name: _file_stamp(Path(path)) for name, path in files.items()}])


def labels_stamp(study: Study) -> str:
    """Changes whenever the labels are written."""
    return _file_stamp(study.labels)


def current_labels(study: Study) -> pd.Series:
    """The one label of every feature, as the labels are now."""
    return agreed(_read_labels(study))


def feature_counts(labels: pd.Series, codebook: Codebook) -> dict[str, int]:
    """Features of every category, those of its subcategories included, in the codebook's order."""
    own = labels.value_counts()
    return {path: sum(int(count) for label, count in own.items() if label == path or str(label).startswith(f"{path}/")) for path in codebook.paths}


def count_features(study: Study, selection: str, labels: pd.Series) -> int:
    """How many features a selection has, at all its layers; ``labels`` are those of the study's own. Without model code.

    Raises
    ------
    InputError
        If the selection is not understood, or empty.
    """
    codebook, count = study_codebook(study), 0
    for layer, own in by_layer(canonical(selection, codebook), study.layer).items():
        at = study.at(layer)
        count += len(select(own, Known.of(at, labels if layer == study.layer else current_labels(at), codebook)))
    return count


def has_map(study: Study, selection: str) -> bool:
    """Whether every vertex has been scored, with the labels as they are now."""
    return (result_folder(study, selection) / "result.json").is_file()


def read_statistics(study: Study, selection: str) -> dict[str, Any] | None:
    """What :func:`saebrain.pipeline.statistics.compute` found for a selection; None if nothing. Read here without model code."""
    found = read_filed(result_folder(study, selection) / "statistics.json")
    return found if found is not None and found.get("version") == STATISTICS_VERSION else None


def read_study_result(study: Study, kind: str) -> dict[str, Any] | None:
    """A result of the whole study, one of ``FILED``, with the usual arguments; None if it is not computed. Without model code."""
    version, arguments = FILED[kind]
    return read_filed(filed(study, kind, version, **arguments))


def _read_labels(study: Study) -> pd.DataFrame:
    return read_table(study.labels, "python -m saebrain labels", LABEL_COLUMNS)


def _file_stamp(path: Path) -> str:
    try:
        state = path.stat()
        return f"{state.st_mtime_ns} {state.st_size} {state.st_ino}"
    except FileNotFoundError:
        return "missing"
