"""Opening a study: what study.toml may say, and what it is told when it is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from saebrain.errors import InputError, MissingStepError
from saebrain.study import DEMO, PROJECT, SHIPPED, STUDY_VARIABLE, Study, default_folder, resolve_shipped

MINIMAL = """
title = "Two runs"
sae = "sae"

[model]
source = "models/small"
layer = 3

[stimulus]
runs = [{ name = "a", source = "a.txt" }, { name = "b", source = "/elsewhere/b.csv", language = "fr" }]

[responses]
tr_s = 1.4
samples = 100
"""


def open_study(folder: Path, text: str = MINIMAL) -> Study:
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return Study.open(folder)


def test_defaults(tmp_path: Path) -> None:
    config = open_study(tmp_path).config
    assert (config.model.window, config.model.stride, config.model.prefix, config.model.dtype) == (512, 384, "auto", "auto")
    assert [run.language for run in config.stimulus.runs] == ["en", "fr"]
    assert config.simulation is None
    assert config.labels.codebook == "shipped:codebook.toml"


def test_paths(tmp_path: Path) -> None:
    folder = tmp_path / "my study"
    folder.mkdir()
    study = open_study(folder)
    assert (study.name, study.simulated, study.run_names) == ("my study", False, ["a", "b"])
    paths = [study.words, study.tokens, study.activations, study.features, study.labels, study.responses, study.encoding, study.steps]
    names = ["words.parquet", "tokens.parquet", "activations", "features/3", "features/3/labels.parquet", "responses", "encoding", "steps"]
    assert paths == [folder / name for name in names]
    assert open_study(folder, MINIMAL + "\n[simulation]\n").simulated


def test_the_name_of_the_folder_it_is_opened_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    open_study(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    assert Study.open(".").name == "here"


def test_paths_are_relative_to_the_study_absolute_or_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    study = open_study(tmp_path)
    assert study.resolve("a.txt") == tmp_path / "a.txt"
    assert study.resolve("/elsewhere/b.csv") == Path("/elsewhere/b.csv")
    assert study.resolve("~/b.csv") == Path("/home/someone/b.csv")
    assert study.resolve("shipped:codebook.toml") == SHIPPED / "codebook.toml"
    assert study.resolve("shipped:demo/lexicon.toml").is_file()


@pytest.mark.parametrize("path", ["shipped:../pyproject.toml", "shipped:demo/../../README.md", "shipped:/etc/passwd"])
def test_shipped_paths_stay_inside_the_shipped_data(path: str) -> None:
    with pytest.raises(InputError, match=rf"{re.escape(repr(path))}: leads outside the shipped data; name a file under data/"):
        resolve_shipped(path)


def test_default_study(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STUDY_VARIABLE, raising=False)
    assert default_folder() == PROJECT / DEMO
    monkeypatch.setenv(STUDY_VARIABLE, "")
    assert default_folder() == PROJECT / DEMO
    monkeypatch.setenv(STUDY_VARIABLE, "/elsewhere/study")
    assert default_folder() == Path("/elsewhere/study")


def test_shipped_demo_study_is_valid(tmp_path: Path) -> None:
    study = open_study(tmp_path, (SHIPPED / "demo" / "study.toml").read_text(encoding="utf-8"))
    assert study.simulated
    assert all(study.resolve(run.source).is_file() for run in study.config.stimulus.runs)


def test_no_study_is_told_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(MissingStepError, match=rf"study {re.escape(str(tmp_path / 'none'))} .* not found; run: python -m saebrain demo"):
        Study.open(tmp_path / "none")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layer = 3", "layer = ", "not valid TOML"),
        ("Two runs", "Two \udcff runs", "not valid TOML"),
        ("layer = 3", "", "model.layer: Field required"),
        ("layer = 3", "layer = -1", "model.layer: Input should be greater than or equal to 0 (received -1); mend study.toml"),
        ("layer = 3", "layer = 3\nlayers = [3]", "model.layers: Extra inputs are not permitted (received [3])"),
        ("layer = 3", "layer = 3\nwindow = 64\nstride = 65", "model: Value error, stride 65 is larger than window 64; make it at most the window"),
        ("layer = 3", 'layer = 3\ndtype = "fp16"', "model.dtype: Input should be 'auto', 'fp32' or 'bf16' (received 'fp16')"),
        ('name = "b"', 'name = "a"', "stimulus.runs: Value error, run names must differ, received ['a', 'a']"),
        ('name = "b"', 'name = "../b"', "stimulus.runs.1.name: String should match pattern"),
        ('name = "b"', 'name = "b\\n"', "stimulus.runs.1.name: String should match pattern"),
        ("tr_s = 1.4", "tr_s = 0.0", "responses.tr_s: Input should be greater than 0 (received 0.0)"),
        ("tr_s = 1.4", "tr_s = inf", "responses.tr_s: Input should be a finite number (received inf)"),
        ("tr_s = 1.4", 'tr_s = "1.4 s"', "responses.tr_s: Input should be a valid number"),
        ("samples = 100", "samples = [100]", ": Value error, responses.samples has 1 numbers for 2 runs; give one for each, or one for all"),
        ("samples = 100", "samples = [100, 9]", "responses.samples"),
        ("samples = 100", "samples = 100\n[encoding]\nfolds = 2", "encoding.folds"),
        ("samples = 100", "samples = 100\n[encoding]\ntrim_start_s = -1.0", "encoding.trim_start_s: Input should be greater than or equal to 0"),
        ("samples = 100", 'samples = 100\n[encoding]\nresponse = "spline"', "encoding.response: Input should be 'fir' or 'hrf'"),
        ("samples = 100", "samples = 100\n[encoding]\nalphas = []", "encoding.alphas: List should have at least 1 item"),
        ("samples = 100", "samples = 100\n[encoding]\nalphas = [1.0, 0.0]", "encoding.alphas.1: Input should be greater than 0 (received 0.0)"),
    ],
)
def test_wrong_study_is_told_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MINIMAL
    (tmp_path / "study.toml").write_bytes(MINIMAL.replace(old, new).encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        Study.open(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'study.toml'}: {message}")
    assert "\n" not in str(caught.value)


def test_a_config_cannot_be_changed(tmp_path: Path) -> None:
    model: Any = open_study(tmp_path).config.model
    with pytest.raises(ValueError, match="frozen"):
        model.layer = 4


LAYERS = (
    MINIMAL
    + """
