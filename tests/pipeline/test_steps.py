"""When a step is up to date, when it runs again, and what a killed one leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from saebrain import __version__
from saebrain.atomic import replacing
from saebrain.config import StudyConfig
from saebrain.errors import MissingStepError
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.steps import SAMPLED_BYTES, Step, fingerprint, in_order, is_done, key, read_record, run
from saebrain.progress import Report
from saebrain.study import Study
from tests.studies import quiet

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = {
    "title": "Small",
    "sae": "sae",
    "model": {"source": "model", "layer": 3},
    "stimulus": {"runs": [{"name": "a", "source": "a/words.csv"}, {"name": "b", "source": "b/words.csv"}]},
    "responses": {"tr_s": 1.4, "samples": 100},
}


def study(folder: Path, **sections: dict[str, Any]) -> Study:
    merged = {name: {**value, **sections.get(name, {})} if isinstance(value, dict) else value for name, value in CONFIG.items()}
    return Study(folder, StudyConfig.model_validate(merged | {name: value for name, value in sections.items() if name not in merged}))


class Line:
    """Three steps, each writing a file: first -> second -> third; and how often each ran."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.ran = folder, list[str]()
        self.act: Callable[[str], None] = lambda name: None
        module = ModuleType("saebrain.pipeline.line_of_tests")
        self.steps: dict[str, Step] = {}
        before: tuple[str, ...] = ()
        settings: dict[str, Callable[[Study], Any]] = {
            "first": lambda s: s.config.model.layer,
            "second": lambda s: s.config.model.window,
            "third": lambda s: None,
        }
        for name, setting in settings.items():
            setattr(module, name, self.write(name))
            self.steps[name] = Step(
                name=name,
                verb=f"make {name}",
                title=name.title(),
                unit="files",
                run=f"line_of_tests:{name}",
                needs=before,
                config=setting,
                inputs=self.inputs(name),
                outputs=self.outputs(name),
            )
            before = (name,)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    def inputs(self, name: str) -> Callable[[Study], list[Path]]:
        return lambda s: [s.folder / "input.txt"] if name == "second" else []

    def outputs(self, name: str) -> Callable[[Study], list[Path]]:
        return lambda s: [s.folder / f"{name}.txt"]

    def write(self, name: str) -> Callable[[Study, Report], None]:
        def step(opened: Study, report: Report) -> None:
            self.ran.append(name)
            with replacing(opened.folder / f"{name}.txt") as temporary:
                temporary.write_text("half")
                self.act(name)
                temporary.write_text(f"layer {opened.config.model.layer}")

        return step

    def run(self, **model: Any) -> list[str]:
        """Run all in order; returns those that were not up to date."""
        self.ran.clear()
        opened = study(self.folder, model=model)
        told = [run(opened, step, self.steps, quiet) for step in self.steps.values()]
        assert [name for name, ran in zip(self.steps, told, strict=True) if ran] == self.ran
        return list(self.ran)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(tmp_path, monkeypatch)


def test_a_second_run_does_nothing(line: Line) -> None:
    assert line.run() == ["first", "second", "third"]
    assert line.run() == []


def test_record_of_a_finished_step(line: Line) -> None:
    line.run()
    opened = study(line.folder)
    record = read_record(opened, "second")
    assert (record["step"], record["key"], record["saebrain"]) == ("second", key(opened, line.steps["second"], line.steps), __version__)
    assert len(record["key"]) == 16
    assert record["seconds"] >= 0


def test_a_changed_setting_reruns_the_step_and_those_behind_it(line: Line) -> None:
    line.run()
    assert line.run(window=100, stride=100) == ["second", "third"]
    assert line.run(layer=4, window=100, stride=100) == ["first", "second", "third"]
    assert line.run(layer=4, window=100, stride=50) == []  # no step's result depends on it


