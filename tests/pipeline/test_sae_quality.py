"""Which SAEs are around a study, and what their folders say of them; folders are small and written here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from saebrain.config import StudyConfig
from saebrain.pipeline import sae_quality
from saebrain.pipeline.sae_quality import QUIET_S, known_saes, progress, training_log
from saebrain.study import Study

DENSITY = {"log10_edges": [-3.0, -2.0, -1.0], "counts": [5, 2], "never": 1}
FIGURES = {"fvu": 0.2, "l0": 4.0, "dead_fraction": 0.125, "n_tokens": 900}


def log(steps: int = 20) -> pd.DataFrame:
    step = np.arange(0, steps, 10)
    columns = {"loss": 0.3, "fvu": 0.3, "l0": 4.0, "dead_fraction": 0.0, "learning_rate": 1e-3, "tokens_per_s": 200.0}
    return pd.DataFrame({"step": step, "tokens": (step + 1) * 100, **columns, "seconds": (step + 1) / 2})


def sae(folder: Path, layer: int | None = 3, *, quality: dict[str, Any] | None = None, **metadata: Any) -> Path:
    """A finished SAE."""
    folder.mkdir(parents=True)
    values = {"architecture": "topk", "d_in": 8, "d_sae": 16, "k": 4, "metadata": {"model_name": "Small", "layer": layer, **metadata}}
    (folder / "cfg.json").write_text(json.dumps(values))
    (folder / "sae_weights.safetensors").write_bytes(b"")
    if quality is not None:
        (folder / "quality.json").write_text(json.dumps(quality))
    return folder


def run(folder: Path, *, quiet_s: float = 0.0, steps: int | None = None) -> Path:
    """A run that is not finished, whose log was written so long ago; with its number of steps once it has a checkpoint."""
    folder.mkdir(parents=True)
    log().to_parquet(folder / "training_log.parquet")
    written = (folder / "training_log.parquet").stat().st_mtime - quiet_s
    os.utime(folder / "training_log.parquet", (written, written))
    if steps:
        what = {"config": {"steps": steps, "architecture": "jumprelu", "n_features": 16, "k": 4}, "layer": 9}
        save_file({"x": np.zeros(1)}, folder / "checkpoint.safetensors", metadata={"run": json.dumps(what), "progress": "{}"})
    return folder


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of shipped data; at first with nothing in it."""
    monkeypatch.setattr(sae_quality, "SHIPPED", tmp_path / "data")
    return tmp_path / "data"


def study(folder: Path, **changes: Any) -> Study:
    values: dict[str, Any] = {
        "title": "Small",
        "sae": "sae",
        "model": {"source": "model", "layer": 3},
        "stimulus": {"runs": [{"name": "walk", "source": "walk.txt"}, {"name": "home", "source": "home.txt"}]},
        "responses": {"tr_s": 1.4, "samples": 100},
    }
    return Study(folder, StudyConfig.model_validate(values | changes))


def test_figures_name_their_text(tmp_path: Path) -> None:
    check = {"status": "ok", "reasons": ["It works."], "remedies": []}
    sae(tmp_path / "sae", quality={**FIGURES, "ce_recovered": 0.9, "text": "ten letters", "density": DENSITY, "check": check}, held_out={"fvu": 0.1})
    own = tmp_path / "features" / "3"
    own.mkdir(parents=True)
    (own / "quality.json").write_text(json.dumps({**FIGURES, "fvu": 0.25}))
    (found,) = known_saes(study(tmp_path))
    assert (found.own, found.layer, found.label, found.kind, found.n_features, found.k) == (True, 3, "layer 3", "TopK", 16, 4)
    other, mine = found.on("other"), found.on("study")
    assert other is not None and mine is not None
    assert (other.text, other.fvu, other.ce_recovered, other.density) == ("ten letters", 0.2, 0.9, DENSITY)
    assert other.check is not None and (other.check.status, other.check.reasons) == ("ok", ("It works.",))
    assert (mine.text, mine.fvu, mine.ce_recovered, mine.check) == ("this study's text: walk, home (out of date)", 0.25, None, None)


def test_without_quality_those_of_training_are_taken_and_claims_are_apart(tmp_path: Path) -> None:
    sae(tmp_path / "sae", held_out=FIGURES, claims={"explained_variance": 0.7, "l0": 60})
    (found,) = known_saes(study(tmp_path))
    training, claimed = found.measured
    assert (training.of, training.text, training.fvu, training.n_tokens) == ("other", "documents held out of its training texts", 0.2, 900)
    assert (claimed.of, claimed.l0, claimed.n_tokens) == ("claimed", 60, None) and claimed.fvu == pytest.approx(0.3)


def test_shipped_saes_of_the_same_model_are_known(tmp_path: Path, shipped: Path) -> None:
    sae(shipped / "sae" / "small" / "layer_1", 1)
    sae(shipped / "sae" / "small" / "layer_7", 7)
    sae(shipped / "sae" / "other" / "layer_1", 1, model_name="Other")
    sae(tmp_path / "sae")
    assert [(found.label, found.own) for found in known_saes(study(tmp_path))] == [("layer 1", False), ("layer 3", True), ("layer 7", False)]
    (tmp_path / "activations").mkdir()
    (tmp_path / "activations" / "index.json").write_text('{"model": "Other"}')  # what was really read counts
    assert [found.label for found in known_saes(study(tmp_path))] == ["layer 1", "layer 3"]


