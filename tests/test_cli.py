"""The command line: figures for programs, one line for people when something is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from saebrain import __main__
from saebrain.study import PROJECT
from tests import tiny
from tests.studies import configure, copy_study, hashes

KEYS = {
    *("model", "layer", "n_features", "fvu", "l0", "dead_fraction", "n_subjects", "n_samples", "n_vertices"),
    *("r_all", "r_semantic", "r_nuisance", "fraction_of_peak", "simulated", "subcategories"),
}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line as `python -m saebrain` does, in this process: exit code, standard output, standard error."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["saebrain", *map(str, arguments)])
        capsys.readouterr()  # what the test's own preparation printed
        with pytest.raises(SystemExit) as stopped:
            __main__.main()
        captured = capsys.readouterr()
        code = stopped.value.code
        return code if isinstance(code, int) else 0, captured.out, captured.err

    return run


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Path:
    return copy_study(demo_study, tmp_path / "study")


def strict(text: str) -> Any:
    """JSON without NaN and Infinity, which are none."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_demo_that_is_up_to_date_runs_nothing(run: Run, study: Path) -> None:
    (study / "summary.json").unlink()
    code, out, _ = run("demo", study)
    assert code == 0
    assert "Three stories" in out
    assert "semantic reaches" in " ".join(out.split())
    before = hashes(study)
    code, out, err = run("demo", study)
    assert (code, out) == (0, "")
    assert err.split("\n")[0].endswith("up to date")
    assert hashes(study) == before


def test_summary_as_json_from_a_process_of_its_own(study: Path) -> None:
    """Nothing but JSON on standard output, and no warnings beside it."""
    command = [sys.executable, "-m", "saebrain", "summary", str(study), "--json"]
    done = subprocess.run(command, cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    figures = strict(done.stdout)
    assert figures == strict((study / "summary.json").read_text(encoding="utf-8"))
    assert figures.keys() >= KEYS
    assert set(figures["subcategories"]) == {"social", "place", "action", "emotion", "quantity"}
    for row in figures["subcategories"].values():
        assert {"r_predicted", "r_other"} <= row.keys()
        assert -1 < row["r_other"] < row["r_predicted"] < 1
    assert figures["simulated"] is True
    assert done.stderr.splitlines() == [f"Summary: up to date in {study}"]


def test_reading_a_summary_loads_no_model_code() -> None:
    code = "import sys, saebrain.__main__; sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'streamlit')))"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, stdin=subprocess.DEVNULL, check=True)


def test_encode_one_selection_as_json(run: Run, study: Path) -> None:
    before = hashes(study)
    code, out, err = run("encode", study, "--select", "semantic/place", "--no-statistics", "--json")
    assert (code, err) == (0, "")
    figures = strict(out)
    assert figures["simulated"] is True
    assert list(figures["selections"]) == ["semantic/place"]
    row = figures["selections"]["semantic/place"]
    assert row["n_features"] > 0
    assert list(row["r_by_subject"]) == figures["subjects"] == ["sim-01", "sim-02", "sim-03"]
    assert row["r"] == pytest.approx(sum(row["r_by_subject"].values()) / 3)
    assert hashes(study) == before  # it was there already


def test_encode_prints_a_row_a_selection(run: Run, study: Path) -> None:
    code, out, _ = run("encode", study)
    assert code == 0
    for name in ("nuisance", "all", "semantic", "semantic/quantity"):
        assert f"│ {name} " in out


def test_brackets_are_text_not_markup(run: Run, demo_study: Path, tmp_path: Path) -> None:
    study = copy_study(demo_study, tmp_path / "[red]")
    path = study / "study.toml"
    path.write_text(re.sub("(?m)^title = .*$", 'title = "Stories [/bold] [1]"', path.read_text(encoding="utf-8")), encoding="utf-8")
    code, out, _ = run("summary", study)
    assert code == 0
    assert out.startswith("Stories [/bold] [1]  (simulated responses)\n")
    assert run("summary", study)[2] == f"Summary: up to date in {study}\n"
    assert "'[/x]': not in codebook" in fails(run, "encode", study, "--select", "[/x]")


def fails(run: Run, *arguments: str | Path) -> str:
    """Run, expect exit code 1, nothing on standard output and exactly one line on standard error; returns that line."""
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert err.startswith("saebrain: ")
    return err.rstrip("\n")


def kept(before: dict[str, str], study: Path) -> bool:
    """Whether every file is as it was; only the record of a step that began again may be gone."""
    after = hashes(study)
    gone = before.keys() - after.keys()
    return all(name.startswith("steps/") for name in gone) and {name: before[name] for name in before.keys() - gone} == after


