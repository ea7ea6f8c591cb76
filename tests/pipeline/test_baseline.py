"""Matched baselines of real selections."""

from __future__ import annotations

import numpy as np
import pytest

from saebrain.encoding.scorer import Scorer
from saebrain.inference.matched import matched_sets
from saebrain.pipeline.baseline import _variance, matched_baseline, region_of, shared_penalties
from saebrain.pipeline.parcelwise import Parcels, predicted_by, predicted_parcels
from saebrain.pipeline.problem import Problem

N = 9
PLACE = "semantic/place"


@pytest.fixture(scope="module")
def parcels(demo_problem: Problem) -> Parcels:
    return Parcels.of(demo_problem)


def test_a_category_beats_its_like_where_it_is_predicted(demo_problem: Problem, parcels: Parcels) -> None:
    found = matched_baseline(demo_problem, PLACE, parcels, n=N, seed=0)
    assert found["p"] == pytest.approx(1 / (1 + N)) and found["d"] > 2
    assert found["observed"] > max(found["null"]) and len(found["null"]) == found["n"] == N
    assert found["parcels"] == sorted(demo_problem.codebook.predicted(PLACE))
    assert found["max_deviation"] < 0.1 and found["absent"] is None


def test_scores_are_those_of_the_engine_on_sets_of_their_features(demo_problem: Problem, parcels: Parcels) -> None:
    found = matched_baseline(demo_problem, PLACE, parcels, n=2, seed=5)
    sets = matched_sets(_variance(demo_problem), demo_problem.select(PLACE), n=2, seed=5)
    own = parcels.y[:, parcels.of_all(predicted_by(demo_problem, PLACE))]
    chosen = np.repeat(shared_penalties(demo_problem, own)[:, None], own.shape[1], axis=1)
    for features, expected in zip([sets.selection, *sets.sets], [found["observed"], *found["null"]], strict=True):
        kernel = demo_problem.kernel("features:" + ",".join(map(str, features)))
        scorer = Scorer(kernel, demo_problem.nuisance, demo_problem.layout.folds, demo_problem.study.config.encoding.alphas, n_targets=24)
        assert scorer.score(own, chosen).r.mean() == pytest.approx(expected, abs=1e-4)


def test_the_same_seed_gives_the_same_sets(demo_problem: Problem, parcels: Parcels) -> None:
    first, again, other = (matched_baseline(demo_problem, PLACE, parcels, n=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_allclose(first["null"], again["null"], atol=1e-6)
    assert not np.allclose(first["null"], other["null"], atol=1e-4)


def test_features_at_random_are_no_better_than_their_like(demo_problem: Problem, parcels: Parcels) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.choice(np.flatnonzero(_variance(demo_problem) > 0), 60, replace=False)
    found = matched_baseline(demo_problem, "features:" + ",".join(map(str, drawn)), parcels, n=N, seed=0)
    assert found["p"] > 0.1 and abs(found["d"]) < 3
    assert found["parcels"] == sorted(demo_problem.codebook.predicted("semantic"))


@pytest.mark.parametrize(("selection", "reason"), [("all", "0 features outside the selection"), ("nuisance", "no feature of its own")])
def test_where_there_is_nothing_to_match(demo_problem: Problem, parcels: Parcels, selection: str, reason: str) -> None:
    found = matched_baseline(demo_problem, selection, parcels, n=N, seed=0)
    assert (found["n"], found["p"], found["d"], found["null"]) == (0, None, None, [])
    assert reason in found["absent"]


def test_region_is_that_of_the_label(demo_problem: Problem) -> None:
    np.testing.assert_array_equal(region_of(demo_problem, PLACE), predicted_by(demo_problem, PLACE))
    for selection in ("semantic", "syntactic", "semantic/place+syntactic", "features:1,2"):
        np.testing.assert_array_equal(region_of(demo_problem, selection), predicted_parcels(demo_problem))