def test_a_changed_input_reruns_the_step_and_those_behind_it(line: Line) -> None:
    line.run()
    (line.folder / "input.txt").write_text("x")
    assert line.run() == ["second", "third"]
    assert line.run() == []


def test_an_input_that_changes_during_the_run_reruns_it(line: Line) -> None:
    def change(name: str) -> None:
        if name == "second":
            (line.folder / "input.txt").write_text("later")

    line.act = change
    opened = study(line.folder)
    run(opened, line.steps["first"], line.steps, quiet)
    run(opened, line.steps["second"], line.steps, quiet)
    line.act = lambda name: None
    assert line.run() == ["second", "third"]


def test_missing_outputs_rerun_the_step_alone(line: Line) -> None:
    line.run()
    (line.folder / "second.txt").unlink()
    assert line.run() == ["second"]


@pytest.mark.parametrize("damage", ["", "{", "null", "[1]", '{"key": "other"}'])
def test_a_damaged_record_reruns_the_step(line: Line, damage: str) -> None:
    line.run()
    (line.folder / "steps" / "first.json").write_text(damage)
    assert line.run() == ["first"]


@pytest.mark.parametrize("death", [RuntimeError, KeyboardInterrupt])
def test_a_killed_step_leaves_neither_record_nor_file_and_runs_again(line: Line, death: type[BaseException]) -> None:
    def die(name: str) -> None:
        if name == "second":
            raise death

    line.act = die
    with pytest.raises(death):
        line.run()
    assert sorted(path.name for path in line.folder.iterdir()) == ["first.txt", "steps"]
    assert [path.name for path in (line.folder / "steps").iterdir()] == ["first.json"]
    line.act = lambda name: None
    assert line.run() == ["second", "third"]


def test_a_killed_rerun_does_not_pass_for_the_result_before_it(line: Line) -> None:
    """Settings changed, the step killed on the way, settings put back: what lies there may be of either."""
    line.run()

    def die(name: str) -> None:
        raise KeyboardInterrupt

    line.act = die
    with pytest.raises(KeyboardInterrupt):
        line.run(layer=4)
    line.act = lambda name: None
    assert line.run() == ["first"]


def test_a_step_needs_those_before_it(line: Line) -> None:
    opened = study(line.folder)
    with pytest.raises(MissingStepError, match=r"up-to-date result of step 'first' in study .* not found; run: python") as caught:
        run(opened, line.steps["second"], line.steps, quiet)
    assert caught.value.command == f"python -m saebrain make first {line.folder}"
    assert line.ran == []
    line.run()
    with pytest.raises(MissingStepError, match="step 'second'"):
        run(study(line.folder, model={"window": 100, "stride": 100}), line.steps["third"], line.steps, quiet)


def test_a_study_may_be_moved(line: Line, tmp_path: Path) -> None:
    (line.folder / "input.txt").write_text("x")
    line.run()
    target = tmp_path.parent / f"{tmp_path.name}-moved"
    shutil.copytree(line.folder, target)
    assert all(is_done(study(target), step, line.steps) for step in line.steps.values())


def test_order(line: Line) -> None:
    assert [step.name for step in in_order(line.steps, "second")] == ["first", "second"]
    assert [step.name for step in in_order(STEPS, "labels")] == ["stimulus", "activations", "codes", "features", "labels"]
    assert [step.name for step in in_order(STEPS, "summary")] == [name for name in STEPS if name not in ("neighbours", "layout")]


# fingerprints


def test_fingerprint_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert fingerprint(path) == fingerprint(tmp_path) == "missing"
    seen = set()
    for content in (b"", b"a", b"b", b"a\0"):
        path.write_bytes(content)
        seen.add(fingerprint(path))
        assert fingerprint(path) == fingerprint(path)
    assert len(seen) == 4


