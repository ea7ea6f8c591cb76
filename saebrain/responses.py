"""fMRI responses as time series: ``responses/{subject}/{run}.npy``, float32 (samples, vertices).

A vertex without data (medial wall, outside the field of view) is constant, usually 0, or NaN throughout; its scores come
back as NaN. Runs may differ in length, and are the same for all subjects.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from saebrain.arrays import read_brought
from saebrain.errors import InputError, MissingStepError
from saebrain.progress import Report, silent


@dataclass(frozen=True)
class Responses:
    """The responses of a study, opened but not yet read; runs are memory-mapped on demand."""

    folder: Path
    subjects: list[str]
    runs: list[str]
    tr_s: float
    samples: list[int]
    """Of each run."""
    vertices: int

    def read(self, subject: str, run: str) -> Float[np.ndarray, "samples vertices"]:
        """One run of one subject, as a read-only memory map."""
        return read_brought(self.folder / subject / f"{run}.npy", mapped=True)


def find_responses(folder: Path, runs: list[str], *, vertices: int, tr_s: float, samples: list[int] | None) -> Responses:
    """Find the subjects under a folder; files are looked at only for lengths that are not given.

    Parameters
    ----------
    vertices : int
        Of both hemispheres.
    samples : list of int, optional
        Of each run; None: as many as the first subject's files hold.

    Raises
    ------
    MissingStepError
        If the folder holds no subject.
    InputError
        If a file that is looked at is missing or cannot be read.
    """
    subjects = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")) if folder.is_dir() else []
    if not subjects:
        raise MissingStepError(f"responses in {folder}", "python -m saebrain simulate, or put samples x vertices arrays at responses/SUBJECT/RUN.npy")
    lengths = samples or [len(read_brought(_present(folder / subjects[0] / f"{run}.npy", runs), mapped=True)) for run in runs]
    return Responses(folder, subjects, runs, tr_s, lengths, vertices)


def open_responses(folder: Path, runs: list[str], *, vertices: int, tr_s: float, samples: list[int] | None, report: Report = silent) -> Responses:
    """Find the subjects under a folder and check every file's shape and values; parameters as for `find_responses`.

    Raises
    ------
    MissingStepError
        If the folder holds no subject.
    InputError
        If a run is missing, or a file has the wrong shape, single values that are not finite, or NaN alone; the message names the file.
    """
    responses = find_responses(folder, runs, vertices=vertices, tr_s=tr_s, samples=samples)
    files = [(folder / subject / f"{run}.npy", length) for subject in responses.subjects for run, length in zip(runs, responses.samples, strict=True)]
    for done, (path, length) in enumerate(files, start=1):
        _check(path, responses, length)
        report(done, len(files))
    return responses


def _present(path: Path, runs: list[str]) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: run missing; every subject needs the runs {', '.join(runs)}")
    return path


def _check(path: Path, expected: Responses, samples: int) -> None:
    array = read_brought(_present(path, expected.runs), mapped=True)
    want = (samples, expected.vertices)
    if array.ndim != 2 or array.shape[1] != expected.vertices:
        raise InputError(
            f"{path}: received shape {array.shape}, expected {want} (samples x vertices, left hemisphere first); resample to the study's space"
        )
    if array.shape[0] != samples:
        raise InputError(f"{path}: received {array.shape[0]} samples, expected {samples}; mend the file or `responses.samples` in study.toml")
    if array.dtype.kind != "f":
        raise InputError(f"{path}: received {array.dtype} values, expected float32; convert the array")
    bad = ~np.isfinite(array).all(axis=0)
    if bad.all() and np.isnan(array).all():
        raise InputError(f"{path}: NaN at every vertex and sample; write the run again, or leave the subject out")
    bad[bad] = ~np.isnan(array[:, bad]).all(axis=0)  # NaN throughout says that there is no data
    if bad.any():
        count, first = int(bad.sum()), int(bad.argmax())
        raise InputError(
            f"{path}: NaN or infinite values at {count:,} {'vertex' if count == 1 else 'vertices'} (first: vertex {first}); "
            "write a constant 0, or NaN throughout, where there is no data"
        )
