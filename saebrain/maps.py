"""Cortical maps of single features, computed on demand: nothing of features x vertices is stored."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from saebrain.simulate import haemodynamic_response


def standardised(x: Float[np.ndarray, "samples columns"]) -> Float[np.ndarray, "samples columns"]:
    """Mean 0 and standard deviation 1 over the samples of one run, float32; constant columns become 0."""
    x = np.asarray(x, np.float32)
    x = x - x.mean(axis=0)
    deviation = x.std(axis=0)
    return np.divide(x, deviation, out=np.zeros_like(x), where=deviation > 1e-6)


def haemodynamic(courses: Float[np.ndarray, "all_samples columns"], run_lengths: list[int], tr_s: float) -> Float[np.ndarray, "all_samples columns"]:
    """Convolve courses with the canonical haemodynamic response (32 s), run by run."""
    kernel = haemodynamic_response(np.arange(0, 32, tr_s)).astype(np.float32)
    out = np.zeros_like(courses)
    starts = np.cumsum([0, *run_lengths])
    for a, b in zip(starts[:-1], starts[1:], strict=True):
        for lag, weight in enumerate(kernel[: b - a]):
            out[a + lag : b] += weight * courses[a : b - lag]
    return out


def correlation_map(course: Float[np.ndarray, " samples"], measured: Float[np.ndarray, "samples vertices"]) -> Float[np.ndarray, " vertices"]:
    """Pearson's r of one standardised course with every vertex of one run; NaN at constant vertices.

    One pass over the responses: with x of mean 0 and unit deviation, r = x . y / (n sd(y)).
    """
    n = len(course)
    y = np.asarray(measured, np.float32)
    mean = y.mean(axis=0)
    deviation = np.sqrt(np.maximum(np.einsum("ij,ij->j", y, y) / n - mean * mean, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(deviation > 1e-6, (course.astype(np.float32) @ y) / (n * deviation), np.nan).astype(np.float32)