[[more_layers]]
layer = 5
sae = "saes/5"

[[more_layers]]
layer = 25
sae = "saes/25"
"""
)


def test_a_study_is_seen_at_each_of_its_layers(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(LAYERS, encoding="utf-8")
    study = Study.open(tmp_path)
    assert (study.layer, study.layers) == (3, [3, 5, 25])
    early = study.at(5)
    assert (early.layer, early.layers, early.config.sae) == (5, [3, 5, 25], "saes/5")
    assert early.features == tmp_path / "features" / "5" and early.labels.parent == early.features
    assert early.words == study.words and early.activations == study.activations
    assert early.summary != study.summary == tmp_path / "summary.json"
    back = early.at(3)
    assert (back.config.sae, back.summary, back.layers) == (study.config.sae, study.summary, study.layers)
    assert study.at(3) is study


def test_a_layer_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(LAYERS, encoding="utf-8")
    with pytest.raises(InputError, match=r"layer 7: this study has the layers 3, 5, 25; add it under \[\[more_layers\]\]"):
        Study.open(tmp_path).at(7)


def test_a_layer_named_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(LAYERS.replace("layer = 25", "layer = 3"), encoding="utf-8")
    with pytest.raises(InputError, match="layers must differ"):
        Study.open(tmp_path)


@pytest.mark.parametrize("samples", ["samples = 100", "samples = [100, 90]", ""])
def test_samples_may_be_one_number_a_number_a_run_or_left_to_the_files(tmp_path: Path, samples: str) -> None:
    config = open_study(tmp_path, MINIMAL.replace("samples = 100", samples)).config
    assert config.responses.samples == {"samples = 100": 100, "samples = [100, 90]": [100, 90], "": None}[samples]


def test_encoding_settings_leave_out_where_models_are_fitted(tmp_path: Path) -> None:
    first = open_study(tmp_path, MINIMAL + "[encoding]\nfolds = 6\n").config.encoding
    second = open_study(tmp_path, MINIMAL + '[encoding]\nfolds = 6\ndevice = "cuda"\n').config.encoding
    assert first.settings() == second.settings()
    assert first.settings()["folds"] == 6
