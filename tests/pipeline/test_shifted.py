"""The test of a gain: equal to the engine, finds what is there, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from saebrain.encoding.kernels import factor
from saebrain.encoding.scorer import Scorer
from saebrain.errors import InputError
from saebrain.pipeline.parcelwise import Parcels, predicted_by, predicted_parcels
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.shifted import CHOOSING, GainTest, Shared, ThinScorer, choosing, gain_test, mean_rows, parcel_rows, region
from tests.pipeline.stand_ins import resting_parcels, with_parcels

N = 19
PLACE = "semantic/place"


def gain(problem: Problem, selection: str = PLACE, n: int = N) -> tuple[Parcels, GainTest]:
    parcels, kernel = Parcels.of(problem), problem.kernel(selection)
    assert kernel is not None
    return parcels, gain_test(problem, kernel, problem.nuisance, parcels, n=n, seed=0, thin=True)


@pytest.fixture(scope="module")
def found(demo_problem: Problem) -> tuple[Parcels, GainTest]:
    return gain(demo_problem)


def test_a_thin_kernel_is_its_columns(demo_problem: Problem) -> None:
    Z = factor(demo_problem.nuisance).astype(np.float32)
    assert Z.shape == (1956, 16)  # four bands, four delays
    np.testing.assert_allclose(Z @ Z.T, demo_problem.nuisance, atol=1e-4)


def test_thin_scores_are_the_engine_s(demo_problem: Problem) -> None:
    folds, alphas = demo_problem.layout.folds, demo_problem.study.config.encoding.alphas
    y = Parcels.of(demo_problem).y[:, ::5].copy()
    y[:652, 3] = 0
    thin = ThinScorer(factor(demo_problem.nuisance).astype(np.float32), folds, alphas)
    engine = Scorer(None, demo_problem.nuisance, folds, alphas, n_targets=y.shape[1])
    some = np.arange(0, y.shape[1], 2)
    np.testing.assert_allclose(thin.losses([(y, some)]), engine.losses([(y, some)]), rtol=1e-4)
    chosen = np.arange(3 * y.shape[1]).reshape(3, -1) % len(alphas)
    np.testing.assert_allclose(thin.score(y, chosen).r, engine.score(y, chosen).r, atol=1e-3)
    assert np.isnan(thin.score(y, chosen).r[0, 3])


def test_each_version_chooses_one_penalty_for_itself(demo_problem: Problem) -> None:
    kernel = demo_problem.kernel(PLACE)
    assert kernel is not None
    folds, alphas, parcels = demo_problem.layout.folds, demo_problem.study.config.encoding.alphas, Parcels.of(demo_problem)
    chooses = choosing(demo_problem, parcels)
    scorer = Scorer(None, demo_problem.nuisance + kernel, folds, alphas, n_targets=10_000, keep=True)
    noise = np.tile(resting_parcels(demo_problem, np.random.default_rng(0)), 3)
    versions = [parcels.y, demo_problem.layout.standardise(noise)]
    together = Shared(scorer, chooses).r(versions)
    for row, y in enumerate(versions):
        loss = scorer.losses([(y, chooses)]).sum(axis=2)
        chosen = np.repeat(loss.argmin(axis=1)[:, None], y.shape[1], axis=1)
        np.testing.assert_allclose(together[row], scorer.score(y, chosen).r.mean(axis=0), atol=1e-5)


def test_those_that_choose_have_data_and_are_predicted(demo_problem: Problem) -> None:
    parcels = Parcels.of(demo_problem)
    chooses = choosing(demo_problem, parcels)
    assert len(chooses) == 3 * CHOOSING == len(set(chooses.tolist()))
    assert parcels.of_all(predicted_parcels(demo_problem))[chooses].all()
    empty = Parcels(parcels.subjects, parcels.atlas, np.zeros_like(parcels.y))
    with pytest.raises(InputError, match="no predicted parcel has data"):
        choosing(demo_problem, empty)


def test_what_was_planted_is_found_where_it_was_planted(demo_problem: Problem, found: tuple[Parcels, GainTest]) -> None:
    parcels, test = found
    own = predicted_by(demo_problem, PLACE)
    here = region(parcels, test, own)
    assert here["p"] == pytest.approx(1 / (1 + N))
    rows = mean_rows(parcels, test)
    p = np.array([row["p"] for row in rows], float)
    assert (p[own] == p.min()).all() and p[~own].mean() > 0.2
    assert test.fitted  # 16 columns for some 220 effective samples


def test_rows_by_subject(found: tuple[Parcels, GainTest]) -> None:
    parcels, test = found
    rows = parcel_rows(parcels, test)
    assert len(rows) == 3 * 68
    assert list(rows[0]) == ["subject", "hemisphere", "parcel", "r", "gain", "p", "q", "p_max"]
    assert [row["subject"] for row in rows[::68]] == parcels.subjects
    for row in rows:
        values = [float(str(row[name])) for name in ("p", "q", "p_max")]
        assert 1 / (1 + N) - 1e-9 <= values[0] <= min(values[1:]) + 1e-9 and max(values) <= 1
        assert values[0] * (1 + N) == pytest.approx(round(values[0] * (1 + N)))


def test_a_parcel_without_data_is_nothing(demo_problem: Problem) -> None:
    y = {name: part.copy() for name, part in demo_problem.measured.parcels.items()}
    y["sim-02"][:652, 4] = 0
    parcels, test = gain(with_parcels(demo_problem, y), n=3)
    row = parcel_rows(parcels, test)[68 + 4]
    assert all(np.isnan(float(str(row[name]))) for name in ("r", "gain", "p", "q", "p_max"))
    assert np.isfinite(float(str(region(parcels, test, predicted_parcels(demo_problem))["gain"])))


def test_rest_is_not_predicted_and_neither_is_what_follows_the_nuisance(demo_problem: Problem) -> None:
    """Responses that follow word rate and its kin strongly: features go with these, and add nothing."""
    rng = np.random.default_rng(1)
    rest = {f"rest-{number}": resting_parcels(demo_problem, rng) for number in range(3)}
    Z = factor(demo_problem.nuisance).astype(np.float32)
    led = {f"led-{number}": resting_parcels(demo_problem, rng) + 20 * Z @ rng.normal(size=(Z.shape[1], 68)) / np.sqrt(16) for number in range(3)}
    parcels, test = gain(with_parcels(demo_problem, {**rest, **led}), "semantic")
    p = parcels.apart(test.gain.p).mean(axis=1)
    assert (p[:3].mean() > 0.25) and (p[3:].mean() > 0.25)
    assert (parcels.apart(test.gain.p) <= 1 / (1 + N)).mean() < 0.2
    assert parcels.apart(test.r)[3:].mean() > 0.3  # the nuisance is there to mislead
