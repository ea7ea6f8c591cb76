"""What tests of the pipeline share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from saebrain.study import PROJECT
from tests.studies import configure, copy_study


@pytest.fixture(scope="session")
def null_study(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with one subject to whom nothing was planted, built from the responses step on in one go. Not to be changed."""
    folder = tmp_path_factory.mktemp("studies") / "null"
    copy_study(demo_study, folder, without=("responses", "truth", "encoding", "summary.json"))
    configure(folder, simulation={"strength": 0.0, "subjects": 1})
    subprocess.run([sys.executable, "-m", "saebrain", "demo", str(folder)], cwd=PROJECT, stdin=subprocess.DEVNULL, check=True)
    return folder
