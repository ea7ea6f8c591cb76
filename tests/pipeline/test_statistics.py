"""Statistics of a selection: what is in them, where they are filed, what they say where nothing was planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.pipeline import statistics
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.results import read_result, result_folder
from saebrain.pipeline.selection import EmptySelection
from saebrain.pipeline.statistics import compute, read_statistics, run_statistics
from saebrain.pipeline.summary import predicted_cortex
from saebrain.progress import silent
from saebrain.study import Study
from tests.studies import copy_study

N = 9
PLACE = "semantic/place"


@pytest.fixture(scope="module")
def study(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study.open(copy_study(demo_study, tmp_path_factory.mktemp("studies") / "study"))


@pytest.fixture(scope="module")
def found(study: Study) -> dict[str, Any]:
    seen: list[tuple[int, int]] = []
    result = compute(study.folder, {"selection": " semantic/place ", "n": N}, lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1][0] == seen[-1][1]
    return result


def test_they_stand_beside_the_result(study: Study, found: dict[str, Any]) -> None:
    assert read_statistics(study, PLACE) == found
    assert (result_folder(study, PLACE) / "statistics.json").is_file()
    assert read_statistics(study, "all") is None


def test_r_is_that_of_the_maps(study: Study, found: dict[str, Any]) -> None:
    cortex = predicted_cortex(study)
    r, r_all, r_nuisance = (np.nanmean(read_result(study, name).r[:, cortex], axis=1) for name in (PLACE, "all", "nuisance"))
    assert found["r"] == pytest.approx(r.mean(), abs=1e-4) and found["r_nuisance"] == pytest.approx(r_nuisance.mean(), abs=1e-4)
    assert found["fraction_of_peak"] == pytest.approx(r.mean() / r_all.mean(), abs=1e-3)
    assert list(found["by_subject"]) == found["subjects"] == ["sim-01", "sim-02", "sim-03"]
    for row, own in zip(found["by_subject"].values(), r, strict=True):
        assert row["r"] == pytest.approx(own, abs=1e-4) and row["gain"] == pytest.approx(row["r"] - row["r_nuisance"], abs=1e-4)


def test_no_p_is_below_what_the_draws_allow(found: dict[str, Any]) -> None:
    assert found["matched"]["n"] == found["permutation"]["n"] == N == len(found["matched"]["null"])
    assert found["matched"]["p"] >= 1 / (1 + N) - 1e-6 and found["permutation"]["smallest_p"] == pytest.approx(1 / (1 + N))
    rows = found["permutation"]["parcels"]
    assert len(rows) == 3 * 68 and min(row["p"] for row in rows) >= 1 / (1 + N) - 1e-6
    assert found["group"] == found["group"] | {"n_subjects": 3, "smallest_p": 0.125, "p": 0.125}
    assert "no p can be below 0.125" in found["group"]["note"]


def test_a_ceiling_that_chance_reaches_divides_nothing(found: dict[str, Any]) -> None:
    ceiling = found["ceiling"]
    assert ceiling["kind"] == "between subjects" and {"r", "note", "p"} <= ceiling.keys()
    assert (found["r_normalised"] is None) == (not ceiling["usable"]) == (ceiling["p"] > 0.05)


def test_they_are_computed_once_for_each_n_and_seed(study: Study, found: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    class Computed(Exception):
        pass

    def stop(study: Study) -> Problem:
        raise Computed

    monkeypatch.setattr(statistics.Problem, "load", stop)
    assert compute(study, {"selection": PLACE, "n": N, "seed": 0}, silent) == found
    for arguments in ({"n": N + 1}, {"n": N, "seed": 1}):
        with pytest.raises(Computed):
            compute(study, {"selection": PLACE, **arguments}, silent)


def test_an_older_version_is_not_read(study: Study, found: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "VERSION", statistics.VERSION + 1)
    assert read_statistics(study, PLACE) is None


@pytest.mark.parametrize(
    ("selection", "error", "message"),
    [
        ("semantic/plaice", InputError, "did you mean 'semantic/place'"),
        (" ", InputError, "empty selection"),
        ("density>2", EmptySelection, "no feature is in it; loosen the filter"),
    ],
)
def test_selections_that_are_none(study: Study, selection: str, error: type[InputError], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        compute(study, {"selection": selection}, silent)
    assert "\n" not in str(raised.value)


def test_nothing_is_found_where_nothing_was_planted(null_study: Path, tmp_path: Path) -> None:
    """One subject at rest: no gain, no ceiling, no group."""
    problem = Problem.load(Study.open(copy_study(null_study, tmp_path / "study")))
    found = run_statistics(problem, "semantic/action", n=19, seed=0, report=silent)
    assert found["permutation"]["p"] > 0.05
    assert np.mean([row["p"] <= 0.05 for row in found["permutation"]["parcels"]]) < 0.2
    assert found["matched"]["p"] > 0.05
    assert found["ceiling"]["kind"] is None and found["r_normalised"] is None and found["group"]["p"] is None
