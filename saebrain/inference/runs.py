"""Columns of samples run by run: nothing here looks across the border between two runs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from saebrain.errors import InputError


def run_slices(run_lengths: list[int]) -> list[slice]:
    """Where each run lies among the samples."""
    return [slice(start, stop) for start, stop in pairwise(np.cumsum([0, *run_lengths]).tolist())]


def check_samples(n_samples: int, run_lengths: list[int], what: str) -> None:
    """InputError unless the runs make up all samples and each has at least two."""
    if sum(run_lengths) != n_samples or min(run_lengths, default=0) < 2:
        raise InputError(
            f"{what}: {n_samples} samples for run lengths {run_lengths}; give the length of every run, 2 or more, in the order of the samples"
        )


def unit(x: Float[np.ndarray, "samples columns"], run_lengths: list[int]) -> Float[np.ndarray, "samples columns"]:
    """Every column centred and of unit norm within every run; 0 where it does not vary."""
    out = np.empty(x.shape, np.result_type(x.dtype, np.float32))
    for run in run_slices(run_lengths):
        centred = x[run] - x[run].mean(axis=0)
        norm = np.sqrt(np.einsum("ij,ij->j", centred, centred))
        flat = norm <= 1e-6 * np.sqrt(len(centred)) * np.maximum(np.abs(x[run]).max(axis=0), 1e-30)
        out[run] = np.where(flat, 0, centred / np.where(flat, 1, norm))
    return out


def mean_correlation(
    a: Float[np.ndarray, "samples columns"], b: Float[np.ndarray, "samples columns"], run_lengths: list[int]
) -> Float[np.ndarray, " columns"]:
    """Pearson's r within each run, averaged over runs; 0 counts for a run in which either column does not vary."""
    return np.einsum("ij,ij->j", unit(a, run_lengths), unit(b, run_lengths)) / len(run_lengths)
