"""Targets with an alpha each, and many versions of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from saebrain.encoding.scorer import Scorer, correlation
from tests.encoding.problems import ALPHAS, UNEQUAL, Problem, correlations, nested_ridge


def scorer(problem: Problem, *, features: bool = True, keep: bool = False) -> Scorer:
    own, nuisance = problem.kernels()
    return Scorer(own if features else None, nuisance, problem.folds, ALPHAS, n_targets=100, keep=keep, device="cpu")


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.make(30, lengths=UNEQUAL)


def test_each_target_has_its_own_alpha(problem: Problem) -> None:
    features, nuisance = problem.designs()
    r, r_features, best = nested_ridge(np.hstack([features, nuisance]), features.shape[1], problem.y.astype(float), problem.folds, ALPHAS)
    found = scorer(problem).score(problem.y)
    np.testing.assert_allclose(np.array(ALPHAS)[found.chosen], best)
    np.testing.assert_allclose(found.r.mean(axis=0), r, atol=1e-3)
    np.testing.assert_allclose(found.r_features.mean(axis=0), r_features, atol=1e-3)


def test_given_alphas_are_taken(problem: Problem) -> None:
    chosen = np.tile(np.arange(8) % len(ALPHAS), (3, 1))
    found = scorer(problem).score(problem.y, chosen)
    alone = [scorer(problem).score(problem.y[:, [v]], chosen[:, [v]]).r[:, 0] for v in range(8)]
    np.testing.assert_array_equal(found.chosen, chosen)
    np.testing.assert_allclose(found.r, np.stack(alone, axis=1), atol=1e-5)


def test_predictions_are_of_every_sample_once(problem: Problem) -> None:
    model = scorer(problem)
    scores = model.score(problem.y)
    whole, part = model.predictions(problem.y, scores.chosen)
    assert np.isfinite(whole).all()
    for number, fold in enumerate(problem.folds):
        np.testing.assert_allclose(correlations(whole[fold.test], problem.y[fold.test]), scores.r[number], atol=1e-5)
        np.testing.assert_allclose(correlations(part[fold.test], problem.y[fold.test]), scores.r_features[number], atol=1e-5)


def test_versions_are_scored_as_if_each_were_alone(problem: Problem) -> None:
    shifted = [np.concatenate([np.roll(part, 7 * n, axis=0) for part in np.split(problem.y, np.cumsum(UNEQUAL)[:-1])]) for n in range(4)]
    many = scorer(problem, keep=True)
    for part in ("whole", "features"):
        found = many.score_versions(shifted, part="whole" if part == "whole" else "features")
        assert found.shape == (4, 8)
        for row, version in zip(found, shifted, strict=True):
            scores = scorer(problem).score(version)
            np.testing.assert_allclose(row, (scores.r if part == "whole" else scores.r_features).mean(axis=0), atol=1e-5)
    chosen = many.score(problem.y).chosen
    np.testing.assert_allclose(many.score_versions(shifted, chosen)[2], scorer(problem).score(shifted[2], chosen).r.mean(axis=0), atol=1e-5)


def test_the_order_in_memory_does_not_matter(problem: Problem) -> None:
    one, other = (scorer(problem).score(order(problem.y)) for order in (np.ascontiguousarray, np.asfortranarray))
    np.testing.assert_array_equal(one.chosen, other.chosen)
    np.testing.assert_allclose(one.r, other.r, atol=1e-6)


def test_without_features(problem: Problem) -> None:
    model = scorer(problem, features=False)
    scores = model.score(problem.y)
    assert np.isnan(scores.r_features).all() and np.isfinite(scores.r).all()
    assert model.predictions(problem.y, scores.chosen).shape == (1, *problem.y.shape)


def test_targets_without_data_score_nan(problem: Problem) -> None:
    y = problem.y.copy()
    y[:, 1], y[:, 4] = 0, np.nan
    found = scorer(problem).score(y)
    assert np.flatnonzero(np.isnan(found.r).any(axis=0)).tolist() == [1, 4]
    np.testing.assert_allclose(np.delete(found.r, [1, 4], axis=1), np.delete(scorer(problem).score(problem.y).r, [1, 4], axis=1), atol=1e-5)


def test_correlation_is_pearsons() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(100, 5, (50, 6)).astype(np.float32), rng.normal(-3, 1, (50, 6)).astype(np.float32)
    a[:, 1], b[:, 2] = 7, 7
    found = correlation(torch.from_numpy(np.stack([a, -a])), torch.from_numpy(b)).numpy()
    for v in (0, 3, 4, 5):
        assert found[0, v] == pytest.approx(np.corrcoef(a[:, v], b[:, v])[0, 1], abs=1e-5)
    assert found[0, 1] == 0
    assert np.isnan(found[:, 2]).all()
    np.testing.assert_allclose(found[0], -found[1])
