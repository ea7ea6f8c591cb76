"""Kernel ridge, leave-one-run-out: against explicit designs, scikit-learn's ridge and himalaya's kernel ridge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidge

from saebrain.encoding import scorer
from saebrain.encoding.score import leave_one_run_out
from saebrain.errors import InputError
from saebrain.scores import Scores
from tests.encoding.problems import ALPHAS, UNEQUAL, Problem, centred, correlations, delayed_design, nested_ridge


@pytest.mark.parametrize("n_features", [4, 60], ids=["fewer features than samples", "more features than samples"])
@pytest.mark.parametrize("lengths", [[36, 36, 36], UNEQUAL, [25, 20, 30, 22], [24, 20, 22, 18, 25, 20, 21]], ids=["3", "3 unequal", "4", "7"])
def test_scores_equal_nested_ridge_on_the_explicit_design(n_features: int, lengths: list[int]) -> None:
    problem = Problem.make(n_features, lengths=lengths)
    features, nuisance = problem.designs()
    r, r_features, best = nested_ridge(np.hstack([features, nuisance]), features.shape[1], problem.y.astype(float), problem.folds, ALPHAS)
    found = problem.score()
    assert len(np.unique(best)) > 1  # there is something to choose
    np.testing.assert_allclose(found.alphas, best, rtol=1e-6)
    np.testing.assert_allclose(found.r, r, atol=1e-3)
    np.testing.assert_allclose(found.r_features, r_features, atol=1e-3)
    assert found.r.max() > 0.5


def test_rank_deficient_designs() -> None:
    """A feature twice, one that is the sum of two others, one that is a nuisance band, one that is silent."""
    problem = Problem.make(6, lengths=UNEQUAL)
    x = problem.features
    x[:, 1], x[:, 2], x[:, 3], x[:, 5] = x[:, 0], x[:, 0] + x[:, 4], problem.nuisance[:, 0], 0
    features, nuisance = problem.designs()
    X = np.hstack([features, nuisance])
    assert np.linalg.matrix_rank(X) < X.shape[1] - 5
    r, r_features, best = nested_ridge(X, features.shape[1], problem.y.astype(float), problem.folds, ALPHAS)
    found = problem.score()
    np.testing.assert_allclose(found.alphas, best, rtol=1e-6)
    np.testing.assert_allclose(found.r, r, atol=1e-3)
    np.testing.assert_allclose(found.r_features, r_features, atol=1e-3)


@pytest.mark.parametrize("alpha", [0.01, 3.0])
def test_one_alpha(alpha: float) -> None:
    problem = Problem.make(10, lengths=UNEQUAL)
    features, nuisance = problem.designs()
    X = np.hstack([features, nuisance])
    r, r_features, _ = nested_ridge(X, features.shape[1], problem.y.astype(float), problem.folds, [alpha])
    found = problem.score(alphas=[alpha])
    assert np.all(found.alphas == np.float32(alpha))
    np.testing.assert_allclose(found.r, r, atol=1e-3)
    np.testing.assert_allclose(found.r_features, r_features, atol=1e-3)


@pytest.mark.parametrize("lengths", [UNEQUAL, [20] * 8])
def test_scores_equal_himalaya_with_the_chosen_alphas(lengths: list[int]) -> None:
    set_backend("numpy")
    problem = Problem.make(60, lengths=lengths)
    features, nuisance = problem.kernels()
    found = problem.score()
    r = np.zeros((len(lengths), problem.y.shape[1]))
    for held in range(len(lengths)):
        train, test = problem.run != held, problem.run == held
        K = features + nuisance
        model = KernelRidge(alpha=found.alphas[held], kernel="precomputed", solver="eigenvalues").fit(K[np.ix_(train, train)], problem.y[train])
        r[held] = correlations(model.predict(K[np.ix_(test, train)]), problem.y[test])
    np.testing.assert_allclose(found.r, r.mean(axis=0), atol=1e-4)


def test_single_precision_equals_double() -> None:
    problem = Problem.make(60, lengths=UNEQUAL)
    found, exact = (
        leave_one_run_out(*problem.kernels(), [problem.y], problem.folds, np.arange(8), ALPHAS, device="cpu", dtype=dtype)[0]
        for dtype in (torch.float32, torch.float64)
    )
    np.testing.assert_array_equal(found.alphas, exact.alphas)
    np.testing.assert_allclose(found.r, exact.r, atol=1e-5)
    np.testing.assert_allclose(found.r_features, exact.r_features, atol=1e-5)


def test_nuisance_alone() -> None:
    problem = Problem.make(5, lengths=UNEQUAL)
    _, nuisance = problem.designs()
    r, _, best = nested_ridge(nuisance, nuisance.shape[1], problem.y.astype(float), problem.folds, ALPHAS)
    found = leave_one_run_out(None, problem.kernels()[1], [problem.y], problem.folds, np.arange(8), ALPHAS, shared="vertex")[0]
    np.testing.assert_allclose(found.alphas, best, rtol=1e-6)
    np.testing.assert_allclose(found.r, r, atol=1e-3)
    assert np.isnan(found.r_features).all()


@pytest.mark.parametrize("lengths", [UNEQUAL, [20] * 7], ids=["3 runs", "7 runs"])
@pytest.mark.parametrize("held", [0, 1, 2])
def test_alpha_is_chosen_without_the_run_that_is_scored(held: int, lengths: list[int]) -> None:
    """Whatever stands in a run, the alphas of its own fold stay; those of the other folds, which train on it, move."""
    problem = Problem.make(20, lengths=lengths)
    before = problem.score().alphas
    other = problem.y.copy()
    other[problem.run == held] = 3 * np.random.default_rng(1).normal(size=other[problem.run == held].shape)
    after = problem.score(other).alphas
    np.testing.assert_array_equal(after[held], before[held])
    assert (np.delete(after, held, axis=0) != np.delete(before, held, axis=0)).any()


@pytest.mark.parametrize("shared", ["parcel", "global"])
def test_vertices_that_share_an_alpha_choose_it_together(shared: str) -> None:
    problem = Problem.make(20, lengths=UNEQUAL, n_vertices=9)
    parcels = np.array([7, 7, 7, 2, 2, 2, -1, -1, -1])
    groups = parcels if shared == "parcel" else np.zeros(9, int)
    features, nuisance = problem.designs()
    X = np.hstack([features, nuisance])
    r, r_features, best = nested_ridge(X, features.shape[1], problem.y.astype(float), problem.folds, ALPHAS, groups)
    found = problem.score(parcels=parcels, shared="parcel" if shared == "parcel" else "global")
    assert found.alphas.shape == (3, len(np.unique(groups)))
    for column, group in enumerate(np.unique(groups)):
        np.testing.assert_allclose(found.alphas[:, column], best[:, groups == group][:, 0], rtol=1e-6)
    np.testing.assert_allclose(found.r, r, atol=1e-3)
    np.testing.assert_allclose(found.r_features, r_features, atol=1e-3)


@pytest.mark.parametrize("gap", [0.0, np.nan, 5.0], ids=["zero", "NaN", "constant"])
def test_vertices_without_data_score_nan_and_change_nothing_else(gap: float) -> None:
    problem = Problem.make(20, lengths=UNEQUAL)
    with_gaps = np.insert(problem.y, [0, 4, 8], np.float32(gap), axis=1)
    parcels = np.array([0, 0, 0, 1, 1, 9, 1, 2, 2, 2, 2])  # one parcel, 9, has no data at all
    found, clean = problem.score(with_gaps, parcels=parcels), problem.score(parcels=np.array([0, 0, 1, 1, 1, 2, 2, 2]))
    gaps = np.isin(np.arange(11), [0, 5, 10])
    assert np.isnan(found.r[gaps]).all()
    assert np.isnan(found.r_features[gaps]).all()
    np.testing.assert_array_equal(found.alphas, clean.alphas)
    np.testing.assert_allclose(found.r[~gaps], clean.r, atol=1e-6)
    np.testing.assert_allclose(found.r_features[~gaps], clean.r_features, atol=1e-6)


def test_vertex_that_lacks_data_in_one_run_scores_nan() -> None:
    problem = Problem.make(5, lengths=UNEQUAL)
    problem.y[problem.run == 1, 2] = 0
    assert np.flatnonzero(np.isnan(problem.score().r)).tolist() == [2]


def test_features_that_are_silent_in_a_run_explain_nothing_of_it() -> None:
    """Their share of the prediction is 0 there: r is 0, not undefined, or one rare feature would leave no map at all."""
    problem = Problem.make(1, lengths=UNEQUAL)
    problem.features[problem.run != 1] = 0
    found = problem.score()
    np.testing.assert_array_equal(found.r_features, 0)
    assert np.isfinite(found.r).all()


def test_subjects_are_scored_each_for_itself() -> None:
    first, second = Problem.make(20, lengths=UNEQUAL), Problem.make(20, lengths=UNEQUAL, seed=1)
    together = leave_one_run_out(*first.kernels(), [first.y, second.y], first.folds, np.arange(8), ALPHAS)
    for found, y in zip(together, (first.y, second.y), strict=True):
        alone = first.score(y, parcels=np.arange(8))
        np.testing.assert_array_equal(found.alphas, alone.alphas)
        np.testing.assert_allclose(found.r, alone.r, atol=1e-6)


def test_subjects_with_different_vertices_are_refused() -> None:
    problem = Problem.make(5, lengths=UNEQUAL)
    with pytest.raises(InputError, match=r"subject number 2: shape \(113, 7\), but the stimulus has 113 samples and the parcels 8 vertices;"):
        leave_one_run_out(*problem.kernels(), [problem.y, problem.y[:, 1:]], problem.folds, np.arange(8), ALPHAS)


@pytest.mark.parametrize("lengths", [UNEQUAL, [20] * 7])
def test_blocks_of_vertices_leave_no_seam(monkeypatch: pytest.MonkeyPatch, lengths: list[int]) -> None:
    """Blocks of 3, which begin in one subject and end in the next, where each has 8 vertices."""
    problem = Problem.make(20, lengths=lengths)
    responses = [np.roll(problem.y, shift, axis=1) for shift in range(3)]

    def score() -> list[Scores]:
        return leave_one_run_out(*problem.kernels(), responses, problem.folds, np.arange(8), ALPHAS)

    whole = score()
    monkeypatch.setattr(scorer, "TARGETS_AT_ONCE", 3)
    for shift, (found, expected) in enumerate(zip(score(), whole, strict=True)):
        np.testing.assert_array_equal(found.alphas, expected.alphas)
        np.testing.assert_allclose(found.r, expected.r, atol=1e-6)
        np.testing.assert_allclose(found.r_features, expected.r_features, atol=1e-6)
        np.testing.assert_allclose(found.r, np.roll(whole[0].r, shift), atol=1e-5)


def test_noise_is_not_predicted_and_a_planted_signal_is() -> None:
    lengths = [200, 200, 200]
    problem = Problem.make(40, lengths=lengths, n_vertices=300)
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(600, 300)).astype(np.float32)
    X = delayed_design(problem.features, lengths)
    planted = noise + (X @ rng.normal(size=(X.shape[1], 300))).astype(np.float32)
    parcels = np.arange(300) // 30
    null, found = problem.score(centred(noise, lengths), parcels=parcels), problem.score(centred(planted, lengths), parcels=parcels)
    # With three runs every pair of them enters twice (a predicts b, b predicts a): twice the variance of 600 independent samples.
    scatter = np.sqrt(2 / 600)
    for r in (null.r, null.r_features):
        assert abs(r.mean()) < 4 * scatter / np.sqrt(300)
        assert r.std() == pytest.approx(scatter, rel=0.15)
    assert found.r.min() > 0.3
    assert found.r_features.mean() > 0.5


def test_responses_without_any_data_are_refused() -> None:
    problem = Problem.make(5, lengths=UNEQUAL)
    with pytest.raises(InputError, match=r"every vertex is constant or not finite; check the files"):
        problem.score(np.zeros_like(problem.y))


@pytest.mark.parametrize(("alphas", "steps"), [([1.0], 3), ([1.0, 10.0], 5)])
def test_progress_counts_alphas_and_folds(alphas: list[float], steps: int) -> None:
    problem = Problem.make(5, lengths=UNEQUAL)
    seen: list[tuple[int, int]] = []
    leave_one_run_out(*problem.kernels(), [problem.y], problem.folds, np.arange(8), alphas, report=lambda done, total: seen.append((done, total)))
    assert seen == [(step + 1, steps) for step in range(steps)]
