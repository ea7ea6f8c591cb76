"""Nested ridge regression, against scikit-learn's with loops written out."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float, Int
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from saebrain.items.folds import Folds, Split
from saebrain.items.kernels import linear, side_by_side
from saebrain.items.ridge import PENALTIES, mean_square, predict

FOLDS = Folds(outer=4, inner=3, seed=5)
SOME = PENALTIES[::3]
Features = Float[np.ndarray, "items features"]


def problem(n: int = 60, d: int = 15, *, seed: int = 0, noise: float = 1.0) -> tuple[list[Features], Float[np.ndarray, "items 3"], Split]:
    """Two sets of features, of which the second predicts target 1 and the first target 0, both far from the origin; target 2 is noise."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(n, d)) * 3 + 20, rng.normal(size=(n, d)) + 1
    y = np.stack([first @ rng.normal(size=d) / 8, second @ rng.normal(size=d) / 3, np.zeros(n)], axis=1) + noise * rng.normal(size=(n, 3)) + 7
    (split,) = FOLDS.divide(np.arange(n))
    return [first, second], y, split


def by_loops(
    sets: list[Features], y: Float[np.ndarray, "items targets"], split: Split, *, scale: bool = False
) -> tuple[Float[np.ndarray, "items targets"], Int[np.ndarray, "folds targets"], Float[np.ndarray, "folds targets"]]:
    """Predictions, chosen set and chosen penalty, one model at a time."""
    values = np.zeros_like(y)
    chosen, penalty = np.zeros((len(split.inner), y.shape[1]), int), np.zeros((len(split.inner), y.shape[1]))
    for fold, inner in enumerate(split.inner):
        train, test = np.flatnonzero(split.outer != fold), np.flatnonzero(split.outer == fold)
        for target in range(y.shape[1]):
            best = np.inf
            for number, features in enumerate(sets):
                x = StandardScaler().fit(features[train]).transform(features) if scale else features
                unit = np.square(x[train] - x[train].mean(axis=0)).sum() / len(train)
                for a in SOME:
                    loss = 0.0
                    for left_out in range(FOLDS.inner):
                        fitted = Ridge(alpha=a * unit).fit(x[train[inner != left_out]], y[train[inner != left_out], target])
                        loss += np.square(fitted.predict(x[train[inner == left_out]]) - y[train[inner == left_out], target]).sum()
                    if loss < best:
                        best, chosen[fold, target], penalty[fold, target] = loss, number, a
                        values[test, target] = Ridge(alpha=a * unit).fit(x[train], y[train, target]).predict(x[test])
    return values, chosen, penalty


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize(("n", "d"), [(60, 15), (40, 90)])
def test_as_scikit_learn_in_loops(n: int, d: int, scale: bool) -> None:
    sets, y, split = problem(n, d)
    found = predict([linear(x, scale=scale) for x in sets], y, split.outer, split.inner, penalties=SOME)
    values, chosen, penalty = by_loops(sets, y, split, scale=scale)
    assert len(np.unique(penalty)) > 1
    assert (found.kernel == chosen).all()
    assert found.penalty == pytest.approx(penalty)
    assert np.abs(found.values - values).max() < 1e-6 * y.std()
    if d == 15:
        assert (chosen[:, :2] == [0, 1]).all()


def test_scaled_within_the_training_items() -> None:
    """A deviation taken over all items would give other predictions."""
    sets, y, split = problem(40, 10)
    everywhere = [StandardScaler().fit_transform(x) for x in sets]
    scaled = predict([linear(x, scale=True) for x in sets], y, split.outer, split.inner)
    leaky = predict([linear(x) for x in everywhere], y, split.outer, split.inner)
    assert np.abs(scaled.values - leaky.values).max() > 1e-3


def test_held_out_targets_take_no_part() -> None:
    """Other targets in a fold, and what is predicted for that fold stays the same: to the last bit, choices too."""
    sets, y, split = problem()
    kernels = [linear(x) for x in sets]
    before = predict(kernels, y, split.outer, split.inner)
    for fold in range(FOLDS.outer):
        test = split.outer == fold
        changed = y.copy()
        changed[test] = np.random.default_rng(1).normal(size=(test.sum(), y.shape[1])) * 1e3
        after = predict(kernels, changed, split.outer, split.inner)
        assert (after.values[test] == before.values[test]).all()
        assert (after.kernel[fold] == before.kernel[fold]).all()
        assert (after.penalty[fold] == before.penalty[fold]).all()
        assert not np.isclose(after.values[~test], before.values[~test]).any(axis=1).all()


def test_targets_do_not_see_each_other() -> None:
    sets, y, split = problem()
    kernels = [linear(x) for x in sets]
    together = predict(kernels, y, split.outer, split.inner)
    for target in range(y.shape[1]):
        alone = predict(kernels, y[:, [target]], split.outer, split.inner)
        assert together.values[:, target] == pytest.approx(alone.values[:, 0], abs=1e-9)


def test_neither_origin_nor_unit_matters() -> None:
    """Features are centred and penalties relative, so shifts and factors change nothing; a shift of the target moves predictions along."""
    (x, _), y, split = problem()
    shifted = predict([linear(x * 1e-3 + 5)], y + 100, split.outer, split.inner)
    plain = predict([linear(x)], y, split.outer, split.inner)
    assert shifted.values == pytest.approx(plain.values + 100, abs=1e-6)
    assert shifted.baseline == pytest.approx(plain.baseline + 100)


@pytest.mark.parametrize("scale", [False, True])
def test_features_that_do_not_vary_predict_the_mean(scale: bool) -> None:
    _, y, split = problem()
    found = predict([linear(np.full((len(y), 3), 0.1), scale=scale)], y, split.outer, split.inner)
    for fold in range(FOLDS.outer):
        test = split.outer == fold
        assert found.values[test] == pytest.approx(np.tile(y[~test].mean(axis=0), (test.sum(), 1)))
    assert (found.values == found.baseline).all()


def test_sparse_features_are_the_same_as_dense_ones() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((30, 5000)) * (rng.random((30, 5000)) < 0.01)
    training = rng.random(30) < 0.7
    for scale in (False, True):
        assert linear(sparse.csr_array(x), scale=scale)(training) == pytest.approx(linear(x, scale=scale)(training))
    assert linear(x)(training) == pytest.approx(x @ x.T)


def test_side_by_side_gives_each_the_same_weight() -> None:
    """As if the features stood in one matrix, each set divided by its root mean square around the training mean."""
    (first, second), _, split = problem()
    training = split.outer != 0
    unit = [x / np.sqrt(np.square(x[training] - x[training].mean(axis=0)).sum() / training.sum()) for x in (first, second)]
    found = side_by_side([linear(first), linear(second)])(training)
    assert found == pytest.approx(np.hstack(unit) @ np.hstack(unit).T)
    assert mean_square(found[np.ix_(training, training)]) == pytest.approx(2)
    assert side_by_side([linear(first)])(training) == pytest.approx(first @ first.T)
    constant = linear(np.ones((len(first), 2)))
    assert side_by_side([linear(first), constant])(training) == pytest.approx(unit[0] @ unit[0].T)
