"""A folder's files tell its layout; pages can ask without loading torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from saebrain.errors import InputError
from saebrain.sae import formats
from saebrain.sae.formats.fields import layer_of
from saebrain.sae.formats.layout import CONFIG, READABLE, SCALER, WEIGHTS, files, identify, read_config
from tests.sae.formats.examples import edit, refused, sae

ROOT = Path(__file__).parents[3]


def folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("{}")
    return path


@pytest.mark.parametrize(
    ("names", "format", "config", "weights"),
    [
        ([CONFIG, WEIGHTS], "saelens", CONFIG, WEIGHTS),
        ([CONFIG], "saelens", CONFIG, WEIGHTS),
        ([CONFIG, "config.json", WEIGHTS], "saelens", CONFIG, WEIGHTS),  # hubs count downloads by a config.json
        ([CONFIG, "sae.safetensors"], "sparsify", CONFIG, "sae.safetensors"),
        (["config.json", WEIGHTS], "lm-saes", "config.json", WEIGHTS),
        (["hyperparams.json", "checkpoints/final.safetensors"], "lm-saes", "hyperparams.json", "checkpoints/final.safetensors"),
        (
            ["hyperparams.json", "checkpoints/final.safetensors", "checkpoints/pruned.safetensors"],
            "lm-saes",
            "hyperparams.json",
            "checkpoints/pruned.safetensors",
        ),
        (["config.json", "ae.pt"], "dictionary_learning", "config.json", "ae.pt"),
    ],
)
def test_files_tell_the_layout(tmp_path: Path, names: list[str], format: str, config: str, weights: str) -> None:
    found = identify(folder(tmp_path, *names))
    assert (found.format, found.config, found.weights) == (format, tmp_path / config, tmp_path / weights)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], "empty"),
        (["config.json", "model.safetensors"], "no layout of a SAE, but config.json, model.safetensors"),
        (["ae.pt"], "no layout of a SAE, but ae.pt"),
        (
            [f"layers.{n}/cfg.json" for n in range(9)],
            "but layers.0/, layers.1/, layers.2/, layers.3/, layers.4/, layers.5/, layers.6/, layers.7/ and 1 more",
        ),
    ],
)
def test_other_folders_are_refused_with_what_they_hold_and_what_can_be_read(tmp_path: Path, names: list[str], found: str) -> None:
    message = refused(folder(tmp_path, *names), "")
    assert f"{found}; layouts that can be read: {READABLE}; name a folder with one, or train a SAE: python -m saebrain sae train" in message


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "no such folder; layouts that can be read" in refused(tmp_path / "none", "")


def test_the_config_is_read_without_the_weights(tmp_path: Path) -> None:
    formats.write(sae(), tmp_path)
    (tmp_path / WEIGHTS).unlink()
    assert read_config(tmp_path)["metadata"]["layer"] == 15
    edit(tmp_path / CONFIG, metadata=[])
    with pytest.raises(InputError, match="metadata is a list, not an object"):
        read_config(tmp_path)


def test_the_files_of_a_sae_are_all_that_it_is_read_from(tmp_path: Path) -> None:
    """Those of our own layout are named even if missing, so that a step can tell that they have come."""
    ours = [tmp_path / CONFIG, tmp_path / WEIGHTS]
    assert files(tmp_path) == ours
    assert files(folder(tmp_path, CONFIG, WEIGHTS, "README.md")) == ours
    assert files(folder(tmp_path, SCALER)) == [*ours, tmp_path / SCALER]
    assert tmp_path / "ae.pt" in files(folder(tmp_path, "config.json", "ae.pt"))


def test_asking_for_files_and_config_loads_no_torch() -> None:
    code = "import sys, saebrain.sae.formats as f; f.files, f.read_config, f.CONFIG, f.WEIGHTS; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "safetensors", "huggingface_hub"} & set(loaded)


@pytest.mark.parametrize(
    ("hook", "layer"),
    [
        ("blocks.14.hook_resid_post", 15),
        ("blocks.14.hook_resid_pre", 14),
        ("blocks.0.hook_resid_pre", 0),
        ("hook_embed", 0),
        ("blocks.14.hook_resid_mid", None),
        ("blocks.14.hook_mlp_out", None),
        ("blocks.14.attn.hook_z", None),
        ("model.layers.3", 4),
        ("model.layers.3.mlp", None),
        ("transformer.h.0", 1),
        ("", None),
    ],
)
def test_hook_points_tell_the_layer(hook: str, layer: int | None) -> None:
    assert layer_of(hook) == layer