def test_a_shipped_sae_that_the_study_uses_is_there_once(tmp_path: Path, shipped: Path) -> None:
    folder = sae(shipped / "sae" / "small" / "layer_3")
    (found,) = known_saes(study(tmp_path, sae=str(folder), sae_folders=[str(folder), str(folder.parent)]))
    assert found.own


def test_further_layers_of_a_study_have_their_own_saes(tmp_path: Path) -> None:
    sae(tmp_path / "sae")
    sae(tmp_path / "deep", None, quality=FIGURES)
    (tmp_path / "features" / "8").mkdir(parents=True)
    (tmp_path / "features" / "8" / "quality.json").write_text(json.dumps({**FIGURES, "fvu": 0.5}))
    first, second = known_saes(study(tmp_path, more_layers=[{"layer": 8, "sae": "deep"}]))
    assert [first.layer, second.layer] == [3, 8] and first.own and second.own
    assert [found.fvu for found in first.measured] == [] and [found.fvu for found in second.measured] == [0.2, 0.5]


def test_further_folders_hold_one_or_several(tmp_path: Path) -> None:
    sae(tmp_path / "sae")
    sae(tmp_path / "one", 5)
    for name, layer in (("a", 6), ("b", 6), ("c", None)):
        sae(tmp_path / "several" / name, layer)
    (tmp_path / "several" / "notes").mkdir()
    found = known_saes(study(tmp_path, sae_folders=["one", "several"]))
    assert [sae.label for sae in found] == ["layer 3", "layer 5", "layer 6 · a", "layer 6 · b", "c"]
    assert [sae.key for sae in found] == ["sae", "one", "a", "b", "c"]


def test_labels_tell_saes_of_one_layer_apart(tmp_path: Path) -> None:
    sae(tmp_path / "sae")
    other = sae(tmp_path / "x" / "sae")
    config = json.loads((other / "cfg.json").read_text())
    (other / "cfg.json").write_text(json.dumps({**config, "architecture": "jumprelu"}))
    found = known_saes(study(tmp_path, sae_folders=["x"]))
    assert [sae.label for sae in found] == ["layer 3 · TopK 16", "layer 3 · JumpReLU 16"]
    assert [sae.key for sae in found] == ["sae", "sae~2"]


def test_a_folder_without_a_sae_is_told(tmp_path: Path) -> None:
    sae(tmp_path / "sae")
    mine, nowhere = known_saes(study(tmp_path, sae_folders=["nowhere"]))
    assert mine.problem is None and nowhere.problem is not None and "no such folder" in nowhere.problem


@pytest.mark.parametrize(
    "damaged",
    [
        "[]",
        "{",
        '{"fvu": "low", "l0": NaN, "n_tokens": -1, "ce_recovered": true, "check": {"status": "fine"}, "density": {"counts": [1]}}',
        '{"density": {"log10_edges": [-3, 400], "counts": [1], "never": 0}, "check": 3}',
        '{"density": {"log10_edges": [-3, -2], "counts": [0], "never": 0}, "check": {"status": []}}',
    ],
)
def test_damaged_figures_are_left_out(tmp_path: Path, damaged: str) -> None:
    (sae(tmp_path / "sae") / "quality.json").write_text(damaged)
    (found,) = known_saes(study(tmp_path))
    for measured in found.measured:
        assert (measured.fvu, measured.l0, measured.n_tokens, measured.ce_recovered, measured.density, measured.check) == (None,) * 6


# training


def test_a_run_in_progress(tmp_path: Path) -> None:
    sae(tmp_path / "sae")
    run(tmp_path / "runs" / "new", steps=101)
    mine, new = known_saes(study(tmp_path, sae_folders=["runs"]))
    assert (mine.state, new.state, new.problem) == ("finished", "training", None)
    assert (new.label, new.kind, new.n_features, new.measured) == ("layer 9", "JumpReLU", 16, ())
    now = progress(new)
    assert now is not None and (now.done, now.total, now.tokens, now.tokens_per_s) == (11, 101, 1100, 200.0)
    assert now.left_s == pytest.approx(90 * 100 / 200) and now.quiet_s < 60


def test_a_run_without_a_checkpoint_does_not_know_its_end(tmp_path: Path) -> None:
    sae(tmp_path / "sae")
    run(tmp_path / "new")
    (new,) = (found for found in known_saes(study(tmp_path, sae_folders=["new"])) if not found.own)
    now = progress(new)
    assert new.label == "new" and now is not None and now.total is None and now.left_s is None
    (tmp_path / "new" / "checkpoint.safetensors").write_bytes(b"half")
    again = progress(new)
    assert again is not None and again.total is None


def test_a_run_that_says_nothing_has_stopped(tmp_path: Path) -> None:
    sae(tmp_path / "sae")
    run(tmp_path / "new", quiet_s=2 * QUIET_S)
    assert [found.state for found in known_saes(study(tmp_path, sae_folders=["new"]))] == ["finished", "stopped"]


def test_a_run_without_steps_has_no_progress(tmp_path: Path) -> None:
    sae(tmp_path / "sae")
    log().head(0).to_parquet(run(tmp_path / "new") / "training_log.parquet")
    (new,) = (found for found in known_saes(study(tmp_path, sae_folders=["new"])) if not found.own)
    assert progress(new) is None


def test_training_log(tmp_path: Path) -> None:
    assert training_log(sae(tmp_path / "sae")) is None
    read = training_log(run(tmp_path / "new"))
    assert read is not None
    pd.testing.assert_frame_equal(read, log())
