"""Answers while somebody waits: the same as a model made anew, whatever has been relabelled meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from saebrain.encoding.kernels import finished
from saebrain.errors import InputError
from saebrain.pipeline import live
from saebrain.pipeline.feature_lists import save_list
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.selection import EmptySelection
from saebrain.pipeline.stimulus import Stimulus
from saebrain.store import read_table, write_table
from saebrain.study import PROJECT, Study
from tests import studies
from tests.studies import configure, copy_study, relabel

PLACE = "semantic/place"


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Study:
    return Study.open(copy_study(demo_study, tmp_path / "study"))


def test_an_answer_is_that_of_a_model_made_anew(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels change under it: only the courses of the features that moved are looked at."""
    asked: list[int] = []
    courses = Stimulus.courses

    def noted(self: Stimulus, features: np.ndarray, *, unit: bool) -> np.ndarray:
        asked.extend(features.tolist())
        return courses(self, features, unit=unit)

    monkeypatch.setattr(Stimulus, "courses", noted)
    models = live.Live(study)
    models.answer("all")
    first = models.answer(PLACE)
    pd.testing.assert_frame_equal(first.table, Problem.load(study).score_parcels(PLACE))
    assert first.moved == 0 and first.seconds > 0
    moved = studies.selected(study, PLACE)[:2]
    relabel(study.folder, study.layer, {int(moved[0]): "syntactic", int(moved[1]): "semantic/social", 0: str(live.current_labels(study)[0])})
    expected = Problem.load(study).score_parcels(PLACE)
    asked.clear()
    second = models.answer(PLACE)
    assert second.moved == 2 and set(asked) == set(moved.tolist())
    np.testing.assert_allclose(second.table["r"], expected["r"], atol=1e-3)
    assert not np.allclose(second.table["r"], first.table["r"], atol=1e-4)
    assert models.answer(PLACE).moved == 0


def test_an_answer_after_a_relabelling_takes_two_seconds(study: Study) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    models = live.Live(study)
    models.answer("all")  # kernels of all categories
    models.answer(PLACE)
    relabel(study.folder, study.layer, {int(studies.selected(study, PLACE)[0]): "syntactic"})
    started = time.process_time()  # other work on the machine does not count
    assert models.answer(PLACE).moved == 1
    spent = time.process_time() - started
    torch.set_num_threads(threads)
    print(f"\nafter relabelling a feature: {spent:.2f} s of one processor")
    assert spent < 3


def test_labels_that_are_written_anew_and_say_the_same_change_nothing(study: Study) -> None:
    models = live.Live(study)
    write_table(study.labels, read_table(study.labels, ""))
    assert models.answer(PLACE).moved == 0


def test_keys_change_with_what_an_answer_depends_on(study: Study) -> None:
    key, labels = live.live_key(study), live.answer_key(study, "list:mine+semantic")
    save_list(study, "mine", [1, 2])
    assert live.answer_key(study, "list:mine+semantic") != labels
    labels = live.answer_key(study, "semantic")
    save_list(study, "mine", [1, 2, 3])
    assert live.answer_key(study, "semantic") == labels
    relabel(study.folder, study.layer, {1: "lexical"})
    assert live.answer_key(study, "semantic") != labels and live.live_key(study) == key
    configure(study.folder, encoding={"pooling": "max"})
    assert live.live_key(Study.open(study.folder)) != key and live.live_key(study.at(5)) != key


def test_counts_are_those_of_selections(study: Study) -> None:
    problem, labels = Problem.load(study), live.current_labels(study)
    counts = live.feature_counts(labels, problem.codebook)
    assert counts == {path: len(problem.select(path)) for path in problem.codebook.paths}
    assert live.count_features(study, "semantic&density<0.01", labels) == problem.count("semantic&density<0.01")


def test_what_cannot_be_answered_is_told(study: Study) -> None:
    models = live.Live(study)
    with pytest.raises(InputError, match="not in codebook"):
        models.answer("semantic/nothing")
    with pytest.raises(EmptySelection, match="no feature is in it"):
        models.answer("density>0.99")
    assert models.answer(PLACE).table["r"].notna().all()


def test_a_map_counts_until_its_labels_change(study: Study) -> None:
    assert live.has_map(study, PLACE) and not live.has_map(study, "syntactic&lexical")
    relabel(study.folder, study.layer, {int(studies.selected(study, PLACE)[0]): "syntactic"})
    assert not live.has_map(study, PLACE) and live.has_map(study, "semantic/social") and live.has_map(study, "all")


def test_features_of_two_layers_stand_in_one_model(study: Study) -> None:
    """The kernel of both is the sum of theirs, brought to the same scale; labels of the other layer are followed too."""
    both, elsewhere = f"{PLACE}+{PLACE}@5", f"{PLACE}@5"
    problem, other, models = Problem.load(study), Problem.load(study.at(5)), live.Live(study)
    pairs = [(problem, PLACE), (other, PLACE)]
    own, theirs = (one.categories.of(one.select(selection)) for one, selection in pairs)
    wanted = finished(own + theirs, problem.layout, problem.response)
    for found, made in ((problem.kernel(both), wanted), (problem.kernel(elsewhere), other.kernel(PLACE))):
        assert found is not None and made is not None
        np.testing.assert_allclose(found, made, rtol=1e-5, atol=1e-5)
    count = sum(len(one.select(selection)) for one, selection in pairs)
    assert problem.count(both) == live.count_features(study, both, live.current_labels(study)) == count
    before, key = models.answer(both), live.answer_key(study, both)
    alone = models.answer(PLACE).table
    assert not np.allclose(before.table["r"], alone["r"], atol=1e-3)
    relabel(study.folder, 5, dict.fromkeys(studies.selected(study.at(5), PLACE)[:3].tolist(), "syntactic"))
    assert live.answer_key(study, both) != key and live.answer_key(study, PLACE) == live.answer_key(study, f"{PLACE}@15")
    after = models.answer(both)
    assert not np.allclose(after.table["r"], before.table["r"], atol=1e-5)
    np.testing.assert_allclose(after.table["r"], Problem.load(study).score_parcels(both)["r"], atol=1e-4)
    with pytest.raises(InputError, match="this study has the layers 5, 15, 25"):
        models.answer("semantic@7")
    with pytest.raises(InputError, match="from other layers than 15"):
        problem.select(both)


def test_importing_it_loads_no_model_code() -> None:
    code = "import sys, saebrain.pipeline.runs, saebrain.pipeline.live; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env=dict(os.environ), check=True)
