"""fMRI responses as time series: ``responses/{subject}/{run}.npy``, float32 (samples, vertices).

A vertex without data (medial wall, outside the field of view) is constant, usually 0; its scores come back as NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from saebrain.errors import InputError, MissingStepError

VERTICES = {"fsaverage5": 20_484}


@dataclass(frozen=True)
class Responses:
    """The responses of a study, opened but not yet read; runs are memory-mapped on demand."""

    folder: Path
    subjects: list[str]
    runs: list[str]
    tr_s: float
    samples: int
    vertices: int

    def read(self, subject: str, run: str) -> Float[np.ndarray, "samples vertices"]:
        """One run of one subject, as a read-only memory map."""
        return _open(self.folder / subject / f"{run}.npy")


def open_responses(folder: Path, runs: list[str], *, space: str, tr_s: float, samples: int) -> Responses:
    """Find the subjects under a folder and check every file's shape and values.

    Raises
    ------
    MissingStepError
        If the folder holds no subject.
    InputError
        If a run is missing, or a file has the wrong shape or NaN; the message names the file.
    """
    subjects = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")) if folder.is_dir() else []
    if not subjects:
        raise MissingStepError(f"responses in {folder}", "python -m saebrain simulate, or put samples x vertices arrays at responses/SUBJECT/RUN.npy")
    responses = Responses(folder, subjects, runs, tr_s, samples, VERTICES[space])
    for subject in subjects:
        for run in runs:
            _check(folder / subject / f"{run}.npy", responses)
    return responses


def constant_vertices(run: Float[np.ndarray, "samples vertices"]) -> Bool[np.ndarray, " vertices"]:
    """Vertices that do not vary within a run, and so carry no data."""
    return np.asarray((run == run[:1]).all(axis=0))


def _open(path: Path) -> Float[np.ndarray, "samples vertices"]:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a readable .npy array ({error}); write it again with numpy.save") from error


def _check(path: Path, expected: Responses) -> None:
    if not path.is_file():
        raise InputError(f"{path}: run missing; every subject needs the runs {', '.join(expected.runs)}")
    array = _open(path)
    want = (expected.samples, expected.vertices)
    if array.ndim != 2 or array.shape[1] != expected.vertices:
        raise InputError(f"{path}: received shape {array.shape}, expected {want} (samples x vertices, left hemisphere first); resample to the study's space")
    if array.shape[0] != expected.samples:
        raise InputError(f"{path}: received {array.shape[0]} samples, expected {expected.samples}; mend the file or `responses.samples` in study.toml")
    if array.dtype.kind != "f":
        raise InputError(f"{path}: received {array.dtype} values, expected float32; convert the array")
    bad = ~np.isfinite(array).all(axis=0)
    if bad.any():
        raise InputError(
            f"{path}: {int(bad.sum()):,} vertices hold NaN or infinite values (first: vertex {int(bad.argmax())}); write a constant 0 where there is no data"
        )
