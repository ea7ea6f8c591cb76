"""Bootstrap intervals against scipy and by their coverage."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import signal, stats

from saebrain.errors import InputError
from saebrain.inference.bootstrap import block_draws, interval, unit_draws
from saebrain.inference.runs import run_slices


def test_interval_agrees_with_scipy() -> None:
    x = np.random.default_rng(0).exponential(size=(40, 3))
    found = interval(lambda index: x[index].mean(axis=0), unit_draws(40, 4000, seed=0))
    expected = stats.bootstrap((x,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(1)).confidence_interval
    np.testing.assert_allclose(found.low, expected.low, atol=0.03)
    np.testing.assert_allclose(found.high, expected.high, atol=0.03)
    np.testing.assert_allclose(found.estimate, x.mean(axis=0))


def test_blocks_are_whole_and_stay_in_their_run() -> None:
    draws = block_draws([50, 33], 40, length=10, seed=0)
    assert draws.shape == (40, 83)
    for draw in draws:
        for run, length in zip(run_slices([50, 33]), [50, 33], strict=True):
            part = draw[run] - run.start
            assert part.min() >= 0
            assert part.max() < length
            steps = np.diff(part) % length
            assert (np.delete(steps, np.arange(9, length - 1, 10)) == 1).all()


def test_every_sample_is_drawn_as_often_as_any() -> None:
    counts = np.bincount(block_draws([40], 3000, length=10, seed=0).ravel(), minlength=40)
    assert counts.min() > 0.9 * counts.max()


def mean_of(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    return np.asarray(x[index].mean(axis=0))


def coverage(length: int) -> float:
    """Share of 95% intervals that hold the true mean of AR(1) noise."""
    hits = []
    for seed in range(60):
        x = signal.lfilter([1], [1, -0.9], np.random.default_rng(seed).normal(size=(900, 10)), axis=0)[100:]
        found = interval(partial(mean_of, x), block_draws([400, 400], 200, length=length, seed=seed))
        hits.append(np.mean((found.low <= 0) & (found.high >= 0)))
    return float(np.mean(hits))


def test_blocks_cover_where_single_samples_do_not() -> None:
    assert coverage(60) > 0.85
    assert coverage(1) < 0.5


def test_draws_without_a_value_are_left_out() -> None:
    x = np.random.default_rng(0).normal(size=20)

    def sometimes(index: np.ndarray) -> np.ndarray:
        return np.array([x[index].mean() if index[0] % 2 else np.nan, np.nan])

    found = interval(sometimes, unit_draws(20, 300, seed=0))
    assert np.isfinite(found.low[0])
    assert np.isnan(found.low[1])


def test_bad_requests_say_so() -> None:
    with pytest.raises(InputError, match="blocks of 20 samples in a run of 50"):
        block_draws([50, 90], 5, length=20, seed=0)
    with pytest.raises(InputError, match="level 0"):
        interval(lambda index: index[:1].astype(float), unit_draws(5, 5, seed=0), level=0)
