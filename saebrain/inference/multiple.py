"""p values from a null distribution, and many of them at once."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float

Sided = Literal["greater", "less", "two"]


def p_values(
    observed: Float[np.ndarray, "*targets"], null: Float[np.ndarray, "draws ..."], sided: Sided = "greater"
) -> Float[np.ndarray, "*targets"]:
    """p = (1 + b) / (1 + n), b of n draws being at least as extreme (Phipson and Smyth 2010).

    Two-sided is twice the smaller of both one-sided p, at most 1: cross-validated scores do not scatter evenly around 0, so
    that absolute values would not do. NaN where the observed value is NaN; draws that are NaN count as extreme.
    """
    if sided == "two":
        both = np.minimum(p_values(observed, null, "greater"), p_values(observed, null, "less"))
        return np.minimum(2 * both, 1.0)
    reached = ~(null < observed) if sided == "greater" else ~(null > observed)
    return np.where(np.isnan(observed), np.nan, (1 + reached.sum(axis=0)) / (1 + len(null)))


def fdr(p: Float[np.ndarray, "*targets"]) -> Float[np.ndarray, "*targets"]:
    """Benjamini and Hochberg's (1995) adjusted p: what is at most q has a false discovery rate of at most q.

    q_(i) = min over j >= i of m p_(j) / j, over the m targets that are not NaN; those stay NaN. Holds for independent
    tests and for positively dependent ones (Benjamini and Yekutieli 2001).
    """
    q = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    values = p[known]
    order = np.argsort(values)[::-1]
    m = len(values)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum.accumulate(values[order] * m / np.arange(m, 0, -1))
    q[known] = np.minimum(adjusted, 1.0)
    return q


def max_statistic(
    observed: Float[np.ndarray, " targets"],
    null: Float[np.ndarray, "draws targets"],
    sided: Sided = "greater",
    *,
    step_down: bool = False,
    standardise: bool = False,
) -> Float[np.ndarray, " targets"]:
    """p corrected for all targets: b counts the draws whose *largest* value over targets reaches the observed one.

    Controls the chance of one false positive or more (Westfall and Young 1993; Nichols and Holmes 2002). All targets of a
    draw must come from one order, so that their dependence is in the null.

    Parameters
    ----------
    step_down : bool
        Compare the i-th largest with the maximum over those not larger only (Westfall and Young's free step-down maxT):
        never less powerful.
    standardise : bool
        Take off each target's null mean and divide by its null deviation first, so that targets with a wide null do not
        decide for all. Two-sided tests always do, and take absolute values.
    """
    known = ~(np.isnan(observed) | np.isnan(null).any(axis=0))
    sign = -1.0 if sided == "less" else 1.0
    x, draws = sign * observed[known].astype(float), sign * null[:, known].astype(float)
    if standardise or sided == "two":
        mean, deviation = draws.mean(axis=0), draws.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        x, draws = (x - mean) / scale, (draws - mean) / scale
    if sided == "two":
        x, draws = np.abs(x), np.abs(draws)
    p = np.full(observed.shape, np.nan)
    if x.size:
        p[known] = _step_down(x, draws) if step_down else p_values(x, draws.max(axis=1, keepdims=True))
    return p


def _step_down(x: Float[np.ndarray, " targets"], draws: Float[np.ndarray, "draws targets"]) -> Float[np.ndarray, " targets"]:
    order = np.argsort(x)  # ascending: the running maximum is that over all targets that are not larger
    maxima = np.maximum.accumulate(draws[:, order], axis=1)
    p = p_values(x[order], maxima)
    out = np.empty_like(p)
    out[order] = np.maximum.accumulate(p[::-1])[::-1]  # a smaller value never gets a smaller p
    return out
