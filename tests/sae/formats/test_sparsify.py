"""SAEs saved by sparsify compute the same here; transcoders and codes of both signs are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from saebrain.sae import formats
from saebrain.sae.group_max import GroupMax
from saebrain.sae.topk import TopK
from tests.sae.formats import peers
from tests.sae.formats.examples import D, K, N, edit, refused, reweigh, states

CONFIG, WEIGHTS = "cfg.json", "sae.safetensors"


def saved(folder: Path, **config: Any) -> Any:
    """A SAE of sparsify with random weights, saved by it."""
    coder = peers.sparsify()
    made = coder.SparseCoder(D, coder.SparseCoderConfig(**({"num_latents": N, "k": K} | config)))
    peers.randomise(made)
    made.save_to_disk(folder)
    return made


@pytest.mark.parametrize("config", [{}, {"normalize_decoder": False}, {"multi_topk": True}, {"num_latents": 0, "expansion_factor": 3}])
def test_topk(tmp_path: Path, config: dict[str, Any]) -> None:
    other = saved(tmp_path, **config)
    ours = formats.read(tmp_path)
    assert isinstance(ours, TopK) and ours.k == K
    compare(ours, other)


def test_groupmax(tmp_path: Path) -> None:
    other = saved(tmp_path, activation="groupmax")
    ours = formats.read(tmp_path)
    assert isinstance(ours, GroupMax)
    compare(ours, other)
    edit(tmp_path / CONFIG, k=3)
    assert "groupmax with k = 3 cannot share out 20 features evenly" in refused(tmp_path, CONFIG)


def compare(ours: Any, other: Any) -> None:
    x = states()
    top = other.encode(x)
    codes = torch.zeros(len(x), ours.n_features).scatter_(1, top.top_indices, top.top_acts.detach())
    peers.agree(ours, x, codes, other.decode(top.top_acts, top.top_indices))


@pytest.mark.parametrize(
    ("name", "layer"),
    [("layers.5", 6), ("layers_5", 6), ("h.5", 6), ("gpt_neox.layers.0", 1), ("embed_tokens", 0), ("layers.5.mlp", None)],
)
def test_the_folders_name_tells_the_layer(tmp_path: Path, name: str, layer: int | None) -> None:
    saved(tmp_path / name)
    (tmp_path / "config.json").write_text('{"model": "EleutherAI/pythia-160m"}')
    metadata = formats.read(tmp_path / name).metadata
    assert (metadata["hook_name"], metadata.get("layer"), metadata["model_name"]) == (name, layer, "EleutherAI/pythia-160m")


def test_another_folders_name_tells_nothing(tmp_path: Path) -> None:
    saved(tmp_path / "mine")
    metadata = formats.read(tmp_path / "mine").metadata
    assert not {"hook_name", "layer", "model_name"} & set(metadata)
    assert (metadata["source"]["format"], metadata["codes_in"]) == ("sparsify", "raw")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transcode": True}, "transcode = True is not supported: a transcoder does not reconstruct its own input"),
        ({"skip_connection": True}, "skip_connection = True is not supported"),
        ({"signed": True}, "signed = True is not supported: codes here are positive"),
        ({"activation": "relu"}, "activation = 'relu' is not supported; only topk and groupmax are"),
        ({"k": None}, "k missing; restore the file"),
        ({"k": N + 1}, f"k = {N + 1} is more than the {N} features"),
        ({"d_in": None}, "d_in missing; restore the file"),
    ],
)
def test_configs_that_would_be_computed_differently_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    saved(tmp_path)
    edit(tmp_path / CONFIG, **change)
    assert message in refused(tmp_path, CONFIG)


def test_real_transcoders_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, transcode=True, skip_connection=True)
    assert "does not reconstruct its own input" in refused(tmp_path, CONFIG)
    edit(tmp_path / CONFIG, transcode=False, skip_connection=False)
    assert "holds W_skip, which no topk SAE has" in refused(tmp_path, WEIGHTS)


def test_weights_that_contradict_the_config_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    edit(tmp_path / CONFIG, num_latents=0, expansion_factor=4)
    assert "encoder.weight should be (24, 6) by cfg.json, received (20, 6)" in refused(tmp_path, WEIGHTS)
    edit(tmp_path / CONFIG, num_latents=N)
    reweigh(tmp_path / WEIGHTS, W_dec=torch.zeros(D, N))
    assert "W_dec should be (20, 6) by cfg.json, received (6, 20), transposed" in refused(tmp_path, WEIGHTS)


def test_a_factor_of_the_input_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    assert "leave out input_scale = 2, or they would be scaled twice" in refused(tmp_path, CONFIG, input_scale=2.0)


def test_a_square_sae_is_read_as_the_format_says(tmp_path: Path) -> None:
    compare_square = saved(tmp_path, num_latents=D, k=2)
    assert json.loads((tmp_path / CONFIG).read_text())["num_latents"] == D
    compare(formats.read(tmp_path), compare_square)
