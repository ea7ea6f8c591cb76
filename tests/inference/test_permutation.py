"""Randomisation tests: drivers against loops, and false positives and power on slow noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import signal, stats

from saebrain.errors import InputError
from saebrain.inference.orders import circular_shifts
from saebrain.inference.permutation import held_out_test, least_squares_fit, one_by_one, shift_features, shift_responses
from saebrain.inference.runs import mean_correlation, run_slices

RUNS = [60, 45, 52]
HALVES = [120, 120]


def slow(rng: np.random.Generator, lengths: list[int], columns: int) -> np.ndarray:
    """Runs of AR(1) noise with a lag-1 correlation of .9."""
    return np.concatenate([signal.lfilter([1], [1, -0.9], rng.normal(size=(n + 60, columns)), axis=0)[60:] for n in lengths])


def cross_validated(x: np.ndarray, lengths: list[int], alpha: float = 20.0) -> np.ndarray:
    """The matrix that takes responses to held-out ridge predictions: explicit, one fold after the other."""
    hat = np.zeros((len(x), len(x)))
    runs = run_slices(lengths)
    for test in runs:
        rows = np.concatenate([np.arange(run.start, run.stop) for run in runs if run != test])
        hat[test, rows] = x[test] @ np.linalg.solve(x[rows].T @ x[rows] + alpha * np.eye(x.shape[1]), x[rows].T)
    return hat


def smoothed_r(hat: np.ndarray, z: np.ndarray) -> np.ndarray:
    return mean_correlation(hat @ z, z, HALVES)


def test_held_out_test_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    p, y = slow(rng, RUNS, 4), slow(rng, RUNS, 4)
    orders = circular_shifts(RUNS, 30, minimum=5, seed=0)

    def statistic(z: np.ndarray) -> list[float]:
        return [float(np.mean([stats.pearsonr(p[run, v], z[run, v]).statistic for run in run_slices(RUNS)])) for v in range(4)]

    test = held_out_test(p, y, RUNS, orders)
    np.testing.assert_allclose(test.observed, statistic(y), atol=1e-10)
    np.testing.assert_allclose(test.null, [statistic(y[order]) for order in orders], atol=1e-10)
    np.testing.assert_allclose(test.p, (1 + (test.null >= test.observed).sum(axis=0)) / 31)
    assert test.smallest_p == 1 / 31


def test_held_out_test_gives_targets_without_data_no_p() -> None:
    rng = np.random.default_rng(0)
    y = slow(rng, RUNS, 3)
    y[:, 1] = 0
    test = held_out_test(slow(rng, RUNS, 3), y, RUNS, circular_shifts(RUNS, 20, minimum=5, seed=0))
    np.testing.assert_array_equal(np.isnan(test.p), [False, True, False])
    np.testing.assert_array_equal(np.isnan(test.familywise()), [False, True, False])


def test_shift_responses_scores_every_order_once_in_batches() -> None:
    rng = np.random.default_rng(0)
    y, weights = slow(rng, RUNS, 2), rng.normal(size=sum(RUNS))
    orders = circular_shifts(RUNS, 23, minimum=5, seed=0)
    seen, progress = [], []

    def score(versions: Sequence[np.ndarray]) -> np.ndarray:
        seen.append(len(versions))
        return np.stack([weights @ version for version in versions])

    test = shift_responses(score, y, orders, batch=10, report=lambda done, total: progress.append((done, total)))
    assert seen == [1, 10, 10, 3]
    assert progress == [(10, 23), (20, 23), (23, 23)]
    np.testing.assert_allclose(test.observed, weights @ y)
    np.testing.assert_allclose(test.null, [weights @ y[order] for order in orders])
    same = shift_responses(one_by_one(lambda version: weights @ version), y, orders)
    np.testing.assert_allclose(same.null, test.null)


def test_what_is_fitted_stays_in_place() -> None:
    """Freedman and Lane: the draw is the fit plus shifted residuals."""
    rng = np.random.default_rng(0)
    y, x = slow(rng, RUNS, 2), slow(rng, RUNS, 3)
    orders = circular_shifts(RUNS, 5, minimum=5, seed=0)
    fitted = least_squares_fit(x, y, RUNS)
    versions: list[np.ndarray] = []

    def score(given: Sequence[np.ndarray]) -> np.ndarray:
        versions.extend(given)
        return np.stack([z.sum(axis=0) for z in given])

    shift_responses(score, y, orders, fitted=fitted)
    np.testing.assert_allclose(versions[0], y)
    for order, version in zip(orders, versions[1:], strict=True):
        np.testing.assert_allclose(version, fitted + (y - fitted)[order])


def test_least_squares_fit_against_statsmodels() -> None:
    rng = np.random.default_rng(0)
    y, x = slow(rng, RUNS, 2), slow(rng, RUNS, 3)
    full = np.hstack([x, np.repeat(np.eye(3), RUNS, axis=0)])
    expected = np.stack([sm.OLS(column, full).fit().fittedvalues for column in y.T], axis=1)
    np.testing.assert_allclose(least_squares_fit(x, y, RUNS), expected, atol=1e-10)


def test_shifting_features_back_is_shifting_responses_on() -> None:
    """For a model without delays both give the same null, order by order."""
    rng = np.random.default_rng(0)
    x, y = slow(rng, RUNS, 3), slow(rng, RUNS, 2)
    orders = circular_shifts(RUNS, 15, minimum=5, seed=0)
    back = np.argsort(orders, axis=1)

    def score(features: np.ndarray, z: np.ndarray) -> np.ndarray:
        return mean_correlation(cross_validated(features, RUNS) @ z, z, RUNS)

    one = shift_responses(one_by_one(lambda z: score(x, z)), y, orders)
    other = shift_features(lambda order: score(x[order], y), len(y), back)
    np.testing.assert_allclose(one.observed, other.observed)
    np.testing.assert_allclose(one.null, other.null, atol=1e-10)


def rates(studies: int, columns: int = 20, n: int = 39) -> dict[str, float]:
    """Share of p <= .05 without any signal: refit, predictions kept, kept for one run only, far shifts only, samples shuffled."""
    found: dict[str, list[float]] = {"refit": [], "kept": [], "one run": [], "far shifts only": [], "shuffled": []}
    for number in range(studies):
        rng = np.random.default_rng([11, number])
        x, y = slow(rng, HALVES, 4), slow(rng, HALVES, columns)
        hat = cross_validated(x, HALVES)
        orders = circular_shifts(HALVES, n, seed=number)
        shuffled = np.stack([np.concatenate([rng.permutation(120), 120 + rng.permutation(120)]) for _ in range(n)])
        alone, far = (circular_shifts([120], n, minimum=minimum, seed=number) for minimum in (0, 20))
        tests = {
            "refit": shift_responses(one_by_one(partial(smoothed_r, hat)), y, orders),
            "kept": held_out_test(hat @ y, y, HALVES, orders),
            "one run": held_out_test((hat @ y)[120:], y[120:], [120], alone),
            "far shifts only": held_out_test((hat @ y)[120:], y[120:], [120], far),
            "shuffled": held_out_test((hat @ y)[120:], y[120:], [120], shuffled[:, 120:] - 120),
        }
        for name, test in tests.items():
            found[name].append(float(np.mean(test.p <= 0.05)))
    return {name: float(np.mean(values)) for name, values in found.items()}


def test_false_positives_without_signal() -> None:
    """The refit holds its level; not so predictions kept in cross-validation, near shifts left out, samples shuffled."""
    found = rates(120)
    assert 0.03 < found["refit"] < 0.07
    assert found["kept"] > 0.08
    assert found["shuffled"] > 0.2
    assert 0.03 < found["one run"] < 0.07
    assert found["far shifts only"] > 0.08


def test_signal_is_found() -> None:
    rng = np.random.default_rng(0)
    x = slow(rng, HALVES, 4)
    y = 0.8 * x @ rng.normal(size=(4, 20)) + slow(rng, HALVES, 20)
    hat = cross_validated(x, HALVES)
    test = shift_responses(one_by_one(partial(smoothed_r, hat)), y, circular_shifts(HALVES, 99, seed=0))
    assert np.mean(test.p <= 0.05) > 0.7
    assert np.mean(test.familywise() <= 0.05) > 0.4
    assert (test.p >= 0.01).all()


def test_nuisance_must_stay_in_place() -> None:
    """Responses follow the nuisance, features go with it and add nothing: only the test that keeps its fit holds the level."""
    plain, kept = [], []
    for number in range(60):
        rng = np.random.default_rng([12, number])
        nuisance = slow(rng, HALVES, 1)
        x = nuisance + 0.7 * slow(rng, HALVES, 3)
        y = 1.0 * nuisance + slow(rng, HALVES, 20)
        orders = circular_shifts(HALVES, 39, seed=number)
        alone, both = (cross_validated(part, HALVES) for part in (nuisance, np.hstack([nuisance, x])))

        score = one_by_one(partial(smoothed_r, both - 0.5 * alone))  # a score in which the nuisance has a share
        plain.append(np.mean(shift_responses(score, y, orders).p <= 0.05))
        kept.append(np.mean(shift_responses(score, y, orders, fitted=least_squares_fit(nuisance, y, HALVES)).p <= 0.05))
    assert np.mean(plain) > 0.2
    assert np.mean(kept) < 0.08


def test_orders_of_another_length_say_so() -> None:
    with pytest.raises(InputError, match=r"orders of shape \(20, 90\) for 157 samples"):
        held_out_test(np.zeros((157, 1)), np.zeros((157, 1)), RUNS, circular_shifts([90], 20, minimum=5, seed=0))
