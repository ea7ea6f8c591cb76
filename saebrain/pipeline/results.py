"""Results of encoding models on disk: immutable folders named by a hash of what they depend on.

::

    encoding/{hash}/r.npy             float32 (subjects, vertices), of the whole prediction
    encoding/{hash}/r_features.npy    the same, of the selection's part of it
    encoding/{hash}/parcels.parquet   subject, hemisphere, parcel, r, r_features
    encoding/{hash}/result.json       selection, subjects, settings; written last
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from saebrain.arrays import read_array, write_array
from saebrain.atomic import write_json
from saebrain.errors import MissingStepError
from saebrain.pipeline.human_labels import moved
from saebrain.pipeline.selection import by_layer, canonical, depends_on, labels_in, study_codebook
from saebrain.pipeline.steps import digest, fingerprint, read_record
from saebrain.scores import Scores
from saebrain.store import read_table, write_table
from saebrain.study import Study
from saebrain.surface.atlas import Atlas, parcel_means
from saebrain.taxonomy import Codebook

VERSION = 2
"""Of the model: raised when the same settings give other scores."""


@dataclass(frozen=True)
class Result:
    """One encoding result, read back."""

    info: dict[str, Any]
    r: Float[np.ndarray, "subjects vertices"]
    r_features: Float[np.ndarray, "subjects vertices"]
    parcels: pd.DataFrame

    @property
    def subjects(self) -> list[str]:
        return list(self.info["subjects"])

    @property
    def absent(self) -> str | None:
        """Why there is nothing to score, if so; then all r are NaN."""
        reason = self.info.get("absent")
        return None if reason is None else str(reason)


def result_folder(study: Study, selection: str) -> Path:
    """Where the result of a selection stands: a hash of what it depends on.

    Raises
    ------
    InputError
        If the selection is not understood.
    """
    codebook = study_codebook(study)
    name = canonical(selection, codebook)
    upstream: dict[str, Any] = {step: read_record(study, step).get("key") for step in ("codes", "labels", "responses")}
    if files := depends_on(name, study):
        upstream["files"] = {term: fingerprint(Path(path)) for term, path in files.items()}
    for layer, own in by_layer(name, study.layer).items():
        at, mark = study.at(layer), "" if layer == study.layer else f" at layer {layer}"
        if mark:
            upstream["features" + mark] = [read_record(at, step).get("key") for step in ("codes", "labels")]
        if relabelled := {term: features for term in labels_in(own, codebook) if (features := moved(at, term))}:
            upstream["relabelled" + mark] = relabelled
    return study.encoding / digest({"selection": name, "version": VERSION, "encoding": study.config.encoding.settings(), **upstream})


def read_result(study: Study, selection: str) -> Result:
    """Read the result of a selection.

    Raises
    ------
    MissingStepError
        If it has not been computed for the study as it is now.
    InputError
        If the selection is not understood.
    """
    folder = result_folder(study, selection)
    command = f"python -m saebrain encode {study.folder} --select {shlex.quote(selection)}"
    try:
        info = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        arrays = [read_array(folder / name) for name in ("r.npy", "r_features.npy")]
    except (OSError, ValueError) as error:
        raise MissingStepError(f"encoding result of selection '{selection}'", command) from error
    return Result(info, arrays[0], arrays[1], read_table(folder / "parcels.parquet", command))


def _parcel_rows(atlas: Atlas, scores: dict[str, Scores]) -> Iterator[pd.DataFrame]:
    for subject, score in scores.items():
        yield pd.DataFrame(
            {
                "subject": subject,
                "hemisphere": [hemisphere for hemisphere, _ in atlas.parcels],
                "parcel": [name for _, name in atlas.parcels],
                "r": parcel_means(score.r, atlas),
                "r_features": parcel_means(score.r_features, atlas),
            }
        )


def write_absent(study: Study, selection: str, reason: str, subjects: list[str], codebook: Codebook, atlas: Atlas) -> None:
    """Write the result of a selection that has nothing to score: NaN throughout, and the reason."""
    nothing = np.full(len(atlas.labels), np.nan, np.float32)
    scores = dict.fromkeys(subjects, Scores(nothing, nothing, np.zeros((0, 0), np.float32)))
    write_result(study, selection, 0, scores, codebook, atlas, absent=reason)


def write_result(
    study: Study, selection: str, n_features: int, scores: dict[str, Scores], codebook: Codebook, atlas: Atlas, *, absent: str | None = None
) -> None:
    """Write a result folder; result.json comes last, so that a folder that has one is complete."""
    folder = result_folder(study, selection)
    write_array(folder / "r.npy", np.stack([score.r for score in scores.values()]))
    write_array(folder / "r_features.npy", np.stack([score.r_features for score in scores.values()]))
    write_table(folder / "parcels.parquet", pd.concat(_parcel_rows(atlas, scores), ignore_index=True))
    write_json(
        folder / "result.json",
        {
            "selection": selection,
            "n_features": n_features,
            "absent": absent,
            "subjects": list(scores),
            "runs": study.run_names,
            "simulated": study.simulated,
            "codebook": codebook.version,
            "settings": study.config.encoding.settings(),
            "alphas": {subject: np.unique(score.alphas).tolist() for subject, score in scores.items()},
        },
    )
