"""Scores and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float
from scipy import stats

from saebrain.items.evaluate import Fitted, Sample
from saebrain.items.folds import Folds, Split
from saebrain.items.kernels import linear
from saebrain.items.pooling import Recipe
from saebrain.items.ridge import KernelOf, Predictions
from saebrain.items.score import fold_correlations, fraction, interval, mean_correlation, resamples

RECIPE = Recipe(("last",))


def predicted(values: Float[np.ndarray, " items"], splits: list[Split]) -> Fitted:
    """Predictions from outside, the same in every split."""
    nothing = np.zeros((5, 1), int)
    return Fitted([RECIPE], [Predictions(values[:, None], values[:, None], nothing, nothing.astype(float)) for _ in splits])


def sample(y: Float[np.ndarray, " items"], splits: list[Split], groups: np.ndarray | None = None, draws: int = 1000) -> Sample:
    return Sample(y, 0, splits, np.arange(len(y)) if groups is None else groups, draws, 0)


def test_within_folds_as_scipy() -> None:
    rng = np.random.default_rng(0)
    x, y, folds = rng.normal(size=50), rng.normal(size=50) + 1e3, rng.integers(0, 4, 50)
    expected = [stats.pearsonr(x[folds == fold], y[folds == fold])[0] for fold in range(4)]
    r = fold_correlations(x, y, folds)
    assert r[0] == pytest.approx(expected)
    assert mean_correlation(r, folds)[0] == pytest.approx(np.mean(expected))


def test_weights_count_items_several_times() -> None:
    rng = np.random.default_rng(0)
    x, y, folds = rng.normal(size=30), rng.normal(size=30), np.repeat([0, 1, 2], 10)
    (weights,) = resamples(np.arange(30), 20, 0)
    found = fold_correlations(x, y, folds, weights)
    for row, w in zip(found, weights.astype(int), strict=True):
        again = np.repeat(np.arange(30), w)
        expected = [stats.pearsonr(x[again[folds[again] == fold]], y[again[folds[again] == fold]])[0] for fold in range(3)]
        assert row == pytest.approx(expected)
        share = [w[folds == fold].sum() / 10 for fold in range(3)]
        assert mean_correlation(row[None], folds, w[None].astype(float))[0] == pytest.approx(np.average(expected, weights=share))


def test_folds_in_which_something_does_not_vary() -> None:
    y, folds = np.array([1.0, 2, 3, 5, 5, 5]), np.array([0, 0, 0, 1, 1, 1])
    assert fold_correlations(np.full(6, 0.1), y, folds)[0, 0] == 0
    r = fold_correlations(np.array([1.0, 2, 3, 1, 2, 3]), y, folds)
    assert r[0, 0] == pytest.approx(1)
    assert np.isnan(r[0, 1])
    assert mean_correlation(r, folds)[0] == pytest.approx(1)  # a fold without r is left out, not counted as 0


def test_an_offset_between_folds_is_no_prediction() -> None:
    """Training means are low where the held-out mean is high; r over all folds at once takes that for a failure."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=60)
    splits = Folds().divide(np.arange(60))
    means = np.array([y[splits[0].outer != fold].mean() for fold in range(5)])[splits[0].outer]
    figures = sample(y, splits, draws=100).figures({"dense": predicted(means, splits)})
    assert figures["dense"] == 0
    assert figures["concatenated"]["dense"] < -0.1


