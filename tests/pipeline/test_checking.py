"""The import check with a tiny model: from the command line, and in the step that encodes a study's text."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from saebrain.cli.sae import sae_app
from saebrain.errors import InputError
from saebrain.pipeline.checking import CheckPlan, check_sae, quality_path
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.steps import in_order, is_done, run
from saebrain.sae import formats
from saebrain.sae.standard import Standard
from saebrain.study import SHIPPED, Study
from tests import tiny
from tests.studies import configure, quiet

D = tiny.D_MODEL
TEXT = f"{tiny.TEXT} " * 12
TOML = """
title = "Tiny"
sae = "sae"

[model]
source = "{model}"
layer = 2
window = 32
stride = 24
device = "cpu"

[stimulus]
runs = [{{ name = "walk", source = "walk.txt" }}]

[responses]
tr_s = 1.0
samples = 200
"""


def perfect(**metadata: Any) -> Standard:
    """x = relu(x) - relu(-x)."""
    both = torch.cat([torch.eye(D), -torch.eye(D)])
    claims = {"fvu": 0.0, "l0": D}
    return Standard(
        W_enc=both.T.contiguous(), b_enc=torch.zeros(2 * D), W_dec=both, b_dec=torch.zeros(D), metadata={"layer": 2, "claims": claims, **metadata}
    )


def shuffled() -> Standard:
    right = perfect()
    return Standard(W_enc=right.W_enc, b_enc=right.b_enc, W_dec=right.W_dec.roll(1, dims=0), b_dec=right.b_dec, metadata=right.metadata)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("models") / "llama", "llama")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "walk.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path / "walk.txt"


def plan(folder: Path, model: Path, text: Path, **changes: Any) -> CheckPlan:
    values: dict[str, Any] = {"sae": str(folder), "model": str(model), "layer": None, "texts": text, "tokens": 400, "data": "", "device": "cpu"}
    return CheckPlan(**(values | changes))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    formats.write(perfect(), tmp_path / "sae", dtype="float32")
    return tmp_path / "sae"


def test_figures_of_a_perfect_sae(saved: Path, model: Path, text: Path) -> None:
    found = check_sae(plan(saved, model, text), quiet)
    assert found.verdict.status == "ok", found.verdict.sentence
    assert (found.layer, found.model, found.text) == (2, "llama", "walk.txt")
    quality, ce = found.verdict.quality, found.verdict.ce
    assert quality.fvu == pytest.approx(0, abs=1e-9) and quality.n_tokens == 400 and quality.l0 == D
    assert ce is not None and ce.sae == pytest.approx(ce.model, rel=1e-5) and ce.zero != pytest.approx(ce.model, rel=1e-3)


def test_windows_are_those_of_the_sae(saved: Path, model: Path, text: Path, tmp_path: Path) -> None:
    """Hidden states depend on how much is read before a token, so the SAE's own context size counts."""
    untouched = []
    for size in (16, 64):
        formats.write(perfect(context_size=size), tmp_path / str(size), dtype="float32")
        ce = check_sae(plan(tmp_path / str(size), model, text), quiet).verdict.ce
        assert ce is not None
        untouched.append(ce.model)
    assert untouched[0] != pytest.approx(untouched[1], rel=1e-4)


def test_record_holds_what_was_found(saved: Path, model: Path, text: Path) -> None:
    held = json.loads(json.dumps(check_sae(plan(saved, model, text, data="forty stories"), quiet).record, allow_nan=False))
    assert held["text"] == "forty stories" and held["check"]["status"] == "ok" and held["layer"] == 2
    assert set(held["ce"]) == {"model", "sae", "zero", "n_tokens"} and "ce_recovered" in held
    assert sum(held["density"]["counts"]) + held["density"]["never"] == 2 * D


def test_quality_is_written_into_folders_alone(saved: Path) -> None:
    assert quality_path(str(saved)) == saved / "quality.json"
    assert quality_path("shipped:sae") == SHIPPED / "sae" / "quality.json"
    with pytest.raises(InputError, match="no folder on this machine"):
        quality_path("hf:owner/repository")


