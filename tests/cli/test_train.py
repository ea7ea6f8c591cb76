"""`sae train` on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from saebrain import __main__
from saebrain.pipeline import training
from saebrain.sae import formats
from saebrain.sae.matryoshka import Matryoshka
from tests import tiny

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model and a folder of texts."""
    folder = tmp_path_factory.mktemp("made")
    tiny.save(folder / "model", "llama")
    tiny.texts(folder / "texts", 20)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`sae train` with small sizes: exit code, standard output, standard error."""
    monkeypatch.setattr(training, "SHARD_TOKENS", 400)
    given = ["saebrain", "sae", "train", made / "texts", "--model", made / "model", "--output", tmp_path / "out", "--cache", tmp_path / "cache"]

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [*map(str, given), "--features", "32", "--k", "4", "--batch", "64", "--device", "cpu", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            __main__.main()
        captured = capsys.readouterr()
        code = stopped.value.code
        return code if isinstance(code, int) else 0, captured.out, captured.err

    return run


def test_one_layer(run: Run, tmp_path: Path) -> None:
    code, out, err = run("--layer", "3", "--json", "--data", "Words", "--epochs", "2")
    assert code == 0
    metadata = json.loads(out)
    assert (metadata["layer"], metadata["data"], metadata["training"]["k"]) == (3, "Words", 4)
    assert formats.read(tmp_path / "out").metadata["held_out"] == metadata["held_out"]
    assert "Training layer 3" in err


def test_several_layers_and_other_settings(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("--layers", "1,3", "--architecture", "matryoshka_batchtopk", "--prefixes", "8,32", "--decoder", "scaled", "--json")
    assert code == 0
    assert [metadata["layer"] for metadata in json.loads(out)] == [1, 3]
    sae = formats.read(tmp_path / "out" / "layer_03")
    assert isinstance(sae, Matryoshka)
    assert sae.prefixes == (8, 32)
    assert sae.metadata["training"]["decoder"] == "scaled"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layers", "3;4"), "--layers '3;4': give whole numbers with commas between them, such as 5,15,25"),
        (("--layer", "77"), "77"),
        (("--architecture", "gated"), "architecture = 'gated': give one of topk, batchtopk"),
        (("--k", "40"), "k = 40 with 32 features"),
        (("--device", "cuda:7"), "cuda:7"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(*arguments)
    assert code == 1
    assert out == ""
    assert message in err.splitlines()[-1]