@pytest.mark.parametrize("group_size", [1, 10])
def test_intervals_cover(group_size: int) -> None:
    """Of the standard error that groups (members share their noise) really have; with single items that of Fisher's z."""
    rng = np.random.default_rng(0)
    covered, widths, trials, n, rho = 0, [], 80, 400, 0.5
    groups = np.repeat(np.arange(n // group_size), group_size)
    for trial in range(trials):
        shared = rng.normal(size=(2, n // group_size))[:, groups]
        x, y = shared[0], rho * shared[0] + np.sqrt(1 - rho**2) * shared[1]
        splits = Folds(seed=trial).divide(groups)
        low, high = sample(y, splits, groups, draws=200).figures({"dense": predicted(x, splits)})["intervals"]["dense"]
        covered += low < rho < high
        widths.append(high - low)
    expected = 2 * 1.96 * (1 - rho**2) / np.sqrt(n / group_size)
    assert np.median(widths) == pytest.approx(expected, rel=0.25)
    assert covered / trials > 0.85


def test_fraction_is_resampled_in_pairs() -> None:
    """Two equal representations have a fraction of exactly 1 in every resample, whatever their r."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    splits = Folds(repeats=2).divide(np.arange(200))
    fitted = predicted(y + 2 * rng.normal(size=200), splits)
    figures = sample(y, splits).figures({"dense": fitted, "sae": fitted})
    assert figures["fraction"] == 1
    assert figures["intervals"]["fraction"] == [1, 1]
    low, high = figures["intervals"]["dense"]
    assert low < figures["dense"] < high
    assert len(figures["by_fold"]["dense"]) == 10


def test_no_fraction_of_nothing() -> None:
    assert np.isnan(fraction(np.array([0.3, 0.3]), np.array([0.0, -0.1]))).all()
    assert interval(np.array([1.0] * 95 + [np.nan] * 5)) is None
    assert interval(np.array([0.0, 1.0] * 50)) == [0, 1]
    rng = np.random.default_rng(0)
    y = rng.normal(size=100)
    splits = Folds().divide(np.arange(100))
    figures = sample(y, splits).figures({"dense": predicted(-y, splits), "sae": predicted(y, splits)})
    assert figures["fraction"] is None
    assert figures["intervals"]["fraction"] is None


def test_resamples_take_groups_whole_and_are_seeded() -> None:
    groups = np.repeat(np.arange(20), 5)
    weights = np.concatenate(list(resamples(groups, 600, 0)))
    assert weights.shape == (600, 100)
    assert (weights.sum(axis=1) == 100).all()
    assert (weights == np.repeat(weights[:, ::5], 5, axis=1)).all()
    assert (weights == np.concatenate(list(resamples(groups, 600, 0)))).all()
    assert (weights != np.concatenate(list(resamples(groups, 600, 1)))).any()


def features(n: int, seed: int) -> dict[Recipe, KernelOf]:
    rng = np.random.default_rng(seed)
    return {Recipe(("last",)): linear(rng.normal(size=(n, 10))), Recipe(("mean",)): linear(rng.normal(size=(n, 10)))}


def test_nothing_planted_nothing_found() -> None:
    """The mean over many unrelated targets is 0, to its standard error, for the score; r over all folds at once is below it."""
    n, trials = 60, 60
    y = np.random.default_rng(1).normal(size=(n, trials))
    splits = Folds(seed=2).divide(np.arange(n))
    fitted = Fitted.of(features(n, 0), y, splits)
    figures = [Sample(y[:, t], t, splits, np.arange(n), 100, 0).figures({"dense": fitted}) for t in range(trials)]
    r = np.array([row["dense"] for row in figures])
    assert abs(r.mean()) < 3 * r.std() / np.sqrt(trials)
    assert np.mean([row["concatenated"]["dense"] for row in figures]) < -0.05


def test_what_is_planted_is_found() -> None:
    rng = np.random.default_rng(0)
    n = 200
    x = rng.normal(size=(n, 10))
    signal = x @ rng.normal(size=10) / np.sqrt(10)
    y = np.stack([rng.permutation(signal), signal + rng.normal(size=n)], axis=1)
    candidates = {Recipe(("last",)): linear(rng.normal(size=(n, 10))), Recipe(("mean",)): linear(x)}
    splits = Folds().divide(np.arange(n))
    fitted = Fitted.of(candidates, y, splits)
    shuffled, planted = (Sample(y[:, t], t, splits, np.arange(n), 200, 0).figures({"dense": fitted}) for t in range(2))
    ceiling = np.corrcoef(signal, y[:, 1])[0, 1]
    assert ceiling - 0.12 < planted["dense"] < ceiling + 0.02
    assert planted["pooling"]["dense"] == ["mean"] * 5
    assert abs(shuffled["dense"]) < 0.15
    assert planted["penalty"] != shuffled["penalty"]
    low, high = shuffled["intervals"]["dense"]
    assert low < 0 < high