def test_a_folder_of_texts_is_read_to_the_limit(saved: Path, model: Path, text: Path) -> None:
    (text.parent / "a.txt").write_text(tiny.TEXT, encoding="utf-8")
    found = check_sae(plan(saved, model, text.parent, tokens=100), quiet)
    assert found.text == f"2 texts in {text.parent.name}" and found.verdict.quality.n_tokens == 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer": 9}, "unknown layer 9"),
        ({"texts": Path("nowhere")}, "nowhere: no .txt files; give a text file or a folder"),
        ({"tokens": 1}, "tokens of text; give a longer one"),
    ],
)
def test_what_cannot_be_checked(saved: Path, model: Path, text: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_sae(plan(saved, model, text, **changes), quiet)


def test_a_sae_without_a_layer_asks_for_one(tmp_path: Path, model: Path, text: Path) -> None:
    formats.write(perfect(layer=None), tmp_path / "sae", dtype="float32")
    with pytest.raises(InputError, match="does not say which layer it was made for; name one with --layer"):
        check_sae(plan(tmp_path / "sae", model, text), quiet)
    assert check_sae(plan(tmp_path / "sae", model, text, layer=1), quiet).layer == 1


def test_a_sae_of_another_width_is_refused(tmp_path: Path, model: Path, text: Path) -> None:
    narrow = Standard(W_enc=torch.eye(3), b_enc=torch.zeros(3), W_dec=torch.eye(3), b_dec=torch.zeros(3), metadata={"layer": 2})
    formats.write(narrow, tmp_path / "sae")
    with pytest.raises(InputError, match="made for width 3, but llama has width 16; name its model with --model"):
        check_sae(plan(tmp_path / "sae", model, text), quiet)


# command line


def command(folder: Path, model: Path, text: Path, *options: str) -> Result:
    return CliRunner().invoke(sae_app, ["check", str(folder), "--model", str(model), "--texts", str(text), "--tokens", "200", *options])


def test_command_prints_the_verdict(saved: Path, model: Path, text: Path) -> None:
    result = command(saved, model, text)
    assert result.exit_code == 0 and not (saved / "quality.json").exists()
    assert result.stdout.startswith("ok at layer 2 of llama, on 200 tokens of walk.txt\n  It works: FVU 0.00")


def test_command_fails_on_a_mismatch_and_writes_it(tmp_path: Path, model: Path, text: Path) -> None:
    formats.write(shuffled(), tmp_path / "sae", dtype="float32")
    result = command(tmp_path / "sae", model, text, "--json", "--write")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["check"]["status"] == "mismatch" and found["check"]["reasons"]
    assert json.loads((tmp_path / "sae" / "quality.json").read_text(encoding="utf-8")) == found


# in a study


def codes(folder: Path) -> bool:
    """Take the steps up to the codes; returns whether those were taken."""
    opened = Study.open(folder)
    return [run(opened, step, STEPS, quiet) for step in in_order(STEPS, "codes")][-1]


def held(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "features" / "2" / "quality.json").read_text(encoding="utf-8")))


@pytest.fixture
def study(tmp_path: Path, model: Path, text: Path) -> Path:
    (tmp_path / "study.toml").write_text(TOML.format(model=model), encoding="utf-8")
    return tmp_path


def test_a_sae_that_fits_is_noted(study: Path) -> None:
    formats.write(perfect(), study / "sae")
    assert codes(study)
    assert held(study)["check"] == {
        "status": "ok",
        "reasons": ["It works: FVU 0.00 (its makers give 0.00), 16 active features a token, 0.0% dead."],
        "remedies": [],
    }


def test_a_mismatch_stops_the_codes(study: Path) -> None:
    formats.write(shuffled(), study / "sae")
    with pytest.raises(
        InputError, match=r'SAE sae does not fit the hidden states of layer 2\. .*FVU is .*sae_check = "warn" in study\.toml'
    ) as stopped:
        codes(study)
    assert "\n" not in str(stopped.value)
    assert not (study / "features" / "2" / "codes.parquet").exists() and not is_done(Study.open(study), STEPS["codes"], STEPS)


def test_a_mismatch_can_be_overridden(study: Path, caplog: pytest.LogCaptureFixture) -> None:
    formats.write(shuffled(), study / "sae")
    config = study / "study.toml"
    config.write_text(config.read_text().replace('sae = "sae"', 'sae = "sae"\nsae_check = "warn"'))
    with caplog.at_level(logging.WARNING):
        assert codes(study)
    assert "does not fit the hidden states of layer 2" in caplog.text
    assert held(study)["check"]["status"] == "mismatch"


def test_the_check_can_be_left_out_and_belongs_to_the_key(study: Path) -> None:
    formats.write(perfect(), study / "sae")
    assert codes(study) and not codes(study)
    config = study / "study.toml"
    config.write_text(config.read_text().replace('sae = "sae"', 'sae = "sae"\nsae_check = "off"'))
    assert codes(study) and "check" not in held(study)
    configure(study, model={"batch_tokens": 64})
    assert not codes(study)


def test_a_wrong_setting_is_refused(study: Path) -> None:
    config = study / "study.toml"
    config.write_text(config.read_text().replace('sae = "sae"', 'sae = "sae"\nsae_check = "maybe"'))
    with pytest.raises(InputError, match="sae_check: Input should be 'stop', 'warn' or 'off'"):
        Study.open(study)
