"""Banded ridge: an alpha a band, r split between them."""

from __future__ import annotations

import numpy as np
import pytest
from himalaya.backend import get_backend, set_backend
from himalaya.scoring import correlation_score_split
from sklearn.linear_model import Ridge

from saebrain.encoding.banded import BandedScores, banded_ridge, product_measure
from saebrain.encoding.layout import Layout
from saebrain.errors import InputError
from tests.encoding.problems import ALPHAS, UNEQUAL, Problem, correlations


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.make(12, lengths=UNEQUAL)


@pytest.fixture(scope="module")
def found(problem: Problem) -> BandedScores:
    features, nuisance = problem.kernels()
    return banded_ridge({"nuisance": nuisance, "semantic": features}, problem.y, problem.folds, ALPHAS, draws=12)


def test_shares_add_up_to_r(found: BandedScores) -> None:
    assert found.bands == ("nuisance", "semantic")
    np.testing.assert_allclose(found.shares.sum(axis=0), found.r, atol=1e-6)
    assert found.r[-1] > 0.5


def test_predictions_are_those_of_ridge_with_the_chosen_alphas(problem: Problem, found: BandedScores) -> None:
    """scikit-learn, each band's columns divided by the root of its alpha, refitted without the run."""
    features, nuisance = problem.designs()
    r, shares = np.zeros((3, 8)), np.zeros((3, 2, 8))
    for held, fold in enumerate(problem.folds):
        train = np.setdiff1d(np.arange(len(problem.y)), fold.out)
        for v in range(8):
            bands = [X / np.sqrt(alpha) for X, alpha in zip((nuisance, features), found.alphas[held, :, v], strict=True)]
            X, cut = np.hstack(bands), bands[0].shape[1]
            weights = Ridge(alpha=1.0, fit_intercept=False, solver="svd").fit(X[train], problem.y[train, v]).coef_
            parts = np.stack([X[fold.test, :cut] @ weights[:cut], X[fold.test, cut:] @ weights[cut:]])
            y = problem.y[fold.test, v]
            r[held, v] = np.corrcoef(parts.sum(axis=0), y)[0, 1]
            shares[held, :, v] = [np.cov(part, y)[0, 1] / (parts.sum(axis=0).std(ddof=1) * y.std(ddof=1)) for part in parts]
    np.testing.assert_allclose(found.r, r.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(found.shares, shares.mean(axis=0), atol=1e-3)


def test_noise_is_penalised_and_signal_is_not() -> None:
    """A band of noise beside one that explains: its alpha is far larger, its share small."""
    signal, noise = Problem.make(12, lengths=[60, 60, 60]), Problem.make(12, lengths=[60, 60, 60], seed=5)
    bands = {"noise": noise.kernels()[0], "signal": signal.kernels()[0]}
    scores = banded_ridge(bands, signal.y, signal.folds, ALPHAS, draws=20)
    assert (np.median(scores.alphas[:, 0, 4:], axis=0) > 5 * np.median(scores.alphas[:, 1, 4:], axis=0)).all()
    assert (scores.shares[1, 4:] > 5 * np.abs(scores.shares[0, 4:])).all()


@pytest.mark.parametrize("held", [0, 1, 2])
def test_alphas_are_chosen_without_the_run_that_is_scored(problem: Problem, found: BandedScores, held: int) -> None:
    features, nuisance = problem.kernels()
    other = problem.y.copy()
    other[problem.run == held] = 3 * np.random.default_rng(1).normal(size=other[problem.run == held].shape)
    after = banded_ridge({"nuisance": nuisance, "semantic": features}, other, problem.folds, ALPHAS, draws=12).alphas
    np.testing.assert_array_equal(after[held], found.alphas[held])
    assert (np.delete(after, held, axis=0) != np.delete(found.alphas, held, axis=0)).any()


def test_gaps_are_not_trained_on() -> None:
    layout = Layout.contiguous([150], 4, gap=6)
    problem = Problem.make(12, lengths=[segment.stop - segment.start for segment in layout.segments])
    features, nuisance = problem.kernels()
    before = banded_ridge({"n": nuisance, "s": features}, problem.y, layout.folds, ALPHAS, draws=4)
    gap = np.setdiff1d(layout.folds[0].out, layout.folds[0].test)
    problem.y[gap] += 100
    after = banded_ridge({"n": nuisance, "s": features}, problem.y, layout.folds, ALPHAS, draws=4)
    np.testing.assert_array_equal(after.alphas[0], before.alphas[0])
    assert (after.alphas != before.alphas).any()


def test_targets_without_data_score_nan(problem: Problem, found: BandedScores) -> None:
    y = problem.y.copy()
    y[:, 1], y[:, 4] = 3, np.nan
    features, nuisance = problem.kernels()
    with_gaps = banded_ridge({"nuisance": nuisance, "semantic": features}, y, problem.folds, ALPHAS, draws=12)
    assert np.flatnonzero(np.isnan(with_gaps.r)).tolist() == [1, 4]
    assert np.isnan(with_gaps.shares[:, [1, 4]]).all() and np.isnan(with_gaps.alphas[:, :, [1, 4]]).all()
    np.testing.assert_allclose(np.delete(with_gaps.r, [1, 4]), np.delete(found.r, [1, 4]), atol=1e-5)


def test_product_measure_is_himalayas() -> None:
    set_backend("numpy")
    rng = np.random.default_rng(0)
    parts, y = rng.normal(size=(3, 40, 5)), rng.normal(size=(40, 5))
    shares = product_measure(parts, y)
    np.testing.assert_allclose(shares, correlation_score_split(y, parts), atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=0), correlations(parts.sum(axis=0), y), atol=1e-6)
    parts[:, :, 1], y[:, 2] = 4, 4
    assert (product_measure(parts, y)[:, 1] == 0).all()
    assert np.isnan(product_measure(parts, y)[:, 2]).all()


def test_himalayas_backend_is_put_back(problem: Problem) -> None:
    set_backend("numpy")
    _, nuisance = problem.kernels()
    seen: list[tuple[int, int]] = []
    banded_ridge({"nuisance": nuisance}, problem.y, problem.folds, [1.0], draws=1, report=lambda done, total: seen.append((done, total)))
    assert get_backend().name == "numpy"
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_no_band_is_refused(problem: Problem) -> None:
    with pytest.raises(InputError, match=r"received no band; give at least"):
        banded_ridge({}, problem.y, problem.folds, ALPHAS)
