"""Cortical maps of single features, computed on demand: nothing of features x vertices is stored.

Three kinds. Correlation: r of the feature's haemodynamic course with every vertex. Weight: what a fitted encoding model
multiplies the feature with. Contribution: which share of the response's variance the feature's part of that model's
prediction accounts for.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

from saebrain.design import haemodynamic_weights
from saebrain.inference.multiple import fdr

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


def group_t(maps: Float[np.ndarray, "subjects vertices"]) -> Float[np.ndarray, " vertices"]:
    """Student's t of the mean over subjects against 0, n - 1 degrees of freedom; NaN with one subject, or where all agree exactly."""
    n = len(maps)
    if n < 2:
        return np.full(maps.shape[1], np.nan, np.float32)
    error = maps.std(axis=0, ddof=1) / np.sqrt(n)
    return np.asarray(np.divide(maps.mean(axis=0), error, out=np.full(maps.shape[1], np.nan, np.float32), where=error > 0), np.float32)


def significant(
    observed: Float[np.ndarray, " vertices"], null_deviation: Float[np.ndarray, " vertices"], q: float = 0.05
) -> Bool[np.ndarray, " vertices"]:
    """Where r differs from 0 at a false discovery rate of q (Benjamini and Hochberg 1995), two-sided; p as by `normal_p`."""
    return np.asarray(np.nan_to_num(fdr(normal_p(observed, null_deviation)), nan=1.0) <= q)


def normal_p(observed: Float[np.ndarray, " vertices"], null_deviation: Float[np.ndarray, " vertices"]) -> Float[np.ndarray, " vertices"]:
    """Two-sided p of r under a null hypothesis with a normal distribution about 0; NaN without data.

    p = 2 Phi(-|r| / s), with s the deviation of r under the null hypothesis at that vertex. Taken from courses that were
    turned round within their runs, s is as wide as the memory of course and response makes it: with as many independent
    samples as there are TRs it would be several times narrower.
    """
    known = np.isfinite(observed) & (null_deviation > 0)
    z = np.divide(np.abs(observed), null_deviation, out=np.zeros(len(observed)), where=known)
    return np.where(known, 2 * special.ndtr(-z), np.nan)


def dual_weights(
    kernel: Float[np.ndarray, "samples samples"], y: Float[np.ndarray, "samples vertices"], alpha: float
) -> Float[np.ndarray, "samples vertices"]:
    """A = (K + alpha I)^-1 Y of kernel ridge regression. With K = X X^T the weights of X are X^T A (Saunders et al. 1998)."""
    regular = kernel.astype(np.float32, copy=True)
    regular[np.diag_indices(len(regular))] += np.float32(alpha)
    return np.asarray(np.linalg.solve(regular, y), np.float32)


def weight_map(delayed: Float[np.ndarray, "samples delays"], dual: Float[np.ndarray, "samples vertices"]) -> Float[np.ndarray, "delays vertices"]:
    """Weights w = x^T A of one feature's delayed courses, in the unit of the fitted responses per unit of the course."""
    return np.asarray(delayed.T.astype(np.float32) @ dual, np.float32)


def contribution_map(
    delayed: Float[np.ndarray, "samples delays"],
    weights: Float[np.ndarray, "delays vertices"],
    y: Float[np.ndarray, "samples vertices"],
    power: Float[np.ndarray, " vertices"],
) -> Float[np.ndarray, " vertices"]:
    """Share of a response's variance that a feature's part of the prediction accounts for.

    The product measure (Pratt 1987): sum_d w_d (x_d . y) / (y . y), with columns of mean 0; ``power`` is y . y. Over all columns of a model it
    adds up to R^2; a single one may be negative. NaN at vertices without data (y = 0).
    """
    shared = np.einsum("dv,dv->v", weights, delayed.T.astype(np.float32) @ y)
    return np.asarray(np.divide(shared, power, out=np.full(len(power), np.nan, np.float32), where=power > 0), np.float32)
