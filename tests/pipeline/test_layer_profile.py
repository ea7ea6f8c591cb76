"""r at the layers that are encoded, and commands for the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.pipeline.layer_profile import layer_profile
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.results import read_result, result_folder, write_absent, write_result
from saebrain.pipeline.summary import encoding_figures
from saebrain.scores import Scores
from saebrain.study import Study
from tests.studies import copy_study


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Study:
    study = Study.open(copy_study(demo_study, tmp_path / "a study"))
    for layer in (5, 25):
        for name in ("all", "semantic", "nuisance"):
            shutil.rmtree(result_folder(study.at(layer), name), ignore_errors=True)
    return study


def test_layers_that_are_there_and_those_that_are_not(study: Study) -> None:
    found = layer_profile(study)
    assert [row["layer"] for row in found["layers"]] == [15] and found["best"] == 15 and found["layers"][0]["main"]
    figures = encoding_figures(study)["selections"]
    for name in ("all", "semantic", "nuisance"):
        row = found["layers"][0][name]
        assert row["r"] == pytest.approx(figures[name]["r"]) and row["by_subject"] == pytest.approx(figures[name]["r_by_subject"])
    assert [row["layer"] for row in found["missing"]] == [5, 25]
    assert found["missing"][0]["command"] == f"python -m saebrain encode '{study.folder}' --layer 5"
    assert all(row["labelled"] for row in found["missing"])


def test_a_layer_comes_in_when_it_is_encoded(study: Study, demo_problem: Problem) -> None:
    at, atlas = study.at(25), demo_problem.atlas
    known = read_result(study, "nuisance")
    scores = {subject: Scores(r, r, np.ones((3, 68), np.float32)) for subject, r in zip(known.subjects, known.r, strict=True)}
    write_result(at, "nuisance", 0, scores, demo_problem.codebook, atlas)
    write_result(at, "all", 4096, scores, demo_problem.codebook, atlas)
    write_absent(at, "semantic", "none is active", list(scores), demo_problem.codebook, atlas)
    found = layer_profile(study.at(5))  # whichever layer it is seen at
    assert [row["layer"] for row in found["layers"]] == [15, 25] and [row["layer"] for row in found["missing"]] == [5]
    row = found["layers"][1]
    assert row["semantic"]["r"] is None and row["all"]["r"] == row["nuisance"]["r"] and not row["main"]


def test_no_layer_at_all(study: Study) -> None:
    shutil.rmtree(study.encoding)
    with pytest.raises(InputError, match=r"no layer of study .* is encoded; run: python -m saebrain encode .* --layer 5"):
        layer_profile(study)
