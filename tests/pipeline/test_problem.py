"""What selections of a study share: cached kernels, changed labels, parcels at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from saebrain.encoding.kernels import finished, linear_kernel
from saebrain.encoding.score import leave_one_run_out
from saebrain.errors import InputError
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.selection import EmptySelection
from saebrain.study import Study
from saebrain.surface.atlas import parcel_means
from tests.studies import configure, copy_study

PLACE = "semantic/place"


@pytest.fixture(scope="module")
def study(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study.open(copy_study(demo_study, tmp_path_factory.mktemp("studies") / "study"))


@pytest.fixture(scope="module")
def problem(study: Study) -> Problem:
    return Problem.load(study)


def kernel(problem: Problem, selection: str) -> np.ndarray:
    found = problem.kernel(selection)
    assert found is not None
    return found


def made_anew(problem: Problem, features: np.ndarray) -> np.ndarray:
    return finished(linear_kernel(problem.stimulus.courses(features, unit=False)), problem.layout, problem.response)


@pytest.mark.parametrize("selection", ["all", "semantic", PLACE, "semantic/place+syntactic", "features:{features}", "density<0.01&semantic"])
def test_kernel_of_a_selection_is_that_of_its_features(problem: Problem, selection: str) -> None:
    selection = selection.format(features=",".join(map(str, problem.select(PLACE)[:3])))
    np.testing.assert_allclose(kernel(problem, selection), made_anew(problem, problem.select(selection)), atol=1e-4)


def test_kernels_are_made_once_for_all_processes(problem: Problem, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    problem.kernel("all")
    again = Problem.load(study)
    monkeypatch.setattr(type(again.stimulus), "courses", None)
    np.testing.assert_array_equal(kernel(again, "all"), kernel(problem, "all"))
    assert all(path.parent == study.folder / "cache" for path in (study.folder / "cache").rglob("*.npy"))


def test_kernels_of_other_settings_are_others(problem: Problem, study: Study, tmp_path: Path) -> None:
    before = kernel(problem, PLACE)
    folder = copy_study(study.folder, tmp_path / "study")
    (folder / "cache").symlink_to(study.folder / "cache")
    for changes in ({"pooling": "max"}, {"scaling": "unit"}, {"downsampling": "average"}, {"response": "hrf"}, {"delays_s": [4.2]}):
        configure(folder, encoding=changes)
        assert not np.allclose(kernel(Problem.load(Study.open(folder)), PLACE), before, atol=1e-3), changes


def test_a_changed_label_moves_a_feature(problem: Problem) -> None:
    """Rank-1 updates of two kernels equal kernels made anew; all that is no feature of the two stays."""
    feature = int(problem.select(PLACE)[0])
    changed = problem.relabelled({feature: "syntactic"})
    assert feature in changed.select("syntactic") and feature not in changed.select(PLACE)
    assert feature in problem.select(PLACE)
    for selection in (PLACE, "syntactic", "semantic"):
        np.testing.assert_allclose(kernel(changed, selection), made_anew(changed, changed.select(selection)), atol=1e-4)
    np.testing.assert_allclose(kernel(changed, "all"), kernel(problem, "all"), atol=1e-4)


def test_parcels_are_scored_as_means_of_their_vertices(problem: Problem) -> None:
    """By the vertex engine, one alpha a target, on means made here."""
    found = problem.score_parcels(PLACE)
    assert list(found.columns) == ["subject", "hemisphere", "parcel", "r", "r_features"]
    subject = problem.measured.subjects[1]
    y = problem.measured.vertices[subject]
    means = problem.layout.standardise_kept(parcel_means(np.where(y.any(axis=0), y, np.nan).astype(np.float32), problem.atlas))
    alphas = problem.study.config.encoding.alphas
    expected = leave_one_run_out(kernel(problem, PLACE), problem.nuisance, [means], problem.layout.folds, np.arange(68), alphas, shared="vertex")[0]
    rows = found[found["subject"] == subject]
    np.testing.assert_allclose(rows["r"], expected.r, atol=1e-3)
    np.testing.assert_allclose(rows["r_features"], expected.r_features, atol=1e-3)
    assert rows["parcel"].tolist() == [name for _, name in problem.atlas.parcels]
    assert rows["hemisphere"].tolist() == [hemisphere for hemisphere, _ in problem.atlas.parcels]


def test_parcels_are_read_from_the_responses_once(problem: Problem, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    before = problem.score_parcels("nuisance")
    assert before["r_features"].isna().all() and before["r"].notna().all()
    again = Problem.load(study)
    monkeypatch.setattr(type(again.measured), "_read", None)
    pd.testing.assert_frame_equal(again.score_parcels("nuisance"), before)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for one another on a busy machine count as busy themselves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_an_answer_for_parcels_takes_a_second(problem: Problem, one_thread: None) -> None:
    """In processor seconds, which other work on the machine does not change; a second core makes it faster."""
    problem.score_parcels("semantic")
    started = time.process_time()
    problem.score_parcels("semantic")
    warm = time.process_time() - started
    changed = problem.relabelled({int(problem.select(PLACE)[0]): "syntactic"})
    changed.score_parcels("semantic")
    relabelled = time.process_time() - started - warm
    assert warm < 1.8
    assert relabelled < 2.5


def test_category_without_features_is_told(problem: Problem) -> None:
    without = problem.relabelled(dict.fromkeys(map(int, problem.select(PLACE)), "unclear"))
    with pytest.raises(EmptySelection, match=rf"'{PLACE}': no feature bears this label"):
        without.kernel(PLACE)


def test_features_that_are_never_active_are_told(problem: Problem) -> None:
    silent = np.flatnonzero(~problem.stimulus.courses(None, unit=False).any(axis=0))
    assert len(silent)
    with pytest.raises(EmptySelection, match=r"none of its 1 feature\(s\) is active in the stimulus; choose another selection"):
        problem.kernel(f"features:{silent[0]}")


def test_two_runs_are_refused_and_blocks_of_them_are_not(study: Study, tmp_path: Path) -> None:
    text = (study.folder / "study.toml").read_text(encoding="utf-8")
    folder = copy_study(study.folder, tmp_path / "study")
    cut = text.index('[[stimulus.runs]]\nname = "nightbus"')
    (folder / "study.toml").write_text(text[:cut] + text[text.index("[responses]") :], encoding="utf-8")
    words = pd.read_parquet(folder / "words.parquet")
    words[words["run"] != "nightbus"].to_parquet(folder / "words.parquet.new")
    (folder / "words.parquet.new").replace(folder / "words.parquet")
    with pytest.raises(InputError, match=r"^2 run\(s\): .*set `encoding.folds` to a number of contiguous blocks"):
        Problem.load(Study.open(folder))
    configure(folder, encoding={"folds": 6})
    problem = Problem.load(Study.open(folder))
    assert len(problem.layout.folds) == 6
    gap = np.setdiff1d(problem.layout.folds[1].out, problem.layout.folds[1].test)
    assert len(gap) == 2 * 5  # the longest delay, 7 s
    found = problem.score_parcels("semantic")
    assert found["r"].notna().all() and found["r"].mean() > 0.05
