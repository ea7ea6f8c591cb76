"""Prediction error as a band: made of the categories' words, found when it is there, and marked for what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saebrain.inference.prediction_error import prediction_error
from saebrain.pipeline import surprise
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.surprise import category_activations, compute, read_surprise, run_surprise
from saebrain.progress import silent
from saebrain.study import Study
from tests.pipeline.stand_ins import resting_parcels, with_parcels, with_penalties
from tests.studies import copy_study

N = 9


def test_activations_are_sums_over_the_category_s_features(demo_problem: Problem) -> None:
    paths, words = category_activations(demo_problem)
    assert "unclear" not in paths and {"semantic", "semantic/place", "syntactic"} <= set(paths)
    assert len(words) == 6538
    pooled = demo_problem.stimulus.pooled["orchard"]
    start = demo_problem.stimulus.pooled["lighthouse"].shape[0]
    own = np.flatnonzero(demo_problem.labels == "semantic/place")  # not those of labels above or beside it
    expected = pooled[:, own].sum(axis=1)
    np.testing.assert_allclose(words[start : start + pooled.shape[0], paths.index("semantic/place")], expected, rtol=1e-4)


@pytest.fixture(scope="module")
def found(demo_problem: Problem) -> dict[str, Any]:
    """Of two subjects: to one the band itself was planted, to the other nothing."""
    _, words = category_activations(demo_problem)
    error = prediction_error(words, [part.shape[0] for part in demo_problem.stimulus.pooled.values()])
    K = surprise._kernel(demo_problem, error.mismatch)
    rng = np.random.default_rng(0)
    signal = demo_problem.layout.standardise(K @ rng.normal(size=(len(K), 68)))
    rest = [demo_problem.layout.standardise(resting_parcels(demo_problem, rng)) for _ in range(2)]
    problem = with_penalties(with_parcels(demo_problem, {"planted": rest[0] + signal, "rest": rest[1]}), [1.0, 10.0])
    return run_surprise(problem, n=N, seed=0)


def test_it_is_found_where_it_is(found: dict[str, Any]) -> None:
    planted, rest = (found["by_subject"][name] for name in ("planted", "rest"))
    assert planted["p"] == pytest.approx(1 / (1 + N)) and planted["gain"] > 0.02
    assert rest["p"] > 1 / (1 + N) and abs(rest["gain"]) < 0.01


def test_it_says_that_it_is_exploratory(found: dict[str, Any]) -> None:
    assert found["exploratory"] is True and found["note"].startswith("Exploratory")
    assert len(found["parcels"]) == 2 * 68 and len(found["mean"]) == 68
    rows = {row["path"]: row for row in found["categories"]}
    assert rows["semantic/place"]["r_context"] > 0.2  # topics last
    assert all(-1 <= row["r_with_activation"] <= 1 for row in rows.values())


def test_it_is_filed(demo_study: Path, tmp_path: Path, found: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study.open(copy_study(demo_study, tmp_path / "study"))
    monkeypatch.setattr(surprise, "run_surprise", lambda problem, n, seed, report: found)
    first = compute(study.folder, {"n": N}, silent)
    assert first == read_surprise(study, n=N) and read_surprise(study, n=N, seed=1) is None
    monkeypatch.setattr(surprise.Problem, "load", None)
    assert compute(study, {"n": N}, silent) == first