def test_unknown_selection(run: Run, study: Path) -> None:
    before = hashes(study)
    line = fails(run, "encode", study, "--select", "semantic/plaice", "--json")
    assert "label 'semantic/plaice': not in codebook" in line
    assert "did you mean 'semantic/place'?" in line
    assert hashes(study) == before


@pytest.mark.parametrize("verb", ["summary", "encode", "simulate", "labels", "stimulus"])
def test_missing_study(run: Run, tmp_path: Path, verb: str) -> None:
    line = fails(run, verb, tmp_path / "nowhere")
    assert f"study {tmp_path / 'nowhere'}" in line
    assert f"run: python -m saebrain demo {tmp_path / 'nowhere'}" in line
    assert not any(tmp_path.iterdir())


def test_unknown_field(run: Run, study: Path) -> None:
    configure(study, encoding={"colour": "red"})
    before = hashes(study)
    for verb, *options in (("demo",), ("summary", "--json"), ("encode", "--select", "all")):
        line = fails(run, verb, study, *options)
        assert f"{study / 'study.toml'}: encoding.colour: " in line
        assert "received 'red'" in line
    assert hashes(study) == before


@pytest.mark.parametrize(("field", "value"), [("delays_s", [-1.4]), ("alphas", [0.0]), ("delays_s", [])])
def test_delays_and_penalties_out_of_range(run: Run, study: Path, field: str, value: list[float]) -> None:
    configure(study, encoding={field: value})
    assert f"encoding.{field}" in fails(run, "summary", study)


def test_unknown_layer(run: Run, study: Path, tmp_path: Path) -> None:
    configure(study, model={"source": str(tiny.save(tmp_path / "model", "llama")), "layer": 99})
    before = hashes(study)
    line = fails(run, "demo", study)
    assert "unknown layer 5, 25, 99" in line  # of the study's three layers the tiny model has none
    assert f"has layers 0 (embedding) to {tiny.N_LAYERS}; set" in line
    assert kept(before, study)


def test_layer_that_was_not_read(run: Run, study: Path) -> None:
    configure(study, model={"layer": 7})
    before = hashes(study)
    for arguments in (["--select", "semantic/place"], []):
        assert f"not found; run: python -m saebrain labels {study}" in fails(run, "encode", study, *arguments)
    assert hashes(study) == before


def textgrid(*intervals: tuple[float, float, str]) -> str:
    rows = "\n".join(f'{start} {end} "{text}"' for start, end, text in intervals)
    return f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n10\n<exists>\n1\n"IntervalTier"\n"words"\n0\n10\n{len(intervals)}\n{rows}\n'


BAD_TIMES = {
    "descending.csv": ("word,onset,offset\nfirst,5.0,5.5\nsecond,1.0,1.5\n", "onset before that of the row above"),
    "overlapping.csv": ("word,onset,offset\nfirst,1.0,3.0\nsecond,2.0,3.5\n", "overlaps the row above"),
    "descending.TextGrid": (textgrid((5.0, 5.5, "first"), (1.0, 1.5, "second")), "onset before that of the row above"),
    "overlapping.TextGrid": (textgrid((1.0, 3.0, "first"), (2.0, 3.5, "second")), "overlaps the row above"),
}


@pytest.mark.parametrize("name", list(BAD_TIMES))
@pytest.mark.parametrize("verb", ["demo", "stimulus"])
def test_words_out_of_order(run: Run, study: Path, name: str, verb: str) -> None:
    content, problem = BAD_TIMES[name]
    (study / name).write_text(content, encoding="utf-8")
    configure(study, stimulus={"runs": [{"name": "first", "source": "shipped:demo/orchard.txt"}, {"name": "second", "source": name}]})
    before = hashes(study)
    line = fails(run, verb, study)
    assert f"{study / name}: word table, row 2 ('second'" in line
    assert problem in line
    assert kept(before, study)


def test_step_out_of_turn_names_the_one_before(run: Run, study: Path) -> None:
    configure(study, stimulus={"seed": 1})
    before = hashes(study)
    assert f"'activations' in study {study} not found; run: python -m saebrain activations {study}" in fails(run, "simulate", study)
    assert f"'stimulus' in study {study} not found; run: python -m saebrain stimulus {study}" in fails(run, "activations", study)
    assert hashes(study) == before


def test_wrong_usage_is_explained(run: Run) -> None:
    code, out, err = run("encode", "--selekt", "all")
    assert (code, out) == (2, "")
    assert "--selekt" in err
