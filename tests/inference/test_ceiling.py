"""Noise ceilings against known signal-to-noise ratios, published equations and each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from saebrain.errors import InputError
from saebrain.inference.ceiling import between_subjects, chance_ceiling, normalised, repeat_ceiling, signal_power, spearman_brown, split_half
from saebrain.inference.orders import circular_shifts
from saebrain.inference.runs import mean_correlation

RUNS = [4000, 3000]
SHARES = np.array([0.0, 0.1, 0.3, 0.6, 0.9])  # of signal in the variance of one repeat


def repeats(n: int, runs: list[int] | None = None, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The signal (variance = share) and n noisy repeats of it (variance 1)."""
    rng = np.random.default_rng(seed)
    samples = sum(runs or RUNS)
    common = rng.normal(size=(samples, len(SHARES))) * np.sqrt(SHARES)
    return common, common + rng.normal(size=(n, samples, len(SHARES))) * np.sqrt(1 - SHARES)


def test_spearman_brown_of_parallel_tests() -> None:
    """Reliability of a mean of k from the variances of its parts: share / (share + (1 - share) / k)."""
    for share in (0.1, 0.5, 0.8):
        assert spearman_brown(np.array(share), 4) == pytest.approx(share / (share + (1 - share) / 4))
        assert spearman_brown(spearman_brown(np.array(share), 4), 1 / 4) == pytest.approx(share)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_split_half_finds_the_reliability_of_the_mean(n: int) -> None:
    expected = SHARES / (SHARES + (1 - SHARES) / n)
    np.testing.assert_allclose(split_half(repeats(n)[1], RUNS), expected, atol=0.04)


@pytest.mark.parametrize("n", [2, 5])
def test_ceiling_is_the_r_of_the_true_signal(n: int) -> None:
    common, data = repeats(n)
    reached = mean_correlation(common, data.mean(axis=0), RUNS)
    ceiling = repeat_ceiling(data, RUNS)
    np.testing.assert_allclose(ceiling.lower[1:], reached[1:], atol=0.04)
    np.testing.assert_allclose(signal_power(data, RUNS).ceiling(n)[1:], reached[1:], atol=0.04)
    np.testing.assert_array_equal(ceiling.lower, ceiling.upper)


def test_signal_power_is_unbiased() -> None:
    """Over many small data sets, signal and noise power average to the truth, also where there is no signal."""
    found = [signal_power(repeats(3, [40, 30], seed)[1], [40, 30]) for seed in range(600)]
    ddof = np.mean([39 / 40, 29 / 30])  # variance about the run's own mean
    np.testing.assert_allclose(np.mean([power.signal for power in found], axis=0), SHARES * ddof, atol=0.02)
    np.testing.assert_allclose(np.mean([power.noise for power in found], axis=0), (1 - SHARES) * ddof, atol=0.02)
    assert min(power.signal.min() for power in found) < 0


def test_between_subjects_bounds_hold_the_true_models_r() -> None:
    common, data = repeats(6)
    ceiling = between_subjects(data, RUNS)
    reached = np.mean([mean_correlation(common, one, RUNS) for one in data], axis=0)
    assert (ceiling.lower[1:] <= reached[1:] + 0.02).all()
    assert (ceiling.upper >= reached - 0.02).all()
    assert (ceiling.lower < ceiling.upper).all()
    expected = SHARES / np.sqrt(SHARES + (1 - SHARES) / 5)  # of one with the mean of five others
    np.testing.assert_allclose(ceiling.lower, expected, atol=0.03)
    many = between_subjects(repeats(40, [1000])[1], [1000])
    assert (many.upper - many.lower)[2:].max() < (ceiling.upper - ceiling.lower)[2:].max()


def test_loud_subjects_do_not_count_more() -> None:
    data = repeats(4)[1]
    np.testing.assert_allclose(between_subjects(data * np.array([1, 50, 3, 0.1])[:, None, None], RUNS).lower, between_subjects(data, RUNS).lower)


def test_normalised_scores_reach_one_and_are_not_cut() -> None:
    common, data = repeats(4)
    r = mean_correlation(common, data.mean(axis=0), RUNS)
    score = normalised(r, repeat_ceiling(data, RUNS).lower)
    np.testing.assert_allclose(score[1:], 1, atol=0.08)
    np.testing.assert_array_equal(normalised(np.array([0.5, 0.5, 0.1, 0.1]), np.array([0.4, np.nan, 0.19, 0.2])), [1.25, np.nan, np.nan, 0.5])
    assert normalised(np.array([0.1]), np.array([0.15]), floor=0.1)[0] == pytest.approx(2 / 3)


def test_vertices_without_data_have_no_ceiling() -> None:
    data = repeats(3, [50])[1]
    data[:, :, 2] = 0
    for found in (split_half(data, [50]), between_subjects(data, [50]).lower, between_subjects(data, [50]).upper):
        np.testing.assert_array_equal(np.isnan(found), [False, False, True, False, False])
    assert np.isnan(signal_power(data, [50]).ceiling(3)[2])


def test_chance_ceiling_of_slow_noise_is_high_and_holds() -> None:
    """About 5% of vertices without signal exceed it; it is far above the default floor."""
    noise = signal.lfilter([1], [1, -0.95], np.random.default_rng(0).normal(size=(2, 400, 60)), axis=1)
    floor = chance_ceiling(noise, [400], circular_shifts([400], 60, seed=0))
    assert 0.4 < np.median(floor) < 0.8
    assert np.mean(repeat_ceiling(noise, [400]).lower > floor) < 0.15


def test_one_repeat_says_so() -> None:
    with pytest.raises(InputError, match=r"noise ceiling from an array of shape \(1, 20, 3\)"):
        split_half(np.zeros((1, 20, 3)), [20])
    with pytest.raises(InputError, match="1 orders for 2 repeats"):
        chance_ceiling(np.zeros((2, 20, 3)), [20], np.arange(20)[None])
