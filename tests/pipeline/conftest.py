"""What tests of the pipeline share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from saebrain.pipeline.problem import Problem
from saebrain.study import Study
from tests.studies import configure, copy_study, start_build

FAST = {"alphas": [100.0, 10_000.0], "trim_start_s": 150.0, "trim_end_s": 150.0}


@pytest.fixture(scope="session")
def demo_problem(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Problem:
    """The demo's problem, on a copy that results may be written into."""
    return Problem.load(Study.open(copy_study(demo_study, tmp_path_factory.mktemp("studies") / "demo")))


@pytest.fixture(scope="session")
def null_study(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with one subject to whom nothing was planted, built from the responses step on in one go. Not to be changed.

    Built once for all workers; two alphas and two thirds of every run, for speed.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "null study"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            copy_study(demo_study, folder, without=("responses", "truth", "encoding", "summary.json"))
            configure(folder, simulation={"strength": 0.0, "subjects": 1}, encoding=FAST)
        if not (folder / "summary.json").is_file():
            assert start_build(folder).wait() == 0
    return folder
