"""Agreement of two annotators from their confusion table.

With p_ij the share of items that the first calls i and the second j, p_i. and p_.i its margins::

    p_o = sum_i p_ii,   p_e = sum_i p_i. p_.i,   kappa = (p_o - p_e) / (1 - p_e)                            (Cohen 1960)

    ASE^2 = [ sum_i p_ii (1 - (p_i. + p_.i)(1 - kappa))^2 + (1 - kappa)^2 sum_{i != j} p_ij (p_.i + p_j.)^2
              - (kappa - p_e (1 - kappa))^2 ] / (N (1 - p_e)^2)                         (Fleiss, Cohen and Everitt 1969)

    ASE_0^2 = [ p_e + p_e^2 - sum_i p_i. p_.i (p_i. + p_.i) ] / (N (1 - p_e)^2)              (the same under kappa = 0)

The usual interval, kappa -+ z ASE, is symmetric, and near 1 it covers too seldom (88% at kappa = .9, n = 100, two categories).
The one to report is symmetric on the scale of log(1 - kappa), where the standard error is ASE / (1 - kappa); it never passes 1::

    1 - (1 - kappa) exp(+- z ASE / (1 - kappa))

If all items agree, it begins where p_o = .025^(1/n), the exact bound for n agreements of n.

Beside them stand figures that depend less on how common the categories are: with lopsided margins p_e is large, and kappa
low though the annotators hardly ever differ (the prevalence paradox).
What is undefined (no item, or one category alone, so that chance agreement is certain) is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from saebrain.errors import InputError

LEVEL = 0.95
Z = float(stats.norm.ppf((1 + LEVEL) / 2))
RESAMPLES = 2000


@dataclass(frozen=True)
class Agreement:
    """Agreement of two annotators on ``n`` items; all shares between 0 and 1, kappa's kin at most 1.

    kappa, se : Cohen's kappa and its standard error.
    ci_low, ci_high : usual 95% interval, kappa -+ 1.96 se.
    log_low, log_high : 95% interval on the scale of log(1 - kappa), the one to report.
    boot_low, boot_high : 95% percentile interval over resampled items.
    z, p : test of kappa = 0 (two-sided).
    percent : observed agreement p_o.
    pabak : (q p_o - 1) / (q - 1) for q categories, kappa as if all were equally common (Byrt et al. 1993).
    ac1 : Gwet's AC1 (2008), with chance agreement sum_k pi_k (1 - pi_k) / (q - 1), pi the mean of the margins.
    """

    n: int
    kappa: float
    se: float
    ci_low: float
    ci_high: float
    log_low: float
    log_high: float
    boot_low: float
    boot_high: float
    z: float
    p: float
    percent: float
    pabak: float
    ac1: float


def agreement(table: Int[np.ndarray, "categories categories"], *, seed: int = 0) -> Agreement:
    """All figures of a confusion table; rows are the first annotator's labels.

    Raises
    ------
    InputError
        If the table is not square, or holds a negative count.
    """
    counts = np.asarray(table)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any():
        raise InputError(f"confusion table of shape {counts.shape}: give a square table of counts, rows and columns in the same order")
    n = int(counts.sum())
    value, se, null_se = kappa(counts)
    half = Z * se
    log_low, log_high = log_interval(counts)
    z = value / null_se if null_se > 0 else math.nan
    boot_low, boot_high = bootstrap(counts, seed=seed)
    return Agreement(
        n=n,
        kappa=value,
        se=se,
        ci_low=value - half,
        ci_high=value + half,
        log_low=log_low,
        log_high=log_high,
        boot_low=boot_low,
        boot_high=boot_high,
        z=z,
        p=float(2 * stats.norm.sf(abs(z))),
        percent=float(np.trace(counts) / n) if n else math.nan,
        pabak=_pabak(counts),
        ac1=_ac1(counts),
    )


def kappa(counts: Int[np.ndarray, "categories categories"]) -> tuple[float, float, float]:
    """Cohen's kappa, its standard error, and that under kappa = 0; all NaN where kappa is undefined."""
    n = counts.sum()
    if n == 0:
        return math.nan, math.nan, math.nan
    p = counts / n
    row, column = p.sum(axis=1), p.sum(axis=0)
    p_o, p_e = float(np.trace(p)), float(row @ column)
    if p_e >= 1 - 1e-12:
        return math.nan, math.nan, math.nan
    k = (p_o - p_e) / (1 - p_e)
    agreed = float(np.sum(np.diag(p) * (1 - (row + column) * (1 - k)) ** 2))
    weight = (column[:, None] + row[None, :]) ** 2
    np.fill_diagonal(weight, 0.0)
    variance = agreed + (1 - k) ** 2 * float(np.sum(p * weight)) - (k - p_e * (1 - k)) ** 2
    null_variance = p_e + p_e**2 - float(np.sum(row * column * (row + column)))
    scale = math.sqrt(n) * (1 - p_e)
    return k, math.sqrt(max(variance, 0.0)) / scale, math.sqrt(max(null_variance, 0.0)) / scale