@pytest.mark.parametrize("size", [SAMPLED_BYTES - 1, SAMPLED_BYTES, SAMPLED_BYTES + 1, 2 * SAMPLED_BYTES, 3 * SAMPLED_BYTES])
def test_fingerprint_sees_both_ends_of_large_files(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    seen = set()
    for change in (None, 0, size // 2 if size < 2 * SAMPLED_BYTES else 1, size - 1):
        content = bytearray(size)
        if change is not None:
            content[change] = 1
        path.write_bytes(content)
        seen.add(fingerprint(path))
    path.write_bytes(bytes(size + 1))
    assert len(seen | {fingerprint(path)}) == 5


def test_inputs_of_one_name_do_not_hide_each_other(tmp_path: Path) -> None:
    """Two subjects' files of one run, and two runs' files outside the study."""
    folder, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    runs = [{"name": name, "source": str(elsewhere / name / "words.csv")} for name in "ab"]
    files = [folder / "responses" / subject / "a.npy" for subject in ("s1", "s2")] + [Path(run["source"]) for run in runs]
    for path in files:
        path.parent.mkdir(parents=True)
        path.write_text("0")
    opened = study(folder, stimulus={"runs": runs})
    affected = {"stimulus": files[2:], "responses": files}
    for name, paths in affected.items():
        for path in paths:
            before = key(opened, STEPS[name], STEPS)
            path.write_text("1")
            assert key(opened, STEPS[name], STEPS) != before
            path.write_text("0")
            assert key(opened, STEPS[name], STEPS) == before


# the registry


def stale(folder: Path, **sections: dict[str, Any]) -> set[str]:
    """Steps whose key changes with settings."""
    before, after = study(folder), study(folder, **sections)
    return {name for name, step in STEPS.items() if key(before, step, STEPS) != key(after, step, STEPS)}


EVERYTHING = set(STEPS)
BEHIND_ACTIVATIONS = EVERYTHING - {"stimulus"}
ENCODING = {"encode", "summary"}


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"model": {"device": "cuda", "batch_tokens": 8}}, set()),
        ({"model": {"layer": 4}}, BEHIND_ACTIVATIONS),
        ({"model": {"dtype": "bf16"}}, BEHIND_ACTIVATIONS),
        ({"model": {"prefix": "<s>"}}, BEHIND_ACTIVATIONS),
        ({"model": {"window": 500}}, BEHIND_ACTIVATIONS),
        ({"stimulus": {"words_per_minute": 140}}, EVERYTHING),
        ({"responses": {"tr_s": 2.0}}, EVERYTHING),
        ({"labels": {"contexts": 12}}, {"labels"} | ENCODING),
        ({"encoding": {"pooling": "max"}}, ENCODING),
        ({"simulation": {}}, {"responses"} | ENCODING),
    ],
)
def test_settings_concern_the_steps_they_change(tmp_path: Path, sections: dict[str, Any], expected: set[str]) -> None:
    assert stale(tmp_path, **sections) == expected


def test_another_sae_concerns_codes_and_what_is_behind_them(tmp_path: Path) -> None:
    opened = study(tmp_path)
    keys = {name: key(opened, step, STEPS) for name, step in STEPS.items()}
    (tmp_path / "sae").mkdir()
    (tmp_path / "sae" / "cfg.json").write_text("{}")
    assert {name for name, step in STEPS.items() if key(opened, step, STEPS) != keys[name]} == BEHIND_ACTIVATIONS - {"activations", "responses"}


def test_steps_are_in_the_order_of_their_needs() -> None:
    names = list(STEPS)
    assert all(names.index(need) < names.index(step.name) for step in STEPS.values() for need in step.needs)


def test_asking_for_steps_loads_no_model_code() -> None:
    """Pages ask what is up to date, and they have to open fast."""
    code = "import sys, saebrain.pipeline.registry; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "transformers", "streamlit", "himalaya"} & set(loaded)


def test_records_are_json(line: Line) -> None:
    line.run()
    assert json.loads((line.folder / "steps" / "third.json").read_text(encoding="utf-8"))["step"] == "third"
