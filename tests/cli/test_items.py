"""`encode-items` on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from saebrain import __main__
from tests import tiny

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A tiny model and a table of items."""
    folder = tmp_path_factory.mktemp("items")
    rng = np.random.default_rng(0)
    words = tiny.TEXT.split()
    rows = [f'"{" ".join(rng.choice(words, 5))}",{rng.normal():.3f},{"AB"[number % 2]}' for number in range(80)]
    (folder / "items.csv").write_text("\n".join(["Sentence,[bold],cond", *rows]) + "\n", encoding="utf-8")
    return str(tiny.save(folder / "model", "llama")), str(folder / "items.csv")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line as `python -m saebrain` does, in this process: exit code, standard output, standard error."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["saebrain", "encode-items", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as stopped:
            __main__.main()
        captured = capsys.readouterr()
        code = stopped.value.code
        return code if isinstance(code, int) else 0, captured.out, captured.err

    return run


def options(files: tuple[str, str]) -> list[str]:
    model, table = files
    return [table, "--model", model, "--layer", "2", "--text-column", "Sentence", "--target", "[bold]"]


def test_json(run: Run, files: tuple[str, str]) -> None:
    code, out, err = run(*options(files), "--where", "cond=A", "--pooling", "dense=last,mean", "--folds", "4", "--repeats", "2", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["n_items"] == 40
    assert found["folds"] == {"outer": 4, "inner": 5, "seed": 0, "repeats": 2, "contiguous": False}
    assert set(found["layers"]["2"]["pooling"]["dense"]) <= {"last", "mean"}
    assert set(found["layers"]["2"]["pooling"]["surprisal"]) == {"last+mean+max+sum"}
    assert "Hidden states" in err


def test_table(run: Run, files: tuple[str, str]) -> None:
    code, out, _ = run(*options(files), "--contiguous")
    assert code == 0
    assert "[bold]: r in held-out folds" in out
    (row,) = [line for line in out.splitlines() if line.startswith("│ 2 ")]
    assert row.count("-") >= 2  # neither SAE nor fraction
    assert "[-0." in row


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--target", "Effect"], "no column 'Effect'"),
        (["--where", "cond=C"], "no row meets 'cond=C'"),
        (["--pooling", "median"], "'median' is none"),
        (["--repeats", "0"], "0 repeats"),
        (["--contiguous", "--repeats", "2"], "2 repeats of contiguous folds"),
        (["--layer", "9"], "unknown layer 9"),
        (["--folds", "100"], "to divide into 100 folds"),
    ],
)
def test_mistakes_are_one_line(run: Run, files: tuple[str, str], wrong: list[str], named: str) -> None:
    code, out, err = run(*options(files), *wrong)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert err.startswith("saebrain: ")
    assert named in err
