"""Which steps are done, and which commands run the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from saebrain.errors import MissingStepError
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.state import check, commands_for, states
from saebrain.study import DEMO, PROJECT, Study


@pytest.fixture
def empty(tmp_path: Path, demo_study: Path) -> Study:
    folder = tmp_path / "with space"
    folder.mkdir()
    (folder / "study.toml").write_text((demo_study / "study.toml").read_text())
    return Study.open(folder)


def test_nothing_has_run_in_an_empty_study(empty: Study) -> None:
    found = states(empty)
    assert [state.condition for state in found] == ["not run"] * len(STEPS)
    assert found[0].command == f"python -m saebrain stimulus '{empty.folder}'"
    assert all(state.finished is None and state.seconds is None for state in found)


def test_check_names_the_first_missing_result_and_the_command_that_is_wanted(empty: Study) -> None:
    with pytest.raises(MissingStepError) as caught:
        check(empty, "labels")
    assert caught.value.what == "result of step 'Stimulus'"
    verbs = [command.removeprefix("python -m saebrain ").removesuffix(f" '{empty.folder}'") for command in commands_for(empty, caught.value.command)]
    assert verbs == ["stimulus", "activations", "sae encode", "features", "labels"]


def test_step_of_another_config_is_out_of_date(demo_study: Path, empty: Study) -> None:
    (empty.folder / "steps").symlink_to(demo_study / "steps")
    text = (empty.folder / "study.toml").read_text().replace("seed = 0", "seed = 1")
    (empty.folder / "study.toml").write_text(text)
    assert {state.condition for state in states(Study.open(empty.folder))} == {"out of date"}


def test_demo_needs_no_folder_in_its_commands(demo_study: Path) -> None:
    demo = Study(PROJECT / DEMO, Study.open(demo_study).config)
    assert [state.command for state in states(demo)][:3] == [f"python -m saebrain {verb}" for verb in ("stimulus", "activations", "sae encode")]


def test_other_commands_are_left_as_they_are(empty: Study) -> None:
    assert commands_for(empty, "python -m saebrain demo X") == ["python -m saebrain demo X"]
    assert commands_for(empty, "make it rain") == ["make it rain"]
