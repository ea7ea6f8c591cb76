"""Agreement of any number of annotators, with gaps, from counts: how many annotators gave item i the label k.

Fleiss' kappa (1971), for items with at least two labels and, where their number varies, Gwet's (2014) generalisation::

    p_o = mean_i sum_k r_ik (r_ik - 1) / (r_i (r_i - 1)),   pi_k = mean_i r_ik / r_i,   kappa = (p_o - p_e) / (1 - p_e),   p_e = sum_k pi_k^2

Krippendorff's alpha for nominal labels (2004): alpha = 1 - D_o / D_e, from the coincidences of pairable labels
o_ck = sum_i r_ic (r_ik - [c = k]) / (r_i - 1) with margins n_c and total n::

    alpha = 1 - (n - 1) sum_{c != k} o_ck / sum_{c != k} n_c n_k

Undefined (no item with two labels, or a single category) is NaN. Intervals are percentiles over resampled items.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from saebrain.agreement.pair import LEVEL, RESAMPLES

Weighted = Callable[[Int[np.ndarray, "items categories"], Float[np.ndarray, "samples items"]], Float[np.ndarray, " samples"]]
"""A statistic of counts, as often as there are rows of weights of the items."""


def fleiss_kappa(counts: Int[np.ndarray, "items categories"]) -> float:
    """Fleiss' kappa."""
    return _of_all(_fleiss, counts)


def krippendorff_alpha(counts: Int[np.ndarray, "items categories"]) -> float:
    """Krippendorff's alpha for nominal labels."""
    return _of_all(_alpha, counts)


def fleiss_interval(counts: Int[np.ndarray, "items categories"], *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """95% bootstrap interval of Fleiss' kappa; resamples in which it is undefined are left out."""
    return _interval(_fleiss, counts, seed, resamples)


def alpha_interval(counts: Int[np.ndarray, "items categories"], *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """95% bootstrap interval of Krippendorff's alpha; resamples in which it is undefined are left out."""
    return _interval(_alpha, counts, seed, resamples)


def _fleiss(counts: Int[np.ndarray, "items categories"], weights: Float[np.ndarray, "samples items"]) -> Float[np.ndarray, " samples"]:
    r = counts.astype(float)
    m = r.sum(axis=1)
    pairable, labelled = m >= 2, m >= 1
    agreeing = np.divide((r * (r - 1)).sum(axis=1), m * (m - 1), out=np.zeros(len(r)), where=pairable)
    shares = np.divide(r, m[:, None], out=np.zeros_like(r), where=labelled[:, None])
    p_o = _ratio(weights @ agreeing, weights @ pairable.astype(float))
    p_e = ((weights @ shares) ** 2).sum(axis=1) / np.maximum(weights @ labelled.astype(float), 1) ** 2
    return _ratio(p_o - p_e, 1 - p_e)


def _alpha(counts: Int[np.ndarray, "items categories"], weights: Float[np.ndarray, "samples items"]) -> Float[np.ndarray, " samples"]:
    r = counts.astype(float) * (counts.sum(axis=1, keepdims=True) >= 2)
    others = np.maximum(r.sum(axis=1) - 1, 1)
    agreeing = (r * (r - 1)).sum(axis=1) / others
    margin = weights @ r
    total = margin.sum(axis=1)
    return 1 - _ratio((total - 1) * (total - weights @ agreeing), total**2 - (margin**2).sum(axis=1))


def _of_all(statistic: Weighted, counts: Int[np.ndarray, "items categories"]) -> float:
    return float(statistic(counts, np.ones((1, len(counts))))[0])


def _interval(statistic: Weighted, counts: Int[np.ndarray, "items categories"], seed: int, resamples: int) -> tuple[float, float]:
    n = len(counts)
    if n == 0:
        return float("nan"), float("nan")
    patterns, often = np.unique(counts, axis=0, return_counts=True)  # items labelled alike are drawn together
    weights = np.random.default_rng(seed).multinomial(n, often / n, size=resamples).astype(float)
    values = statistic(patterns, weights)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _ratio(above: Float[np.ndarray, " samples"], below: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " samples"]:
    """NaN where nothing stands below."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 1e-9)
