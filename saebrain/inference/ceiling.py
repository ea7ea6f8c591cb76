"""Noise ceilings: how well the best possible model could predict responses, and scores in units of that.

r is throughout Pearson's correlation within runs, averaged over runs. A ceiling is itself an estimate: from two
repeats of 652 samples of resting BOLD, one vertex in twenty without any signal gets .56 or more by chance, and dividing by that would
make scores out of nothing. :func:`chance_ceiling` gives the floor below which not to divide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from saebrain.errors import InputError
from saebrain.inference.runs import mean_correlation, run_slices

FLOOR = 0.2


@dataclass(frozen=True)
class Ceiling:
    """Bounds on the r that a perfect model can reach; equal where the method gives one number. NaN: no estimate."""

    lower: Float[np.ndarray, " vertices"]
    upper: Float[np.ndarray, " vertices"]


def spearman_brown(r: Float[np.ndarray, "*shape"], times: float) -> Float[np.ndarray, "*shape"]:
    """Reliability of a mean over ``times`` as many repeats: k r / (1 + (k - 1) r) (Spearman 1910; Brown 1910)."""
    return times * r / (1 + (times - 1) * r)


def split_half(
    repeats: Float[np.ndarray, "repeats samples vertices"], run_lengths: list[int], *, splits: int = 50, seed: int = 0
) -> Float[np.ndarray, " vertices"]:
    """Reliability of the mean over all repeats: r of two halves' means, averaged over random splits, stepped up to all repeats.

    Halves hold floor(N / 2) repeats each (an odd one is left out, another in each split), so that the step is
    N / floor(N / 2). The square root is the ceiling on r with the mean over repeats (:func:`repeat_ceiling`). Negative where
    repeats disagree.

    Raises
    ------
    InputError
        If there is one repeat only.
    """
    n = _check_repeats(repeats)
    half = n // 2
    rng = np.random.default_rng(seed)
    total = np.zeros(repeats.shape[2])
    splits = 1 if n == 2 else splits
    for _ in range(splits):
        order = rng.permutation(n)
        total += mean_correlation(repeats[order[:half]].mean(axis=0), repeats[order[half : 2 * half]].mean(axis=0), run_lengths)
    varies = _varies(repeats, run_lengths)
    r = np.maximum(total / splits, -0.99)  # -1 would divide by zero
    return np.where(varies, spearman_brown(r, n / half), np.nan)


def repeat_ceiling(repeats: Float[np.ndarray, "repeats samples vertices"], run_lengths: list[int], *, splits: int = 50, seed: int = 0) -> Ceiling:
    """Largest r with the mean over all repeats, sqrt(reliability); 0 where the reliability is negative."""
    reliability = split_half(repeats, run_lengths, splits=splits, seed=seed)
    ceiling = np.sqrt(np.clip(reliability, 0, 1))
    return Ceiling(ceiling, ceiling)


@dataclass(frozen=True)
class Power:
    """Variance of the responses, in their unit squared: of the signal that repeats share, and of the noise of one repeat."""

    signal: Float[np.ndarray, " vertices"]
    noise: Float[np.ndarray, " vertices"]

    def ceiling(self, n_repeats: int) -> Float[np.ndarray, " vertices"]:
        """Largest r with the mean of ``n_repeats``: sqrt(S / (S + N / n)); 0 where the signal power is not positive."""
        total = self.signal + self.noise / n_repeats
        share = np.divide(self.signal, total, out=np.full_like(total, np.nan), where=total > 0)
        return np.sqrt(np.clip(share, 0, 1))


def signal_power(repeats: Float[np.ndarray, "repeats samples vertices"], run_lengths: list[int]) -> Power:
    """Unbiased estimates of signal and noise power (Sahani and Linden 2003, equation 1).

    With P the variance over time within runs, averaged over runs, and N repeats:
    S = (N P(mean over repeats) - mean over repeats of P) / (N - 1), noise = mean of P - S. S may come out negative.
    """
    n = _check_repeats(repeats)
    of_mean = _variance(repeats.mean(axis=0), run_lengths)
    mean_of = np.mean([_variance(repeat, run_lengths) for repeat in repeats], axis=0)
    signal = (n * of_mean - mean_of) / (n - 1)
    return Power(signal, mean_of - signal)


def between_subjects(subjects: Float[np.ndarray, "subjects samples vertices"], run_lengths: list[int]) -> Ceiling:
    """Bounds on the mean r, over subjects, of a model that is the same for all (Nili et al. 2014).

    Lower: each subject with the mean of the *others*; upper: with the mean of all, itself included, which no model that is
    not told the data can beat on average (up to the weights of the mean). Responses are standardised within runs first, so that
    no subject counts more.

    Raises
    ------
    InputError
        If there is one subject only.
    """
    _check_repeats(subjects)
    z = np.stack([_standardised(subject, run_lengths) for subject in subjects])
    total = z.sum(axis=0)
    lower = np.mean([mean_correlation(one, total - one, run_lengths) for one in z], axis=0)
    upper = np.mean([mean_correlation(one, total, run_lengths) for one in z], axis=0)
    varies = _varies(subjects, run_lengths)
    return Ceiling(np.where(varies, lower, np.nan), np.where(varies, upper, np.nan))


def chance_ceiling(
    repeats: Float[np.ndarray, "repeats samples vertices"],
    run_lengths: list[int],
    orders: Int[np.ndarray, "draws samples"],
    *,
    quantile: float = 0.95,
    splits: int = 10,
    seed: int = 0,
) -> Float[np.ndarray, " vertices"]:
    """The ceiling that a vertex without shared signal stays under in ``quantile`` of cases: a floor for :func:`normalised` that the data justify.

    In each draw every repeat but the first takes another one of ``orders`` (:func:`saebrain.inference.orders.circular_shifts`),
    so that the repeats keep their memory and lose what they share.

    Raises
    ------
    InputError
        If there are fewer orders than repeats.
    """
    n = _check_repeats(repeats)
    if len(orders) < n:
        raise InputError(f"{len(orders)} orders for {n} repeats: every repeat needs one of its own; draw more shifts")
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(len(orders)):
        chosen = rng.choice(len(orders), n - 1, replace=False)
        moved = np.stack([repeats[0], *(repeat[orders[order]] for repeat, order in zip(repeats[1:], chosen, strict=True))])
        found.append(repeat_ceiling(moved, run_lengths, splits=splits, seed=seed).lower)
    return np.quantile(found, quantile, axis=0)


def normalised(r: Float[np.ndarray, " vertices"], ceiling: Float[np.ndarray, " vertices"], *, floor: float = FLOOR) -> Float[np.ndarray, " vertices"]:
    """r / ceiling, NaN where the ceiling is below ``floor`` or unknown.

    Values above 1 are kept: both are estimates, and cutting at 1 would hide a ceiling that is too low.
    """
    usable = ceiling >= floor  # False for NaN
    return np.divide(r, ceiling, out=np.full(np.shape(r), np.nan), where=usable)


def _check_repeats(repeats: Float[np.ndarray, "repeats samples vertices"]) -> int:
    if repeats.ndim != 3 or len(repeats) < 2:
        raise InputError(
            f"noise ceiling from an array of shape {repeats.shape}: give (repeats or subjects, samples, vertices) with two or more of the first"
        )
    return len(repeats)


def _variance(x: Float[np.ndarray, "samples vertices"], run_lengths: list[int]) -> Float[np.ndarray, " vertices"]:
    return np.mean([x[run].var(axis=0, dtype=np.float64) for run in run_slices(run_lengths)], axis=0)


def _varies(repeats: Float[np.ndarray, "repeats samples vertices"], run_lengths: list[int]) -> Float[np.ndarray, " vertices"]:
    return np.all([_variance(repeat, run_lengths) > 0 for repeat in repeats], axis=0)


def _standardised(x: Float[np.ndarray, "samples vertices"], run_lengths: list[int]) -> Float[np.ndarray, "samples vertices"]:
    parts = []
    for run in run_slices(run_lengths):
        centred = x[run] - x[run].mean(axis=0)
        deviation = centred.std(axis=0)
        parts.append(np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0))
    return np.concatenate(parts)
