"""Kernel ridge, leave-one-run-out: against explicit designs, scikit-learn's ridge and himalaya's kernel ridge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from saebrain import encoding
from saebrain.encoding import correlation, delayed_kernel, leave_one_run_out, linear_kernel
from saebrain.errors import InputError
from saebrain.scores import Scores

DELAYS = [1, 2, 4]
ALPHAS = [0.1, 1.0, 10.0, 100.0, 1000.0]
UNEQUAL = [45, 30, 38]


def by_run(x: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
    return np.split(x, np.cumsum(lengths)[:-1])


def centred(x: np.ndarray, lengths: list[int]) -> np.ndarray:
    return np.concatenate([part - part.mean(axis=0) for part in by_run(x, lengths)])


def delayed_design(x: np.ndarray, lengths: list[int], delays: list[int]) -> np.ndarray:
    """Delayed columns of every run, centred, scaled so that X X^T has a mean diagonal of 1; float64."""
    runs = []
    for part in by_run(x.astype(float), lengths):
        columns = [np.vstack([np.zeros((d, x.shape[1])), part])[: len(part)] for d in delays]
        runs.append(np.hstack(columns))
    design = centred(np.concatenate(runs), lengths)
    return design / np.sqrt((design**2).sum() / len(design))


@dataclass
class Problem:
    """Features, nuisance and responses of some runs; vertices differ in how much of the features' signal they have."""

    lengths: list[int]
    features: np.ndarray
    nuisance: np.ndarray
    y: np.ndarray

    @classmethod
    def make(cls, n_features: int, *, lengths: list[int], seed: int = 0, n_vertices: int = 8) -> Problem:
        rng = np.random.default_rng(seed)
        n = sum(lengths)
        features = centred(rng.normal(size=(n, n_features)), lengths).astype(np.float32)
        nuisance = centred(rng.normal(size=(n, 2)), lengths).astype(np.float32)
        signal = delayed_design(features, lengths, DELAYS) @ rng.normal(size=(n_features * len(DELAYS), n_vertices))
        rate = delayed_design(nuisance, lengths, DELAYS) @ rng.normal(size=(2 * len(DELAYS), n_vertices))
        y = np.linspace(0, 3, n_vertices) * signal + 0.5 * rate + rng.normal(size=(n, n_vertices))
        y = np.concatenate([part / part.std(axis=0) for part in by_run(centred(y, lengths), lengths)])
        return cls(lengths, features, nuisance, y.astype(np.float32))

    @property
    def run(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def kernels(self) -> tuple[np.ndarray, np.ndarray]:
        return delayed_kernel(linear_kernel(self.features), self.lengths, DELAYS), delayed_kernel(linear_kernel(self.nuisance), self.lengths, DELAYS)

    def designs(self) -> tuple[np.ndarray, np.ndarray]:
        return delayed_design(self.features, self.lengths, DELAYS), delayed_design(self.nuisance, self.lengths, DELAYS)

    def score(self, y: np.ndarray | None = None, *, parcels: np.ndarray | None = None, alphas: list[float] = ALPHAS) -> Scores:
        """By the code under test; each vertex its own parcel unless told otherwise."""
        y = self.y if y is None else y
        parcels = np.arange(y.shape[1]) if parcels is None else parcels
        return leave_one_run_out(*self.kernels(), [y], self.lengths, parcels, alphas)[0]


def nested_ridge(X: np.ndarray, own: int, y: np.ndarray, run: np.ndarray, alphas: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Explicit nested leave-one-run-out with scikit-learn: r, r of the first ``own`` columns' part, alpha per run and vertex."""
    held_out = np.unique(run)
    r, r_own, best = (np.zeros((len(held_out), y.shape[1])) for _ in range(3))
    for held in held_out:
        for v in range(y.shape[1]):
            losses = np.zeros(len(alphas))
            for inner in held_out[held_out != held]:
                train, test = ~np.isin(run, [held, inner]), run == inner
                for i, alpha in enumerate(alphas):
                    model = Ridge(alpha=alpha, fit_intercept=False, solver="svd").fit(X[train], y[train, v])
                    losses[i] += np.mean((model.predict(X[test]) - y[test, v]) ** 2)
            best[held, v] = alphas[int(losses.argmin())]
            model = Ridge(alpha=best[held, v], fit_intercept=False, solver="svd").fit(X[run != held], y[run != held, v])
            whole, part = model.predict(X[run == held]), X[run == held, :own] @ model.coef_[:own]
            assert np.allclose(whole, part + X[run == held, own:] @ model.coef_[own:])
            r[held, v], r_own[held, v] = (np.corrcoef(p, y[run == held, v])[0, 1] for p in (whole, part))
    return r.mean(axis=0), r_own.mean(axis=0), best


@pytest.mark.parametrize("lengths", [[40, 40, 40], UNEQUAL, [50]])
def test_delayed_kernel_is_that_of_the_delayed_design(lengths: list[int]) -> None:
    x = np.random.default_rng(0).normal(size=(sum(lengths), 9)).astype(np.float32)
    X = delayed_design(x, lengths, DELAYS)
    found = delayed_kernel(linear_kernel(x), lengths, DELAYS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, X @ X.T, atol=2e-5)
    assert np.trace(found) / len(found) == pytest.approx(1, rel=1e-5)


def test_an_impulse_at_the_end_of_a_run_is_not_in_the_next() -> None:
    lengths = [20, 20, 20]
    x = np.zeros((60, 1), np.float32)
    x[18] = 1  # delays of 1 sample stay in the first run, those of 2 and 4 would leave it
    found = delayed_kernel(linear_kernel(x), lengths, DELAYS)
    assert found[19, 19] > 0
    assert not found[20:].any()
    assert not found[:, 20:].any()


@pytest.mark.parametrize("delays", [[0], [0, 19], [30, 1]])
def test_delays_of_nothing_and_beyond_the_run(delays: list[int]) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    within = [d for d in delays if d < 20]
    X = delayed_design(x, [20, 20], within)
    np.testing.assert_allclose(delayed_kernel(linear_kernel(x), [20, 20], delays), X @ X.T, atol=2e-5)


def test_kernel_of_silent_features_is_refused() -> None:
    with pytest.raises(InputError, match=r"no feature that is active in the stimulus; choose"):
        delayed_kernel(np.zeros((30, 30), np.float32), [15, 15], [1])


@pytest.mark.parametrize("n_features", [4, 60], ids=["fewer features than samples", "more features than samples"])
@pytest.mark.parametrize("lengths", [[36, 36, 36], UNEQUAL, [25, 20, 30, 22]])
def test_scores_equal_nested_ridge_on_the_explicit_design(n_features: int, lengths: list[int]) -> None:
    problem = Problem.make(n_features, lengths=lengths)
    features, nuisance = problem.designs()
    r, r_features, best = nested_ridge(np.hstack([features, nuisance]), features.shape[1], problem.y.astype(float), problem.run, ALPHAS)
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
    r, r_features, best = nested_ridge(X, features.shape[1], problem.y.astype(float), problem.run, ALPHAS)
    found = problem.score()
    np.testing.assert_allclose(found.alphas, best, rtol=1e-6)
    np.testing.assert_allclose(found.r, r, atol=1e-3)
    np.testing.assert_allclose(found.r_features, r_features, atol=1e-3)


@pytest.mark.parametrize("alpha", [0.01, 3.0])
def test_one_alpha(alpha: float) -> None:
    problem = Problem.make(10, lengths=UNEQUAL)
    features, nuisance = problem.designs()
    r, r_features, _ = nested_ridge(np.hstack([features, nuisance]), features.shape[1], problem.y.astype(float), problem.run, [alpha])
    found = problem.score(alphas=[alpha])
    assert np.all(found.alphas == np.float32(alpha))
    np.testing.assert_allclose(found.r, r, atol=1e-3)
    np.testing.assert_allclose(found.r_features, r_features, atol=1e-3)


def test_scores_equal_himalaya_with_the_chosen_alphas() -> None:
    set_backend("numpy")
    problem = Problem.make(60, lengths=UNEQUAL)
    features, nuisance = problem.kernels()
    found = problem.score()
    r = np.zeros((len(UNEQUAL), problem.y.shape[1]))
    for held in range(len(UNEQUAL)):
        train, test = problem.run != held, problem.run == held
        K = features + nuisance
        model = KernelRidge(alpha=found.alphas[held], kernel="precomputed", solver="eigenvalues").fit(K[np.ix_(train, train)], problem.y[train])
        r[held] = correlation(model.predict(K[np.ix_(test, train)]), problem.y[test])
    np.testing.assert_allclose(found.r, r.mean(axis=0), atol=1e-4)


def test_nuisance_alone() -> None:
    problem = Problem.make(5, lengths=UNEQUAL)
    _, nuisance = problem.designs()
    r, _, best = nested_ridge(nuisance, nuisance.shape[1], problem.y.astype(float), problem.run, ALPHAS)
    found = leave_one_run_out(None, problem.kernels()[1], [problem.y], UNEQUAL, np.arange(8), ALPHAS)[0]
    np.testing.assert_allclose(found.alphas, best, rtol=1e-6)
    np.testing.assert_allclose(found.r, r, atol=1e-3)
    assert np.isnan(found.r_features).all()


@pytest.mark.parametrize("held", [0, 1, 2])
def test_alpha_is_chosen_without_the_run_that_is_scored(held: int) -> None:
    """Whatever stands in a run, the alphas of its own fold stay; those of the other folds, which train on it, move."""
    problem = Problem.make(20, lengths=UNEQUAL)
    before = problem.score().alphas
    other = problem.y.copy()
    other[problem.run == held] = np.random.default_rng(1).normal(size=other[problem.run == held].shape)
    after = problem.score(other).alphas
    np.testing.assert_array_equal(after[held], before[held])
    assert (np.delete(after, held, axis=0) != np.delete(before, held, axis=0)).any()


def test_parcel_takes_the_median_alpha_of_its_vertices() -> None:
    problem = Problem.make(20, lengths=UNEQUAL, n_vertices=9)
    own = problem.score().alphas
    parcels = np.array([7, 7, 7, 2, 2, 2, -1, -1, -1])
    found = problem.score(parcels=parcels).alphas
    assert found.shape == (3, 3)
    for column, parcel in enumerate([-1, 2, 7]):
        np.testing.assert_array_equal(found[:, column], np.median(own[:, parcels == parcel], axis=1))


def test_vertices_without_data_score_nan_and_change_nothing_else() -> None:
    problem = Problem.make(20, lengths=UNEQUAL)
    with_gaps = np.insert(problem.y, [0, 4, 8], 0, axis=1)
    parcels = np.array([0, 0, 0, 1, 1, 9, 1, 2, 2, 2, 2])  # one parcel, 9, has no data at all
    found, clean = problem.score(with_gaps, parcels=parcels), problem.score(parcels=np.array([0, 0, 1, 1, 1, 2, 2, 2]))
    gaps = ~with_gaps.any(axis=0)
    assert gaps.sum() == 3
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
    """Their part of the prediction is 0 there: r is 0, not undefined, or one rare feature would leave no map at all."""
    problem = Problem.make(1, lengths=UNEQUAL)
    problem.features[problem.run != 1] = 0
    found = problem.score()
    np.testing.assert_array_equal(found.r_features, 0)
    assert np.isfinite(found.r).all()


def test_subjects_are_scored_each_for_itself() -> None:
    first, second = Problem.make(20, lengths=UNEQUAL), Problem.make(20, lengths=UNEQUAL, seed=1)
    together = leave_one_run_out(*first.kernels(), [first.y, second.y], UNEQUAL, np.arange(8), ALPHAS)
    for found, y in zip(together, (first.y, second.y), strict=True):
        alone = first.score(y)
        np.testing.assert_array_equal(found.alphas, alone.alphas)
        np.testing.assert_allclose(found.r, alone.r, atol=1e-6)


def test_blocks_of_vertices_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem.make(20, lengths=UNEQUAL)
    whole = problem.score()
    monkeypatch.setattr(encoding, "VERTICES_AT_ONCE", 3)
    blocks = problem.score()
    np.testing.assert_allclose(blocks.r, whole.r, atol=1e-6)
    np.testing.assert_allclose(blocks.r_features, whole.r_features, atol=1e-6)


def test_noise_is_not_predicted_and_a_planted_signal_is() -> None:
    lengths = [200, 200, 200]
    problem = Problem.make(40, lengths=lengths, n_vertices=300)
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(600, 300)).astype(np.float32)
    X = delayed_design(problem.features, lengths, DELAYS)
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


@pytest.mark.parametrize("lengths", [[60], [30, 30]])
def test_fewer_than_three_runs_are_refused(lengths: list[int]) -> None:
    problem = Problem.make(5, lengths=lengths)
    with pytest.raises(InputError, match=rf"{len(lengths)} run\(s\).* at least 3; split long runs"):
        problem.score()


def test_responses_without_any_data_are_refused() -> None:
    problem = Problem.make(5, lengths=UNEQUAL)
    with pytest.raises(InputError, match=r"every vertex is constant; check the files"):
        problem.score(np.zeros_like(problem.y))


def test_progress_counts_the_runs() -> None:
    problem = Problem.make(5, lengths=UNEQUAL)
    seen: list[tuple[int, int]] = []
    leave_one_run_out(*problem.kernels(), [problem.y], UNEQUAL, np.arange(8), [1.0], report=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_correlation_is_pearsons() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(100, 5, (50, 6)).astype(np.float32), rng.normal(-3, 1, (50, 6)).astype(np.float32)
    a[:, 1], b[:, 2] = 7, 7
    found = correlation(a, b)
    for v in (0, 3, 4, 5):
        assert found[v] == pytest.approx(np.corrcoef(a[:, v], b[:, v])[0, 1], abs=1e-5)
    assert found[1] == 0
    assert np.isnan(found[2])
