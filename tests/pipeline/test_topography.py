"""Predicted against observed: what was planted is recovered, scrambled labels lose it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saebrain.encoding.categories import CategoryKernels
from saebrain.errors import InputError
from saebrain.pipeline import topography
from saebrain.pipeline.contributions import Contributions, unique_contributions
from saebrain.pipeline.parcelwise import predicted_by
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.selection import subcategories
from saebrain.pipeline.spun import Grid, grid
from saebrain.progress import silent
from saebrain.study import Study
from saebrain.surface.atlas import desikan_killiany
from saebrain.surface.sphere import fsaverage5_sphere
from tests.pipeline.stand_ins import with_penalties, with_vertices
from tests.studies import copy_study

N = 1099


@pytest.fixture(scope="module")
def points() -> Grid:
    return Grid.of(fsaverage5_sphere(), desikan_killiany())


@pytest.fixture(scope="module")
def contributions(demo_problem: Problem) -> Contributions:
    """Of the demo, with the penalty that most of its models choose."""
    return unique_contributions(with_penalties(demo_problem, [10.0]), grid())


@pytest.fixture(scope="module")
def found(demo_problem: Problem, contributions: Contributions, points: Grid) -> dict[str, Any]:
    return topography.compare(demo_problem, contributions, points, n=N, seed=0)


def scrambled(problem: Problem, seed: int) -> Problem:
    """The labels of all features dealt out anew, with one subject for speed."""
    labels = problem.labels.copy()
    labels[:] = np.random.default_rng(seed).permutation(labels.to_numpy())
    categories = CategoryKernels(problem.categories.courses, labels, problem.categories.store, problem.categories.content)
    first, y = next(iter(problem.measured.vertices.items()))
    other = with_penalties(with_vertices(problem, {first: y}), [10.0])
    return replace(other, categories=categories, known=replace(problem.known, labels=labels))


def test_what_was_planted_is_recovered(found: dict[str, Any]) -> None:
    assert found["rho"] >= 0.72
    assert found["p_spin"] < 0.001 and found["p_parcel"] < 0.001 and found["p_hypergeom"] < 0.007
    assert found["rank_biserial"] > 0.95
    assert found["rho"] <= found["rho_max"] == pytest.approx(np.sqrt(3 * 0.24 * 0.76), abs=0.002)  # 24 of 5 x 20 names
    assert found["hits"]["right"] >= 0.9 * found["hits"]["of"] and found["hits"]["of"] == 40
    for row in found["by_subcategory"]:
        assert row["p_spin"] < 0.05 and row["overlap"]["found"] >= row["overlap"]["k"] - 1
    for row in found["by_subject"].values():
        assert row["rho"] > 0.5 and row["p_spin"] < 0.005


def test_scrambled_labels_lose_it(demo_problem: Problem, points: Grid) -> None:
    problem = scrambled(demo_problem, 0)
    lost = topography.compare(problem, unique_contributions(problem, grid()), points, n=199, seed=0)
    assert lost["rho"] < 0.35 and lost["p_spin"] > 0.01 and lost["p_hypergeom"] > 0.007


def test_contributions_are_those_of_the_models(demo_problem: Problem, contributions: Contributions) -> None:
    """Where quantity is predicted, it contributes, and the others hardly do."""
    assert contributions.paths == subcategories(demo_problem.codebook) and not contributions.absent
    row = contributions.paths.index("semantic/quantity")
    own = predicted_by(demo_problem, "semantic/quantity")[demo_problem.atlas.labels[grid()]] & (demo_problem.atlas.labels[grid()] >= 0)
    mean = np.nanmean(contributions.r.mean(axis=0), axis=1, where=own[None])
    assert mean.argmax() == row and mean[row] > 5 * np.delete(mean, row).max()
    resting = demo_problem.measured.vertices["sim-01"][:, grid()].any(axis=0)
    np.testing.assert_array_equal(np.isnan(contributions.r[0]).all(axis=0), ~resting)


def made_up(problem: Problem, strength: Callable[[str], float]) -> Contributions:
    """Contributions of some strength where predicted, in noise."""
    rng = np.random.default_rng(0)
    paths = subcategories(problem.codebook)
    labels = problem.atlas.labels[grid()]
    maps = np.stack([strength(path) * (predicted_by(problem, path)[labels] & (labels >= 0)) for path in paths])
    r = maps + 0.01 * rng.normal(size=(3, *maps.shape))
    return Contributions(problem.measured.subjects, paths, {}, np.where(labels >= 0, r, np.nan))


def test_a_subcategory_that_lies_elsewhere_does_not_pass(demo_problem: Problem, points: Grid) -> None:
    row = topography.compare(demo_problem, made_up(demo_problem, lambda path: 0.0 if path == "semantic/social" else 0.1), points, n=199, seed=0)
    p = {each["path"]: each["p_spin"] for each in row["by_subcategory"]}
    assert p["semantic/social"] > 0.05 and max(value for path, value in p.items() if path != "semantic/social") <= 0.05
    assert row["rho"] < row["rho_max"] - 0.03


def test_every_figure_is_json_and_is_filed(demo_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy_study(demo_study, tmp_path / "study")
    calls = []

    def once(problem: Problem, where: np.ndarray, report: object) -> Contributions:
        calls.append(len(where))
        return made_up(problem, lambda path: 0.1)

    monkeypatch.setattr(topography, "unique_contributions", once)
    seen: list[tuple[int, int]] = []
    result = topography.compute(folder, {"n": 99, "seed": 1}, lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] and seen == sorted(seen)
    assert {"rho", "p_spin", "p_parcel", "p_hypergeom", "observed", "predicted", "winners", "by_subject"} <= result.keys()
    assert np.array(result["observed"]).shape == np.array(result["predicted"]).shape == (5, 68)
    assert sum(result["null"]["counts"]) == 99
    study = Study.open(folder)
    assert topography.read_topography(study, n=99, seed=1) == result
    assert topography.compute(study, {"n": 99, "seed": 1}, silent) == result and calls == [len(grid())]
    assert topography.read_topography(study, n=99, seed=2) is None and topography.read_topography(study.at(5), n=99, seed=1) is None


def test_too_few_subcategories_are_refused(demo_problem: Problem) -> None:
    labels = demo_problem.labels.where(~demo_problem.labels.str.startswith("semantic/"), "syntactic")
    problem = replace(demo_problem, known=replace(demo_problem.known, labels=labels))
    with pytest.raises(InputError, match="0 semantic subcategories have active features; label features of two or more"):
        unique_contributions(problem, grid())
