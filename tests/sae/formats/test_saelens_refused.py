"""Of SAELens' files, what we would compute differently or what contradicts itself is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from saebrain.sae import formats
from saebrain.sae.formats.layout import CONFIG, WEIGHTS
from tests.sae.formats.examples import D, N, edit, refused, reweigh, sae


@pytest.mark.parametrize(
    ("architecture", "change", "message"),
    [
        (
            "topk",
            {"architecture": "transcoder"},
            "architecture 'transcoder' does not reconstruct its own input; those that can be read: standard, topk",
        ),
        ("topk", {"architecture": "crosscoder"}, "architecture 'crosscoder' does not reconstruct its own input"),
        ("topk", {"architecture": "abstopk"}, "architecture 'abstopk' is not supported; those that can be read"),
        ("topk", {"architecture": None}, "architecture None is not supported"),
        ("topk", {"k": None}, "k missing; restore the file"),
        ("topk", {"k": 0}, "k = 0 is no positive whole number; restore the file"),
        ("topk", {"k": 3.5}, "k = 3.5 is no positive whole number"),
        ("topk", {"k": 21}, "k = 21 is more than the 20 features; restore the file"),
        ("topk", {"d_in": "6"}, "d_in = '6' is no positive whole number; restore the file"),
        ("topk", {"d_sae": None}, "d_sae missing; restore the file"),
        ("topk", {"metadata": []}, "metadata is a list, not an object; restore the file"),
        ("topk", {"apply_b_dec_to_input": 1}, "apply_b_dec_to_input = 1 is neither true nor false"),
        ("topk", {"normalize_activations": "batch_norm"}, "normalize_activations = 'batch_norm' is not supported"),
        ("topk", {"reshape_activations": "hook_z"}, "made for the outputs of attention heads, which are not read here; choose a SAE of the residual"),
        ("topk", {"metadata": {"hook_name": "blocks.3.attn.hook_z"}}, "hook_name 'blocks.3.attn.hook_z', reshape_activations 'none': made for the"),
        ("topk", {"hook_name_out": "blocks.3.hook_mlp_out"}, "hook_name_out 'blocks.3.hook_mlp_out' is not hook_name, '': a transcoder does not"),
        ("topk", {"metadata": {"hook_head_index": 3}}, "hook_head_index = 3: made for one attention head"),
        ("topk", {"activation_fn_kwargs": {"signed": True}}, "signed = True is not supported: codes here are positive"),
        (
            "standard",
            {"activation_fn_str": "tanh-relu"},
            "activation_fn 'tanh-relu' with architecture 'standard' is not supported; only relu and topk",
        ),
        ("standard", {"activation_fn_str": "topk"}, "k missing; restore the file"),
        ("jumprelu", {"activation_fn_str": "topk"}, "activation_fn 'topk' with architecture 'jumprelu' is not supported"),
        ("jumprelu", {"rescale_acts_by_decoder_norm": True}, "rescale_acts_by_decoder_norm = True is no setting of architecture 'jumprelu'"),
    ],
)
def test_configs_that_would_be_computed_differently_are_refused(tmp_path: Path, architecture: str, change: dict[str, Any], message: str) -> None:
    formats.write(sae(architecture), tmp_path)
    edit(tmp_path / CONFIG, **change)
    assert message in refused(tmp_path, CONFIG)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'k': 3}", "not valid JSON"),
        ("", "not valid JSON"),
        ("\udcff", "not valid JSON"),
        ("[1, 2]", "holds a list, not an object; restore the file"),
        ('{"architecture": "topk", "d_in": 5}', "d_sae missing; restore the file"),
    ],
)
def test_damaged_configs_are_refused(tmp_path: Path, text: str, message: str) -> None:
    formats.write(sae(), tmp_path)
    (tmp_path / CONFIG).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert message in refused(tmp_path, CONFIG)


@pytest.mark.parametrize(
    ("architecture", "change", "message"),
    [
        (
            "topk",
            {"W_enc": torch.zeros(N, D)},
            "W_enc should be (6, 20) by cfg.json, received (20, 6), transposed; weights and cfg.json do not belong",
        ),
        ("topk", {"W_dec": torch.zeros(D, N)}, "W_dec should be (20, 6) by cfg.json, received (6, 20), transposed"),
        ("topk", {"b_enc": torch.zeros(19)}, "b_enc should be (20,) by cfg.json, received (19,); weights and cfg.json do not belong together"),
        ("topk", {"b_dec": None}, "b_dec should be (6,) by cfg.json, received nothing"),
        ("topk", {"W_dec": torch.full((N, D), torch.nan)}, "W_dec holds NaN or infinite values; restore the file or train the SAE again"),
        ("topk", {"b_dec": torch.full((D,), torch.inf)}, "b_dec holds NaN or infinite values"),
        ("topk", {"W_skip": torch.zeros(D, D)}, "holds W_skip, which no topk SAE has; check what cfg.json says of the architecture"),
        ("standard", {"threshold": torch.ones(N)}, "holds threshold, which no standard SAE has"),
        ("jumprelu", {"threshold": None}, "threshold should be (20,) by cfg.json, received nothing"),
        ("jumprelu", {"threshold": torch.ones(1)}, "threshold should be (20,) by cfg.json, received (1,)"),
        ("gated", {"r_mag": None}, "r_mag should be (20,) by cfg.json, received nothing"),
    ],
)
def test_weights_that_contradict_the_config_are_refused(tmp_path: Path, architecture: str, change: dict[str, Any], message: str) -> None:
    formats.write(sae(architecture), tmp_path)
    reweigh(tmp_path / WEIGHTS, **change)
    assert message in refused(tmp_path, WEIGHTS)


def test_an_architecture_that_the_weights_belie_is_refused(tmp_path: Path) -> None:
    """A JumpReLU SAE whose config calls it standard would be dense without a word."""
    formats.write(sae("batchtopk"), tmp_path)
    edit(tmp_path / CONFIG, architecture="standard")
    assert "holds threshold, which no standard SAE has" in refused(tmp_path, WEIGHTS)
    edit(tmp_path / CONFIG, architecture="batchtopk", k=4, normalize_activations="none")
    assert "topk_threshold should be () by cfg.json, received nothing" in refused(tmp_path, WEIGHTS)


@pytest.mark.parametrize("content", [None, b"\x80\x04.", b"cut off"])
def test_damaged_weights_are_refused(tmp_path: Path, content: bytes | None) -> None:
    formats.write(sae(), tmp_path)
    path = tmp_path / WEIGHTS
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-20] if content == b"cut off" else content)
    assert "weights cannot be read" in refused(tmp_path, WEIGHTS)


@pytest.mark.parametrize("widths", [None, [11, 5], [5, 21], [5, "11"], 5])
def test_prefixes_that_are_none_are_refused(tmp_path: Path, widths: Any) -> None:
    formats.write(sae("matryoshka_batchtopk"), tmp_path)
    metadata = json.loads((tmp_path / CONFIG).read_text())["metadata"]
    metadata["training_architecture_details"] = {"k": 4, "matryoshka_widths": widths}
    edit(tmp_path / CONFIG, metadata=metadata)
    assert f"matryoshka_widths = {widths!r} are no ascending sizes up to 20" in refused(tmp_path, CONFIG)
