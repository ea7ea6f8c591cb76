"""SAEs of lm-saes compute the same here, in the layout of today, in that of Llama Scope and in the one between."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from saebrain.sae import formats
from saebrain.sae.base import SAE
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.scaling import Scaling
from saebrain.sae.standard import Standard
from saebrain.sae.topk import TopK
from tests.sae.formats import peers
from tests.sae.formats.examples import D, K, edit, refused, reweigh, states

CONFIG, WEIGHTS, SCOPE, FINAL = "config.json", "sae_weights.safetensors", "hyperparams.json", "checkpoints/final.safetensors"
HOOK = "blocks.15.hook_resid_post"
N = 3 * D
NORM = 5.25
"""Mean norm of the hidden states in training."""
# hyperparams.json of Llama Scope, Llama3_1-8B-Base-L24R-32x, but for the sizes.
LLAMA_SCOPE: dict[str, Any] = {
    "device": "cuda:0",
    "seed": 42,
    "dtype": "torch.bfloat16",
    "hook_point_in": HOOK,
    "hook_point_out": HOOK,
    "use_decoder_bias": True,
    "apply_decoder_bias_to_pre_encoder": False,
    "expansion_factor": 3,
    "d_model": D,
    "d_sae": N,
    "bias_init_method": "all_zero",
    "act_fn": "jumprelu",
    "jump_relu_threshold": 0.75390625,
    "norm_activation": "dataset-wise",
    "dataset_average_activation_norm": {"in": NORM, "out": NORM},
    "decoder_exactly_fixed_norm": False,
    "sparsity_include_decoder_norm": True,
    "use_glu_encoder": False,
    "init_decoder_norm": 0.5,
    "init_encoder_norm": None,
    "init_encoder_with_decoder_transpose": True,
    "lp": 1,
    "l1_coefficient": 8e-05,
    "top_k": 50,
}


def theirs(**config: Any) -> Any:
    """A SAE of lm-saes with random weights."""
    lm = peers.lm_saes()
    settings = {"hook_point_in": HOOK, "hook_point_out": HOOK, "d_model": D, "expansion_factor": 3, "dtype": torch.float32, "act_fn": "jumprelu"}
    made = lm.SparseAutoEncoder(lm.SAEConfig(**(settings | {"top_k": K} | config)))
    peers.randomise(made)
    made.set_dataset_average_activation_norm({HOOK: NORM})
    return made


def saved(folder: Path, **config: Any) -> Any:
    """The same, saved by lm-saes."""
    made = theirs(**config)
    made.save_pretrained(folder)
    made.cfg.save_hyperparameters(folder)
    return made


def compare(ours: SAE, other: Any, units: Tensor | float = 1.0) -> None:
    """Codes, and reconstructions in the units of the hidden states; ``units`` are those of our codes relative to theirs."""
    x = states()
    batch, factors = other.normalize_activations({HOOK: x}, return_scale_factor=True)
    codes = other.encode(batch[HOOK])
    peers.agree(ours, x, codes * units, other.decode(codes) / factors[HOOK])


@pytest.mark.parametrize("norm", ["dataset-wise", "token-wise", "inference"])
@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("act_fn", "expected"), [("jumprelu", JumpReLU), ("topk", TopK), ("relu", Standard)])
def test_every_activation(tmp_path: Path, act_fn: str, expected: type[SAE], norm: str, include: bool, bias: bool) -> None:
    other = saved(tmp_path, act_fn=act_fn, norm_activation=norm, sparsity_include_decoder_norm=include, use_decoder_bias=bias)
    ours = formats.read(tmp_path)
    assert type(ours) is expected
    assert ours.scaling.kind == {"dataset-wise": "constant", "token-wise": "unit_norm", "inference": "none"}[norm]
    compare(ours, other, other.decoder_norm() if act_fn == "topk" and include else 1.0)
    assert (ours.metadata["layer"], ours.metadata["hook_name"]) == (16, HOOK)
    assert ours.metadata["codes_in"] == ("raw" if norm == "inference" else "normalised")


def test_topk_with_unit_decoder_rows_keeps_its_units(tmp_path: Path) -> None:
    other = theirs(act_fn="topk")
    other.set_decoder_to_fixed_norm(1.0, force_exact=True)
    other.save_pretrained(tmp_path)
    other.cfg.save_hyperparameters(tmp_path)
    ours = formats.read(tmp_path)
    assert "units" not in ours.metadata
    compare(ours, other)


def test_a_feature_without_decoder_is_never_active(tmp_path: Path) -> None:
    saved(tmp_path)
    W_D = load_file(tmp_path / WEIGHTS)["W_D"]
    reweigh(tmp_path / WEIGHTS, W_D=W_D * (torch.arange(N) != 2)[:, None])
    ours = formats.read(tmp_path)
    assert (ours.encode(states()).features != 2).all()
    formats.write(ours, tmp_path / "ours")
    assert (formats.read(tmp_path / "ours").encode(states()).features != 2).all()


def linear(other: Any) -> dict[str, Tensor]:
    """Its weights under the names they had before 2025."""
    weights = {"encoder.weight": other.W_E.T, "encoder.bias": other.b_E, "decoder.weight": other.W_D.T, "decoder.bias": other.b_D}
    return {name: weight.detach().contiguous() for name, weight in weights.items()}


def scope(folder: Path, **changes: Any) -> Any:
    """A folder of Llama Scope, and the same SAE of lm-saes today, whose thresholds are learnt one by one."""
    other = theirs()
    other.activation_function.log_jumprelu_threshold.data.fill_(math.log(LLAMA_SCOPE["jump_relu_threshold"]))
    (folder / "checkpoints").mkdir(parents=True)
    save_file(linear(other), folder / FINAL)
    (folder / SCOPE).write_text(json.dumps(LLAMA_SCOPE | changes))
    return other


def test_llama_scope(tmp_path: Path) -> None:
    other = scope(tmp_path)
    ours = formats.read(tmp_path)
    assert ours.scaling == Scaling("constant", math.sqrt(D) / NORM)
    assert not ours.apply_b_dec_to_input
    compare(ours, other)
    assert (ours.metadata["source"]["format"], ours.metadata["layer"]) == ("lm-saes", 16)


def test_b_dec_is_taken_off_the_input_where_the_config_says_so(tmp_path: Path) -> None:
    """As lm-saes of 2024 did; later versions have no such setting."""
    other = scope(tmp_path, apply_decoder_bias_to_pre_encoder=True)
    ours = formats.read(tmp_path)
    assert ours.apply_b_dec_to_input
    x = states() * (math.sqrt(D) / NORM)
    codes = other.encode(x - other.b_D)
    peers.agree(ours, states(), codes, other.decode(codes) / (math.sqrt(D) / NORM))
    edit(tmp_path / SCOPE, use_decoder_bias=False)
    reweigh(tmp_path / FINAL, **{"decoder.bias": None})
    assert not formats.read(tmp_path).apply_b_dec_to_input


def test_the_layout_between(tmp_path: Path) -> None:
    """Llama-Scope-R1-Distill: the old names, a threshold a feature, the norm among the weights."""
    other = saved(tmp_path)
    extra = {"log_jumprelu_threshold": other.activation_function.log_jumprelu_threshold.detach()}
    norm = {f"dataset_average_activation_norm.{HOOK}": torch.tensor(NORM)}
    save_file(linear(other) | extra | norm, tmp_path / WEIGHTS)
    compare(formats.read(tmp_path), other)


def test_a_norm_that_is_not_recorded_must_be_given(tmp_path: Path) -> None:
    other = saved(tmp_path)
    name = f"dataset_average_activation_norm.{HOOK}"
    message = refused(tmp_path, CONFIG, input_scale=0.5)
    assert "already; leave out input_scale = 0.5, or it would be scaled twice" in message
    reweigh(tmp_path / WEIGHTS, **{name: None})
    assert "times a factor that is not recorded; give it as input_scale: sqrt(width) / mean norm" in refused(tmp_path, CONFIG)
    compare(formats.read(tmp_path, input_scale=math.sqrt(D) / NORM), other)
    reweigh(tmp_path / WEIGHTS, **{name: torch.tensor(0.0)})
    assert "mean norm 0 of the hidden states is not positive" in refused(tmp_path, CONFIG)
    edit(tmp_path / CONFIG, norm_activation="inference")
    assert "leave out input_scale = 0.5, or they would be scaled twice" in refused(tmp_path, CONFIG, input_scale=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sae_type": "crosscoder"}, "sae_type = 'crosscoder' is not supported: it does not reconstruct one hidden state from itself"),
        ({"sae_type": "lorsa"}, "sae_type = 'lorsa' is not supported"),
        ({"hook_point_out": "blocks.15.hook_mlp_out"}, "is not the hook point of the input, 'blocks.15.hook_resid_post': a transcoder does not"),
        ({"use_glu_encoder": True}, "use_glu_encoder = True is not supported"),
        (
            {"act_fn": "batchtopk"},
            "act_fn = 'batchtopk' is not supported: which features are active depends on the batch; convert the SAE to jumprelu",
        ),
        ({"act_fn": "gelu"}, "act_fn = 'gelu' is not supported; only relu, jumprelu and topk are"),
        ({"norm_activation": "batch-wise"}, "norm_activation = 'batch-wise' is not supported: a token's codes would depend on its company"),
        ({"act_fn": "topk", "top_k": N + 1}, f"top_k = {N + 1} is more than the {N} features"),
        ({"act_fn": "topk", "top_k": None}, "top_k missing; restore the file"),
        ({"expansion_factor": 0.01}, "expansion_factor = 0.01 leaves no features"),
    ],
)
def test_configs_that_would_be_computed_differently_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    saved(tmp_path)
    edit(tmp_path / CONFIG, **change)
    assert message in refused(tmp_path, CONFIG)


def test_norms_of_input_and_output_that_differ_are_a_transcoders(tmp_path: Path) -> None:
    scope(tmp_path, dataset_average_activation_norm={"in": 64.0, "out": 3.390625})
    assert "out = 3.390625 is not the norm of the input, 64.0: a transcoder does not reconstruct its own input" in refused(tmp_path, SCOPE)


def test_a_threshold_that_is_missing_is_not_taken_for_0(tmp_path: Path) -> None:
    saved(tmp_path / "now")
    reweigh(tmp_path / "now" / WEIGHTS, **{"activation_function.log_jumprelu_threshold": None})
    message = "no threshold, neither activation_function.log_jumprelu_threshold here nor jump_relu_threshold in"
    assert f"{message} config.json" in refused(tmp_path / "now", WEIGHTS)
    scope(tmp_path / "scope")
    edit(tmp_path / "scope" / SCOPE, jump_relu_threshold=None)
    assert f"{message} hyperparams.json" in refused(tmp_path / "scope", FINAL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W_E": torch.zeros(N, D)}, "W_E should be (6, 18) by config.json, received (18, 6), transposed"),
        ({"b_D": None}, "b_D should be (6,) by config.json, received nothing"),
        ({"W_D": torch.full((N, D), torch.inf)}, "W_D holds NaN or infinite values"),
        ({"W_E_glu": torch.zeros(D, N)}, "holds W_E_glu, which no jumprelu SAE has"),
    ],
)
def test_weights_that_contradict_the_config_are_refused(tmp_path: Path, change: dict[str, Tensor | None], message: str) -> None:
    saved(tmp_path)
    reweigh(tmp_path / WEIGHTS, **change)
    assert message in refused(tmp_path, WEIGHTS)


def test_an_activation_that_the_weights_belie_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    edit(tmp_path / CONFIG, act_fn="relu")
    assert "holds activation_function.log_jumprelu_threshold, which no relu SAE has" in refused(tmp_path, WEIGHTS)
