"""Intervals by resampling: time points in blocks, subjects, items.

Each says what it takes for random. Resampling *samples* (of predictions and responses together) gives the uncertainty from a
finite recording, for these subjects and this fitted model; resampling *subjects* that from few subjects; resampling *items*
(sentences, pictures) that from these items. None of them fits anything again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from saebrain.errors import InputError
from saebrain.inference.runs import run_slices

Statistic = Callable[[Int[np.ndarray, " units"]], Float[np.ndarray, " targets"]]
"""A statistic of the units (samples, subjects, items) in an index, some of them more than once."""


@dataclass(frozen=True)
class Interval:
    """Percentile interval of a statistic: ``low`` and ``high`` per target, beside its value for the data as they are."""

    estimate: Float[np.ndarray, " targets"]
    low: Float[np.ndarray, " targets"]
    high: Float[np.ndarray, " targets"]
    level: float


def block_draws(run_lengths: list[int], n: int, *, length: int, seed: int) -> Int[np.ndarray, "draws samples"]:
    """Circular block bootstrap of samples within runs (Politis and Romano 1992): blocks from random starts, with replacement, until the run is full.

    ``length`` in samples, of the order of the memory of the product of prediction and response:
    :func:`saebrain.inference.autocorrelation.block_length`.

    Raises
    ------
    InputError
        If a run has fewer than three blocks.
    """
    if length < 1 or min(run_lengths) < 3 * length:
        raise InputError(f"blocks of {length} samples in a run of {min(run_lengths)}: 3 or more must fit; ask for shorter blocks")
    rng = np.random.default_rng(seed)
    parts = []
    for run, samples in zip(run_slices(run_lengths), run_lengths, strict=True):
        starts = rng.integers(samples, size=(n, -(-samples // length)))
        index = (starts[:, :, None] + np.arange(length)) % samples
        parts.append(run.start + index.reshape(n, -1)[:, :samples])
    return np.concatenate(parts, axis=1).astype(np.int32)


def unit_draws(n_units: int, n: int, *, seed: int) -> Int[np.ndarray, "draws units"]:
    """Subjects or items with replacement (Efron 1979). Fewer than about 10 subjects give intervals that are too narrow."""
    return np.random.default_rng(seed).integers(n_units, size=(n, n_units)).astype(np.int32)


def interval(statistic: Statistic, draws: Int[np.ndarray, "draws units"], *, level: float = 0.95) -> Interval:
    """Percentile interval: the (1 - level) / 2 and (1 + level) / 2 quantiles over the draws, NaN draws left out.

    Draws may be NaN where a resample does not vary; a target for which all are gets NaN.

    Raises
    ------
    InputError
        If ``level`` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"level {level}: give a confidence level between 0 and 1, such as 0.95")
    estimate = np.asarray(statistic(np.arange(draws.shape[1])), float)
    values = np.stack([np.asarray(statistic(draw), float) for draw in draws])
    known = ~np.isnan(values).all(axis=0)
    low, high = np.full(estimate.shape, np.nan), np.full(estimate.shape, np.nan)
    low[known], high[known] = np.nanquantile(values[:, known], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Interval(estimate, low, high, level)