def log_interval(counts: Int[np.ndarray, "categories categories"]) -> tuple[float, float]:
    """The interval to report; NaN where kappa is undefined."""
    value, se, _ = kappa(counts)
    if math.isnan(value):
        return math.nan, math.nan
    if value > 1 - 1e-12:
        n = int(counts.sum())
        p_e = float(counts.sum(axis=0) @ counts.sum(axis=1)) / n**2
        return 1 - (1 - ((1 - LEVEL) / 2) ** (1 / n)) / (1 - p_e), 1.0
    factor = math.exp(Z * se / (1 - value))
    return 1 - (1 - value) * factor, 1 - (1 - value) / factor


def bootstrap(counts: Int[np.ndarray, "categories categories"], *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Percentile interval of kappa over resampled items; resamples in which it is undefined are left out."""
    n = int(counts.sum())
    if n == 0:
        return math.nan, math.nan
    q = len(counts)
    tables = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=resamples).reshape(-1, q, q) / n
    p_o = np.einsum("bii->b", tables)
    p_e = np.einsum("bi,bi->b", tables.sum(axis=2), tables.sum(axis=1))
    defined = p_e < 1 - 1e-12
    if not defined.any():
        return math.nan, math.nan
    values = (p_o[defined] - p_e[defined]) / (1 - p_e[defined])
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def one_against_rest(counts: Int[np.ndarray, "categories categories"], category: int) -> Int[np.ndarray, "2 2"]:
    """The table of one category against all others."""
    hit = int(counts[category, category])
    row, column = int(counts[category].sum()), int(counts[:, category].sum())
    return np.array([[hit, row - hit], [column - hit, int(counts.sum()) - row - column + hit]])


def items_needed(counts: Int[np.ndarray, "categories categories"], goal: float) -> int | None:
    """Items until the lower bound passes ``goal`` if all shares stay as they are; None if they never would, or it is undefined.

    The standard error falls with the square root of the number of items, so on the log scale
    N = n (z ASE / ((1 - kappa) log((1 - goal) / (1 - kappa))))^2.
    """
    value, se, _ = kappa(counts)
    if not value > goal:
        return None
    n = int(counts.sum())
    if log_interval(counts)[0] > goal:
        return n
    if se == 0:  # all agree, and there are only too few of them
        p_e = float(counts.sum(axis=0) @ counts.sum(axis=1)) / n**2
        return math.ceil(math.log((1 - LEVEL) / 2) / math.log1p(-(1 - goal) * (1 - p_e)))
    return math.ceil(n * (Z * se / ((1 - value) * math.log((1 - goal) / (1 - value)))) ** 2)


def _pabak(counts: Int[np.ndarray, "categories categories"]) -> float:
    n, q = counts.sum(), len(counts)
    return float((q * np.trace(counts) / n - 1) / (q - 1)) if n and q > 1 else math.nan


def _ac1(counts: Int[np.ndarray, "categories categories"]) -> float:
    n, q = counts.sum(), len(counts)
    if n == 0 or q < 2:
        return math.nan
    pi: Float[np.ndarray, " categories"] = (counts.sum(axis=0) + counts.sum(axis=1)) / (2 * n)
    chance = float(np.sum(pi * (1 - pi))) / (q - 1)
    return (float(np.trace(counts)) / float(n) - chance) / (1 - chance)
