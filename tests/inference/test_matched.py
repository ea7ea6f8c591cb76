"""Matched baselines: what is drawn, how well it matches, and the test's calibration."""

from __future__ import annotations

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.inference.matched import MatchedSets, compare, matched_sets, matched_test
from saebrain.inference.multiple import p_values


def spread(features: int, seed: int = 0, width: float = 1.0) -> np.ndarray:
    return np.exp(width * np.random.default_rng(seed).normal(size=features))


def draw(size: int = 30, features: int = 2000, n: int = 100, seed: int = 0, candidates: int = 20) -> tuple[np.ndarray, MatchedSets]:
    variance = spread(features)
    selection = np.random.default_rng(seed + 1).choice(features, size, replace=False)
    return variance, matched_sets(variance, selection, n=n, seed=seed, candidates=candidates)


def test_sets_have_the_selections_number_and_variance_and_none_of_its_features() -> None:
    variance, found = draw()
    assert found.sets.shape == (100, 30)
    assert not np.isin(found.sets, found.selection).any()
    assert all(len(set(row)) == 30 for row in found.sets.tolist())
    np.testing.assert_allclose(found.deviation, variance[found.sets].sum(axis=1) / variance[found.selection].sum() - 1)
    assert found.max_deviation < 0.06
    assert np.abs(np.log(variance[found.sets] / variance[found.selection])).mean() < 0.1  # and feature by feature


def test_random_sets_would_not_match() -> None:
    """The lively half as selection: a random set of features has far less variance."""
    variance = spread(2000)
    lively = np.argsort(-variance)[100:400:10]
    found = matched_sets(variance, lively, n=50, seed=0)
    assert found.max_deviation < 0.06
    others = np.setdiff1d(np.arange(2000), lively)
    random = [variance[np.random.default_rng(seed).choice(others, 30, replace=False)].sum() for seed in range(50)]
    assert np.max(random) < 0.8 * variance[lively].sum()


def test_pool_and_silent_features() -> None:
    variance = spread(500)
    variance[::3] = 0
    pool = np.arange(500) >= 200
    found = matched_sets(variance, np.arange(1, 31), n=40, seed=0, pool=pool)
    assert found.sets.min() >= 200
    assert (variance[found.sets] > 0).all()
    assert found.dropped == 10
    assert len(found.selection) == 20 == found.sets.shape[1]


def test_overlap_is_the_mean_share_of_common_features() -> None:
    _, found = draw(n=25, features=200)
    pairs = [len(np.intersect1d(a, b)) / 30 for i, a in enumerate(found.sets) for b in found.sets[:i]]
    assert found.overlap == pytest.approx(np.mean(pairs))


def test_selection_with_the_liveliest_feature_is_reported_as_unmatched() -> None:
    variance = spread(500)
    variance[7] = 1000 * variance.max()
    found = matched_sets(variance, np.arange(20), n=20, seed=0)
    assert found.deviation.max() < -0.9
    assert found.max_deviation > 0.9


def test_same_seed_same_sets() -> None:
    np.testing.assert_array_equal(draw(seed=3)[1].sets, draw(seed=3)[1].sets)
    assert (draw(seed=3)[1].sets != draw(seed=3, candidates=10)[1].sets).any()


def test_too_small_a_pool_says_so() -> None:
    with pytest.raises(InputError, match="matched baseline: 70 features outside the selection for 40 in it; 80 or more are needed"):
        matched_sets(spread(110), np.arange(40), n=10, seed=0)
    with pytest.raises(InputError, match="none of the 3 selected features varies"):
        matched_sets(np.zeros(100), np.arange(3), n=10, seed=0)


def test_scores_p_and_d() -> None:
    worth = np.random.default_rng(5).normal(size=(2000, 3))
    found = draw()[1]
    worth[found.selection] += [0.0, 0.3, 2.0]
    test = matched_test(lambda chosen: worth[chosen].sum(axis=0), found)
    np.testing.assert_allclose(test.null, [worth[row].sum(axis=0) for row in found.sets])
    np.testing.assert_allclose(test.d, (worth[found.selection].sum(axis=0) - test.null.mean(axis=0)) / test.null.std(axis=0, ddof=1))
    assert test.p[2] == 1 / 101
    assert test.d[2] > 5
    assert test.p[0] > 0.02
    assert test.widening == pytest.approx(np.sqrt((1 + found.overlap) / (1 - found.overlap)))


def test_draws_that_do_not_vary_have_no_d() -> None:
    test = compare(np.array([1.0]), np.ones((20, 1)), overlap=0.1)
    assert np.isnan(test.d[0])
    assert test.p[0] == 1


def test_calibration_with_a_small_pool() -> None:
    """Additive scores, a fifth of the pool in each set: as many false positives as there should be, and too many without the widening."""
    widened, plain = [], []
    for seed in range(250):
        rng = np.random.default_rng([4, seed])
        variance, worth = np.exp(0.3 * rng.normal(size=120)), rng.normal(size=(120, 4))
        found = matched_sets(variance, rng.choice(120, 20, replace=False), n=59, seed=seed, candidates=50)
        test = compare(worth[found.selection].sum(axis=0), worth[found.sets].sum(axis=1), overlap=found.overlap)
        assert found.overlap > 0.15
        widened.append(np.mean(test.p <= 0.05))
        plain.append(np.mean(p_values(test.observed, test.null) <= 0.05))
    assert 0.03 < np.mean(widened) < 0.07
    assert np.mean(plain) > 0.075
