"""Variance partitioning on the demo, of two subcategories for speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saebrain.pipeline import partition
from saebrain.pipeline.parcelwise import Parcels, accuracy, predicted_parcels
from saebrain.pipeline.partition import compute, read_partition, run_partition
from saebrain.pipeline.problem import Problem
from saebrain.progress import silent
from saebrain.study import Study
from tests.pipeline.stand_ins import with_penalties
from tests.studies import copy_study

PATHS = ["semantic/place", "semantic/quantity"]


@pytest.fixture(scope="module")
def problem(demo_problem: Problem) -> Problem:
    return with_penalties(demo_problem, [1.0, 10.0, 100.0])


@pytest.fixture(scope="module")
def found(problem: Problem) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "present", lambda problem: (PATHS, {"semantic/social": "none"}))
        return run_partition(problem)


def test_scores_are_those_of_the_models(problem: Problem, found: dict[str, Any]) -> None:
    assert [row["paths"] for row in found["subsets"]] == [[], PATHS[:1], PATHS[1:], PATHS]
    parcels, inside = Parcels.of(problem), predicted_parcels(problem)
    kernel = problem.kernel("+".join(PATHS))
    assert kernel is not None
    for row, whole in ((found["subsets"][0], problem.nuisance), (found["subsets"][3], problem.nuisance + kernel)):
        expected = parcels.apart(accuracy(problem, whole, parcels.y).r2)[:, inside].mean()
        assert row["r2"] == pytest.approx(expected, abs=1e-5)


def test_parts_add_up(found: dict[str, Any]) -> None:
    empty, first, second, both = (row["r2"] for row in found["subsets"])
    parts = found["parts"]["by_subcategory"]
    assert found["parts"]["total"] == pytest.approx(both - empty)
    assert sum(row["shapley"] for row in parts.values()) == pytest.approx(both - empty)
    assert parts[PATHS[0]]["unique"] == pytest.approx(both - second) and parts[PATHS[1]]["unique"] == pytest.approx(both - first)
    for alone, row in zip((first, second), parts.values(), strict=True):
        assert row["unique"] + row["shared"] == pytest.approx(alone - empty)
    assert sum(row["component"] for row in found["subsets"]) == pytest.approx(both)


def test_each_explains_its_own_parcels(found: dict[str, Any]) -> None:
    for path in PATHS:
        own = found["own"][path]
        assert own["unique"] > 0.01 and own["unique_r"] > 0.02
        assert own["unique"] > found["parts"]["by_subcategory"][path]["unique"]
    rows = {(row["hemisphere"], row["parcel"]): row["by_subcategory"] for row in found["parcels"]}
    assert len(rows) == 68
    where = rows["left", "parahippocampal"]
    assert where["semantic/place"]["unique"] > 0.01 > where["semantic/quantity"]["unique"]
    subjects = [row["by_subcategory"][PATHS[0]]["unique"] for row in found["by_subject"].values()]
    assert np.mean(subjects) == pytest.approx(found["parts"]["by_subcategory"][PATHS[0]]["unique"])


def test_it_is_filed(demo_study: Path, tmp_path: Path, found: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study.open(copy_study(demo_study, tmp_path / "study"))
    assert read_partition(study) is None
    monkeypatch.setattr(partition, "run_partition", lambda problem, report: found)
    first = compute(study.folder, {}, silent)
    assert first == read_partition(study) and first["absent"] == {"semantic/social": "none"}
    monkeypatch.setattr(partition.Problem, "load", None)
    assert compute(study, {}, silent) == first
