"""What tests of the pipeline share."""

from __future__ import annotations

from pathlib import Path

import pytest

from saebrain.pipeline.problem import Problem
from saebrain.study import Study
from tests.studies import configure, copy_study, start_build


@pytest.fixture(scope="session")
def demo_problem(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Problem:
    """The demo's problem, on a copy that results may be written into."""
    return Problem.load(Study.open(copy_study(demo_study, tmp_path_factory.mktemp("studies") / "demo")))


@pytest.fixture(scope="session")
def null_study(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with one subject to whom nothing was planted, built from the responses step on in one go. Not to be changed."""
    folder = tmp_path_factory.mktemp("studies") / "null"
    copy_study(demo_study, folder, without=("responses", "truth", "encoding", "summary.json"))
    configure(folder, simulation={"strength": 0.0, "subjects": 1})
    assert start_build(folder).wait() == 0
    return folder
