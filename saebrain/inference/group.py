"""Tests over subjects: does an effect hold in the population they were drawn from?

The sign-flip test asks that a subject's value be as likely as its negative under the null hypothesis. Cross-validated r
without signal is a little below 0 on average, which makes the test of r > 0 slightly conservative; a difference of two models'
r, or r less its own null mean, is symmetric. With n subjects no one-sided p is below 2^-n: three subjects give .125 at best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from saebrain.errors import InputError
from saebrain.inference.multiple import Sided, p_values

EXACT_SUBJECTS = 12
TARGETS_AT_ONCE = 2048


@dataclass(frozen=True)
class GroupTest:
    """Result of :func:`sign_flip`; NaN for targets that some subject lacks.

    mean : over subjects, in the unit of the values.
    t : mean / standard error, n - 1 degrees of freedom; infinite where all subjects agree exactly.
    p : of the sign-flip test, uncorrected.
    p_max : corrected for all targets by the largest t (|t| if two-sided).
    low, high : confidence interval of the centre by inversion of the sign-flip test; infinite where there are too few subjects.
    t_low, t_high : the interval of Student's t.
    n_flips : sign patterns behind p, other than the true one; 2^n - 1 if exact.
    """

    mean: Float[np.ndarray, " targets"]
    t: Float[np.ndarray, " targets"]
    p: Float[np.ndarray, " targets"]
    p_max: Float[np.ndarray, " targets"]
    low: Float[np.ndarray, " targets"]
    high: Float[np.ndarray, " targets"]
    t_low: Float[np.ndarray, " targets"]
    t_high: Float[np.ndarray, " targets"]
    n_flips: int
    exact: bool


def sign_flip(
    values: Float[np.ndarray, "subjects targets"], *, sided: Sided = "greater", level: float = 0.95, n: int = 10_000, seed: int = 0
) -> GroupTest:
    """Test the mean over subjects against 0 by flipping signs (Fisher 1935; Nichols and Holmes 2002).

    Up to 12 subjects all 2^n patterns are gone through; more get ``n`` random ones. p = (1 + b) / (1 + flips), the true
    pattern being the 1; two-sided compares |t|, whose null is symmetric here. A subject's signs flip for all targets at once.

    The interval holds each centre that the two-sided test of ``1 - level`` would not reject. For the sign-flip test these lie
    between order statistics of the means of all subsets of subjects (Hartigan 1969): the k-th from below and above of the
    2^n - 1, with k = (1 - level) / 2 of 2^n. Below 6 subjects no k is left at 95% and the interval is infinite.

    Raises
    ------
    InputError
        If there are fewer than two subjects, or ``level`` is not between 0 and 1.
    """
    if values.ndim != 2 or len(values) < 2:
        raise InputError(f"group test of an array of shape {values.shape}: give (subjects, targets) with two or more subjects")
    if not 0 < level < 1:
        raise InputError(f"level {level}: give a confidence level between 0 and 1, such as 0.95")
    known = ~np.isnan(values).any(axis=0)
    x = values[:, known].astype(float)
    exact = len(x) <= EXACT_SUBJECTS
    flipped = _all_subsets(len(x)) if exact else _random_subsets(len(x), n, np.random.default_rng(seed))
    k = int(np.floor((1 - level) / 2 * (1 + len(flipped)) + 1e-9))
    t = _t(x.mean(axis=0), x)
    p, low, high = np.empty_like(t), np.full_like(t, -np.inf), np.full_like(t, np.inf)
    largest = np.full(len(flipped), -np.inf)
    for start in range(0, x.shape[1], TARGETS_AT_ONCE):
        block = slice(start, start + TARGETS_AT_ONCE)
        null = _t((x[:, block].sum(axis=0) - 2 * (flipped @ x[:, block])) / len(x), x[:, block])
        null, seen = (np.abs(null), np.abs(t[block])) if sided == "two" else (-null, -t[block]) if sided == "less" else (null, t[block])
        p[block] = p_values(_with_slack(seen), null)
        largest = np.maximum(largest, null.max(axis=1, initial=-np.inf))
        if k > 0:
            low[block], high[block] = _between(x[:, block], flipped, k)
    seen = np.abs(t) if sided == "two" else -t if sided == "less" else t
    p_max = p_values(_with_slack(seen), largest[:, None])
    error = x.std(axis=0, ddof=1) / np.sqrt(len(x))
    reach = stats.t.ppf((1 + level) / 2, len(x) - 1) * error
    mean = x.mean(axis=0)
    full = {"mean": mean, "t": t, "p": p, "p_max": p_max, "low": low, "high": high, "t_low": mean - reach, "t_high": mean + reach}
    return GroupTest(n_flips=len(flipped), exact=exact, **{name: _spread(part, known) for name, part in full.items()})


def _all_subsets(n: int) -> Bool[np.ndarray, "subsets subjects"]:
    """Every subset but the empty one: whose signs are flipped, or whose mean is taken."""
    return (np.arange(1, 2**n)[:, None] >> np.arange(n) & 1).astype(bool)


def _random_subsets(n: int, count: int, rng: np.random.Generator) -> Bool[np.ndarray, "subsets subjects"]:
    """Each subject in with a chance of one half; the empty subset is as good a flip as any, but has no mean."""
    drawn = rng.random((count, n)) < 0.5
    empty = np.flatnonzero(~drawn.any(axis=1))
    drawn[empty, rng.integers(n, size=len(empty))] = True
    return drawn


def _t(mean: Float[np.ndarray, "*draws targets"], x: Float[np.ndarray, "subjects targets"]) -> Float[np.ndarray, "*draws targets"]:
    """Student's t of flipped values from their mean: flipping leaves the sum of squares as it is."""
    n = len(x)
    variance = np.maximum((x * x).mean(axis=0) - mean**2, 0) / (n - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mean == 0, 0.0, mean / np.sqrt(variance))


def _with_slack(t: Float[np.ndarray, " targets"]) -> Float[np.ndarray, " targets"]:
    """A little less, so that patterns with the same sum are ties whatever way it was rounded."""
    return t * (1 - 1e-9 * np.sign(t))


def _between(
    x: Float[np.ndarray, "subjects targets"], subsets: Bool[np.ndarray, "subsets subjects"], k: int
) -> tuple[Float[np.ndarray, " targets"], Float[np.ndarray, " targets"]]:
    means = (subsets @ x) / subsets.sum(axis=1, keepdims=True)
    ordered = np.partition(means, (k - 1, len(means) - k), axis=0)
    return ordered[k - 1], ordered[len(means) - k]


def _spread(part: Float[np.ndarray, " known"], known: Bool[np.ndarray, " targets"]) -> Float[np.ndarray, " targets"]:
    out = np.full(known.shape, np.nan)
    out[known] = part
    return out
