"""Cortical maps of single features, computed on demand: nothing of features x vertices is stored."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from saebrain.design import haemodynamic_weights

ROWS_AT_ONCE = 16
"""Samples of a run that are worked on while they are in the processor's cache."""


def standardised(x: Float[np.ndarray, "samples columns"]) -> Float[np.ndarray, "samples columns"]:
    """Mean 0 and standard deviation 1 over the samples of one run, float32; constant columns become 0."""
    x = np.asarray(x, np.float32)
    x = x - x.mean(axis=0)
    deviation = x.std(axis=0)
    return np.divide(x, deviation, out=np.zeros_like(x), where=deviation > 1e-6)


def haemodynamic(courses: Float[np.ndarray, "all_samples columns"], run_lengths: list[int], tr_s: float) -> Float[np.ndarray, "all_samples columns"]:
    """Convolve courses with the canonical haemodynamic response, run by run."""
    kernel = haemodynamic_weights(tr_s).astype(np.float32)
    out = np.zeros_like(courses)
    for a, b in pairwise(np.cumsum([0, *run_lengths])):
        for lag, weight in enumerate(kernel[: b - a]):
            out[a + lag : b] += weight * courses[a : b - lag]
    return out


def deviation(measured: Float[np.ndarray, "samples vertices"]) -> Float[np.ndarray, " vertices"]:
    """Standard deviation over the samples of one run, float32; NaN at constant vertices, which carry no data."""
    total, square = np.zeros((2, measured.shape[1]))
    for start in range(0, len(measured), ROWS_AT_ONCE):
        # Raw responses lie far from 0: their squares would drown the variance.
        y = np.asarray(measured[start : start + ROWS_AT_ONCE], np.float32) - measured[0]
        total += y.sum(axis=0)
        square += np.einsum("ij,ij->j", y, y)
    found = np.sqrt(np.maximum(square - total * total / len(measured), 0) / len(measured))
    return np.where(found > 1e-6, found, np.nan).astype(np.float32)


def correlation_map(
    course: Float[np.ndarray, " samples"], measured: Float[np.ndarray, "samples vertices"], deviation: Float[np.ndarray, " vertices"]
) -> Float[np.ndarray, " vertices"]:
    """Pearson's r of one standardised course with every vertex of one run, given the vertices' `deviation`; NaN where that is NaN.

    With x of mean 0 and unit deviation, r = x . y / (n sd(y)): one pass over the responses, which need not be centred.
    """
    return np.asarray((course.astype(np.float32) @ measured) / (len(course) * deviation), np.float32)
