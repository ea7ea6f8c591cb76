"""Agreement of any number of annotators, with gaps, from counts: how many annotators gave item i the label k.

Fleiss' kappa (1971), for items with at least two labels and, where their number varies, Gwet's (2014) generalisation::

    p_o = mean_i sum_k r_ik (r_ik - 1) / (r_i (r_i - 1)),   pi_k = mean_i r_ik / r_i,   kappa = (p_o - p_e) / (1 - p_e),   p_e = sum_k pi_k^2

Krippendorff's alpha for nominal labels (2004): alpha = 1 - D_o / D_e, from the coincidences of pairable labels
o_ck = sum_i r_ic (r_ik - [c = k]) / (r_i - 1) with margins n_c and total n::

    alpha = 1 - (n - 1) sum_{c != k} o_ck / sum_{c != k} n_c n_k

Undefined (no item with two labels, or a single category) is NaN.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int


def fleiss_kappa(counts: Int[np.ndarray, "items categories"]) -> float:
    """Fleiss' kappa."""
    r = counts[counts.sum(axis=1) >= 2].astype(float)
    every = counts[counts.sum(axis=1) >= 1].astype(float)
    if len(r) == 0:
        return math.nan
    m = r.sum(axis=1)
    p_o = float(np.mean((r * (r - 1)).sum(axis=1) / (m * (m - 1))))
    pi = np.mean(every / every.sum(axis=1, keepdims=True), axis=0)
    p_e = float(pi @ pi)
    return (p_o - p_e) / (1 - p_e) if p_e < 1 - 1e-12 else math.nan


def krippendorff_alpha(counts: Int[np.ndarray, "items categories"]) -> float:
    """Krippendorff's alpha for nominal labels."""
    r = counts[counts.sum(axis=1) >= 2].astype(float)
    if len(r) == 0:
        return math.nan
    coincidence: Float[np.ndarray, "categories categories"] = (r / (r.sum(axis=1, keepdims=True) - 1)).T @ r
    coincidence -= np.diag((r / (r.sum(axis=1, keepdims=True) - 1)).sum(axis=0))
    margin = coincidence.sum(axis=1)
    total = margin.sum()
    expected = total**2 - margin @ margin
    observed = total - np.trace(coincidence)
    return float(1 - (total - 1) * observed / expected) if expected > 1e-9 else math.nan
