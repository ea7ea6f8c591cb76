"""The commands for annotation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from saebrain.__main__ import app
from saebrain.annotation.database import the_database
from saebrain.annotation.log import Entry, append
from saebrain.errors import InputError
from saebrain.study import Study
from tests.studies import copy_study


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["annotations", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Path:
    return copy_study(demo_study, tmp_path / "study")


def test_from_planning_to_publishing(study: Path, tmp_path: Path) -> None:
    assert "new slots at layer 15" in run("plan", str(study))
    assert "Ana is adjudicator, signs in as ana@lab.org" in run("role", "Ana", "adjudicator", "--login", "Ana@lab.org", "--study", str(study))
    assert "adjudicator" in run("people", str(study))
    with the_database(Study.open(study)).writing() as connection:
        append(connection, Entry("k", "label", "Ana", 15, 7, "1.0", label="lexical", queue="random"))
    assert "1 features have another label" in run("publish", str(study))
    found = json.loads(run("status", str(study), "--json"))
    assert found["headline"]["n_labels"] == 1 and found["headline"]["alpha"] is None
    assert {queue["queue"] for queue in found["queues"]} == {"overlap", "random", "impact"}
    assert "overlap" in run("status", str(study))
    for name in ("a.csv", "a.parquet"):
        assert "1 events written" in run("export", str(tmp_path / name), "--study", str(study))
        assert "0 events added, 1 were there" in run("import", str(tmp_path / name), "--study", str(study))


def test_unknown_role_is_refused(study: Path) -> None:
    with pytest.raises(InputError, match="role 'boss': not known"):
        run("role", "Ana", "boss", "--study", str(study))
