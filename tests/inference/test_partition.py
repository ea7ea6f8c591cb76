"""Variance partitioning against definitions, and orthogonal designs of which the parts are known."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from sklearn.metrics import r2_score

from saebrain.errors import InputError
from saebrain.inference.partition import partition, r_squared, signed_square, subsets

NAMES = ["social", "place", "action", "emotion", "quantity"]


def mask(names: tuple[str, ...]) -> int:
    return subsets(NAMES).index(tuple(name for name in NAMES if name in names))


def test_subsets_are_in_the_order_of_their_bits() -> None:
    assert len(subsets(NAMES)) == 32
    assert subsets(NAMES)[0] == ()
    assert subsets(NAMES)[5] == ("social", "action")
    assert subsets(NAMES)[31] == tuple(NAMES)


def test_components_rebuild_every_score() -> None:
    """v(S) = v(none) + the components that share a member with S."""
    scores = np.random.default_rng(0).normal(size=(32, 3))
    parts = partition(scores)
    for s in range(32):
        np.testing.assert_allclose(scores[s], parts.components[0] + sum(parts.components[t] for t in range(1, 32) if t & s), atol=1e-12)


def test_components_of_three_sets_as_in_a_venn_diagram() -> None:
    a, b, c, ab, ac, bc, abc = np.random.default_rng(0).random(7)
    v = np.array([0, a, b, ab, c, ac, bc, abc])  # order of bits: a = 1, b = 2, c = 4
    parts = partition(v)
    np.testing.assert_allclose(parts.unique, [abc - bc, abc - ac, abc - ab])
    np.testing.assert_allclose(parts.components[3], ac + bc - c - abc)  # a and b, not c
    np.testing.assert_allclose(parts.components[7], abc - ab - ac - bc + a + b + c)
    np.testing.assert_allclose(parts.shared, [a - (abc - bc), b - (abc - ac), c - (abc - ab)])


def test_shapley_values_by_going_through_all_orders() -> None:
    scores = np.random.default_rng(1).normal(size=(32, 2))
    expected = np.zeros((5, 2))
    for order in permutations(range(5)):
        seen = 0
        for player in order:
            expected[player] += (scores[seen | 1 << player] - scores[seen]) / 120
            seen |= 1 << player
    parts = partition(scores)
    np.testing.assert_allclose(parts.shapley, expected, atol=1e-12)
    np.testing.assert_allclose(parts.shapley.sum(axis=0), parts.total)


def test_orthogonal_sets_share_nothing_and_copies_share_all() -> None:
    rng = np.random.default_rng(0)
    x = np.linalg.qr(rng.normal(size=(200, 4)))[0] * np.sqrt(200)
    columns = {"social": x[:, :1], "place": x[:, 1:2], "action": x[:, 2:3], "emotion": x[:, 2:3], "quantity": x[:, 3:4]}
    weights = np.array([2.0, 1.0, 1.5, 0.0])
    y = x @ weights
    scores = []
    for names in subsets(NAMES):
        design = np.hstack([np.zeros((200, 1)), *(columns[name] for name in names)])
        prediction = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        scores.append(1 - np.sum((y - prediction) ** 2) / np.sum(y**2))
    parts = partition(np.array(scores))
    share = weights**2 / np.sum(weights**2)
    np.testing.assert_allclose(parts.unique, [share[0], share[1], 0, 0, 0], atol=1e-10)
    np.testing.assert_allclose(parts.components[mask(("action", "emotion"))], share[2], atol=1e-10)
    np.testing.assert_allclose(parts.shared, [0, 0, share[2], share[2], 0], atol=1e-10)
    np.testing.assert_allclose(parts.shapley, [share[0], share[1], share[2] / 2, share[2] / 2, 0], atol=1e-10)
    np.testing.assert_allclose(sum(parts.components[mask(pair)] for pair in combinations(NAMES, 2)), share[2], atol=1e-10)


def test_nuisance_is_in_no_component() -> None:
    scores = np.random.default_rng(0).random((32, 4))
    np.testing.assert_allclose(partition(scores + 5).unique, partition(scores).unique, atol=1e-12)
    np.testing.assert_allclose(partition(scores + 5).components[0], scores[0] + 5)


def test_r_squared_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(60, 3))
    p = 0.4 * y + 0.3 * rng.normal(size=(60, 3))
    y, p = y - y.mean(axis=0), p - p.mean(axis=0)
    np.testing.assert_allclose(r_squared(p, y, [60]), r2_score(y, p, multioutput="raw_values"))
    np.testing.assert_allclose(r_squared(p + np.repeat([3.0, -1.0], 30)[:, None], y, [30, 30]), r_squared(p, y, [30, 30]))
    assert (r_squared(-p, y, [60]) < 0).all()


def test_r_squared_knows_scale_and_signed_square_does_not() -> None:
    y = np.random.default_rng(0).normal(size=(50, 1))
    assert r_squared(3 * y, y, [50])[0] == pytest.approx(-3)
    np.testing.assert_allclose(signed_square(np.array([-0.5, 0.2])), [-0.25, 0.04])
    assert np.isnan(r_squared(y, np.ones((50, 1)), [50])[0])


def test_missing_subsets_say_so() -> None:
    with pytest.raises(InputError, match="31 scores: variance partitioning needs those of all subsets"):
        partition(np.zeros(31))
