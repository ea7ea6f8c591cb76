"""SAELens and we read each other's SAEs alike, files of before its version 6 too."""

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
from saebrain.sae.batch_topk import BatchTopK
from saebrain.sae.formats.layout import CONFIG, SCALER, WEIGHTS, WHITENING
from saebrain.sae.gated import Gated
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.matryoshka import Matryoshka
from saebrain.sae.scaling import Scaling
from saebrain.sae.standard import Standard
from saebrain.sae.topk import TopK
from tests.sae.formats import peers
from tests.sae.formats.examples import ARCHITECTURES, SCALINGS, D, K, N, edit, refused, reweigh, sae, states

HOOK = "blocks.14.hook_resid_post"
# Config before version 6, with the values that its defaults had.
FLAT = {
    "architecture": "standard",
    "d_in": D,
    "d_sae": N,
    "dtype": "float32",
    "device": "cpu",
    "model_name": "gpt2-small",
    "hook_name": HOOK,
    "hook_layer": 14,
    "hook_head_index": None,
    "activation_fn_str": "relu",
    "activation_fn_kwargs": {},
    "apply_b_dec_to_input": True,
    "finetuning_scaling_factor": False,
    "sae_lens_training_version": "3.18.2",
    "prepend_bos": True,
    "dataset_path": "Skylion007/openwebtext",
    "context_size": 128,
    "normalize_activations": "none",
}


def theirs(kind: str, **config: Any) -> Any:
    """A SAE of SAELens with random weights; ``kind`` is "TopK" or the like, "BatchTopKTraining" for one in training."""
    lens = peers.saelens()
    metadata = lens.saes.sae.SAEMetadata(model_name="gpt2-small", hook_name=HOOK)
    made = getattr(lens, f"{kind}SAE")(getattr(lens, f"{kind}SAEConfig")(d_in=D, d_sae=N, metadata=metadata, **config))
    peers.randomise(made)
    return made


def compare(ours: SAE, other: Any, x: Tensor | None = None) -> None:
    x = states() if x is None else x
    codes = other.encode(x)
    peers.agree(ours, x, codes, other.decode(codes))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda scaling: scaling.kind)
@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
def test_saelens_computes_the_same_from_our_files(tmp_path: Path, architecture: str, scaling: Scaling, apply_b_dec_to_input: bool) -> None:
    ours = sae(architecture, scaling=scaling, apply_b_dec_to_input=apply_b_dec_to_input, metadata={"hook_name": HOOK, "model_name": "gpt2"})
    formats.write(ours, tmp_path, dtype="float32")
    other = peers.saelens().SAE.load_from_disk(tmp_path)
    compare(ours, other)
    assert (other.cfg.metadata.hook_name, other.cfg.metadata.model_name) == (HOOK, "gpt2")


def test_saelens_computes_the_same_from_half_precision(tmp_path: Path) -> None:
    formats.write(sae("batchtopk", scaling=Scaling("constant", 0.37)), tmp_path)
    compare(formats.read(tmp_path), peers.saelens().SAE.load_from_disk(tmp_path))


@pytest.mark.parametrize("normalize", ["none", "layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
@pytest.mark.parametrize(
    ("kind", "expected", "own"),
    [
        ("Standard", Standard, {}),
        ("TopK", TopK, {"k": K}),
        ("TopK", TopK, {"k": K, "rescale_acts_by_decoder_norm": True}),
        ("JumpReLU", JumpReLU, {}),
        ("Gated", Gated, {}),
    ],
)
def test_we_compute_the_same_from_files_of_saelens(
    tmp_path: Path, kind: str, expected: type[SAE], own: dict[str, Any], normalize: str, apply_b_dec_to_input: bool
) -> None:
    other = theirs(kind, normalize_activations=normalize, apply_b_dec_to_input=apply_b_dec_to_input, **own)
    other.save_model(tmp_path)
    ours = formats.read(tmp_path)
    assert type(ours) is expected
    compare(ours, other)
    assert (ours.metadata["hook_name"], ours.metadata["layer"], ours.metadata["model_name"]) == (HOOK, 15, "gpt2-small")


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize(
    ("kind", "expected", "own"),
    [
        ("BatchTopKTraining", BatchTopK, {"k": 3.5}),
        ("MatryoshkaBatchTopKTraining", Matryoshka, {"k": 4, "matryoshka_widths": [5, 11, N]}),
    ],
)
def test_batch_topk_is_read_as_it_is_used_after_training(tmp_path: Path, kind: str, expected: type[SAE], own: dict[str, Any], rescale: bool) -> None:
    """From the inference model that SAELens makes of it, and from a training checkpoint: the same SAE."""
    trained = theirs(kind, rescale_acts_by_decoder_norm=rescale, **own)
    trained.topk_threshold.fill_(1.3)
    trained.save_model(tmp_path / "checkpoint")
    trained.save_inference_model(tmp_path / "inference")
    used = peers.saelens().SAE.load_from_disk(tmp_path / "inference")
    for folder in ("checkpoint", "inference"):
        ours = formats.read(tmp_path / folder)
        assert isinstance(ours, BatchTopK)
        assert type(ours) is expected
        assert ours.k == own["k"]
        assert ours.threshold == pytest.approx(1.3)
        assert not isinstance(ours, Matryoshka) or ours.prefixes == (5, 11, N)
        compare(ours, used)


@pytest.mark.parametrize(("kind", "own"), [("StandardTraining", {}), ("TopKTraining", {"k": K}), ("JumpReLUTraining", {}), ("GatedTraining", {})])
def test_training_checkpoints_of_the_others(tmp_path: Path, kind: str, own: dict[str, Any]) -> None:
    trained = theirs(kind, **own)
    if kind == "JumpReLUTraining":  # training keeps it so
        trained.threshold.data.abs_()
    trained.save_model(tmp_path / "checkpoint")
    trained.save_inference_model(tmp_path / "inference")
    compare(formats.read(tmp_path / "checkpoint"), peers.saelens().SAE.load_from_disk(tmp_path / "inference"))


@pytest.mark.parametrize("rescale", [True, False])
def test_a_factor_of_the_input_recorded_beside_a_checkpoint_is_used(tmp_path: Path, rescale: bool) -> None:
    """Codes are those of training; SAELens, when it folds the factor, gives rescaled ones in the units of the hidden states."""
    trained = theirs("BatchTopKTraining", k=4, rescale_acts_by_decoder_norm=rescale, normalize_activations="expected_average_only_in")
    trained.topk_threshold.fill_(0.9)
    trained.save_model(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / SCALER).write_text('{"scaling_factor": 0.6, "has_whitening": false}')
    trained.fold_activation_norm_scaling_factor(0.6)
    trained.save_inference_model(tmp_path / "folded")
    used = peers.saelens().SAE.load_from_disk(tmp_path / "folded")
    ours = formats.read(tmp_path / "checkpoint")
    assert ours.scaling == Scaling("constant", 0.6)
    codes = used.encode(states())
    peers.agree(ours, states(), codes * 0.6 if rescale else codes, used.decode(codes))
    compare(formats.read(tmp_path / "folded"), used)


def test_a_factor_that_is_not_recorded_must_be_given(tmp_path: Path) -> None:
    """SAELens would leave it out without a word."""
    other = theirs("Standard", normalize_activations="expected_average_only_in")
    other.save_model(tmp_path)
    assert "times a factor that is not recorded; give it as input_scale" in refused(tmp_path, CONFIG)
    other.fold_activation_norm_scaling_factor(0.6)
    compare(formats.read(tmp_path, input_scale=0.6), other)
    for wrong in (0.0, -1.0, math.nan, math.inf):
        assert "is no positive number" in refused(tmp_path, CONFIG, input_scale=wrong)


def test_a_factor_is_not_applied_twice(tmp_path: Path) -> None:
    formats.write(sae(scaling=Scaling("constant", 0.6)), tmp_path / "ours")
    assert "leave out input_scale = 0.6, or they would be scaled twice" in refused(tmp_path / "ours", CONFIG, input_scale=0.6)
    theirs("Standard", normalize_activations="expected_average_only_in").save_model(tmp_path / "theirs")
    (tmp_path / "theirs" / SCALER).write_text('{"scaling_factor": 0.6}')
    message = refused(tmp_path / "theirs", CONFIG, input_scale=0.5)
    assert "scaled by 0.6 already; leave out input_scale = 0.5, or it would be scaled twice" in message


@pytest.mark.parametrize(("kind", "own"), [("StandardTraining", {}), ("TopKTraining", {"k": K}), ("GatedTraining", {})])
@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
def test_whitened_inputs(tmp_path: Path, kind: str, own: dict[str, Any], apply_b_dec_to_input: bool) -> None:
    trained = theirs(kind, normalize_activations="covariance_whitening", apply_b_dec_to_input=apply_b_dec_to_input, **own)
    trained.save_model(tmp_path)
    assert f"trained on whitened hidden states, but there is no {WHITENING} beside it" in refused(tmp_path, CONFIG)
    M = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(3), dtype=torch.double)).Q * torch.linspace(0.5, 2, D)
    whitening = {"mean": torch.linspace(-1, 1, D, dtype=torch.double), "matrix": M, "inverse_matrix": torch.linalg.inv(M)}
    save_file({name: values.contiguous() for name, values in whitening.items()}, tmp_path / WHITENING)
    trained.fold_activation_whitening(*whitening.values())
    trained.save_inference_model(tmp_path / "folded")
    compare(formats.read(tmp_path), peers.saelens().SAE.load_from_disk(tmp_path / "folded"))


# Files of before version 6


def flat(folder: Path, kind: str = "Standard", *, drop: tuple[str, ...] = (), **changes: Any) -> Any:
    """A folder as version 3 wrote it, and the SAE that version 6 makes of it."""
    own = {"k": K} if kind == "TopK" else {}
    theirs(kind, **own).save_model(folder)
    config = {name: value for name, value in (FLAT | changes).items() if name not in drop}
    (folder / CONFIG).write_text(json.dumps(config))
    return peers.saelens().SAE.load_from_disk(folder)


def test_flat_configs(tmp_path: Path) -> None:
    other = flat(tmp_path)
    ours = formats.read(tmp_path)
    compare(ours, other)
    assert ours.metadata["layer"] == 15
    assert ours.metadata["context_size"] == 128


@pytest.mark.parametrize(("kind", "name"), [("Gated", "gated"), ("JumpReLU", "jumprelu")])
def test_flat_configs_of_other_architectures(tmp_path: Path, kind: str, name: str) -> None:
    other = flat(tmp_path, kind, architecture=name)
    compare(formats.read(tmp_path), other)


@pytest.mark.parametrize("changes", [{}, {"apply_b_dec_to_input": False}, {"normalize_activations": None}, {"normalize_activations": False}])
def test_topk_as_an_activation_of_a_standard_sae_is_not_read_as_relu(tmp_path: Path, changes: dict[str, Any]) -> None:
    other = flat(tmp_path, "TopK", activation_fn_str="topk", activation_fn_kwargs={"k": K}, **changes)
    ours = formats.read(tmp_path)
    assert isinstance(ours, TopK) and ours.k == K
    compare(ours, other)


def test_the_oldest_configs_name_neither_architecture_nor_activation(tmp_path: Path) -> None:
    other = flat(tmp_path, drop=("architecture", "activation_fn_str", "activation_fn_kwargs", "apply_b_dec_to_input", "normalize_activations"))
    compare(formats.read(tmp_path), other)
    edit(tmp_path / CONFIG, hook_name=None, hook_point="blocks.3.hook_resid_pre", d_sae=None, d_in=D, expansion_factor=N)
    assert f"W_enc should be {(D, D * N)}" in refused(tmp_path, WEIGHTS)
    edit(tmp_path / CONFIG, d_sae=N)
    assert formats.read(tmp_path).metadata["layer"] == 3


def test_a_factor_meant_by_a_boolean(tmp_path: Path) -> None:
    other = flat(tmp_path, normalize_activations=True)
    assert "times a factor that is not recorded" in refused(tmp_path, CONFIG)
    other.fold_activation_norm_scaling_factor(0.6)
    compare(formats.read(tmp_path, input_scale=0.6), other)


@pytest.mark.parametrize("name", ["scaling_factor", "finetuning_scaling_factor"])
def test_a_finetuned_factor_a_feature_is_applied_before_decoding(tmp_path: Path, name: str) -> None:
    """In version 3 as in 5: ``feature_acts * scaling_factor @ W_dec + b_dec``. Version 6 refuses such files."""
    other = flat(tmp_path)
    factor = torch.linspace(0.5, 1.5, N)
    reweigh(tmp_path / WEIGHTS, **{name: factor})
    assert f"{name} is not 1, but finetuning_scaling_factor is not true in cfg.json" in refused(tmp_path, WEIGHTS)
    edit(tmp_path / CONFIG, finetuning_scaling_factor=True)
    x = states()
    codes = other.encode(x)
    peers.agree(formats.read(tmp_path), x, codes, codes * factor @ other.W_dec + other.b_dec)
    reweigh(tmp_path / WEIGHTS, **{name: None})
    assert "finetuning_scaling_factor is true, but sae_weights.safetensors holds no scaling_factor" in refused(tmp_path, CONFIG)


def test_a_finetuned_factor_of_1_is_none(tmp_path: Path) -> None:
    other = flat(tmp_path)
    reweigh(tmp_path / WEIGHTS, scaling_factor=torch.ones(N))
    compare(formats.read(tmp_path), other)


def test_thresholds_learnt_as_logarithms_are_exponentiated(tmp_path: Path) -> None:
    other = theirs("JumpReLU")
    other.threshold.data = torch.linspace(0.1, 2, N)
    other.save_model(tmp_path)
    reweigh(tmp_path / WEIGHTS, threshold=None, log_threshold=torch.linspace(0.1, 2, N).log())
    compare(formats.read(tmp_path), other)


def test_other_precisions(tmp_path: Path) -> None:
    theirs("TopK", k=K).to(torch.bfloat16).save_model(tmp_path)
    assert formats.read(tmp_path).W_dec.dtype == torch.float32
    compare(formats.read(tmp_path), peers.saelens().SAE.load_from_disk(tmp_path, dtype="float32"))


def test_figures_that_a_config_gives_become_claims(tmp_path: Path) -> None:
    flat(tmp_path, l0=42.5, explained_variance=0.8)
    assert formats.read(tmp_path).metadata["claims"] == {"l0": 42.5, "explained_variance": 0.8}


def test_the_last_prefix_may_be_left_out(tmp_path: Path) -> None:
    formats.write(sae("matryoshka_batchtopk"), tmp_path)
    metadata = json.loads((tmp_path / CONFIG).read_text())["metadata"]
    metadata["training_architecture_details"]["matryoshka_widths"] = [5, 11]
    edit(tmp_path / CONFIG, metadata=metadata)
    ours = formats.read(tmp_path)
    assert isinstance(ours, Matryoshka) and ours.prefixes == (5, 11, N)


def test_a_square_sae_is_read_as_the_format_says(tmp_path: Path) -> None:
    """Where width and number of features are the same, no shape tells a transposed matrix: W_enc is inputs x features."""
    lens = peers.saelens()
    other = lens.StandardSAE(lens.StandardSAEConfig(d_in=D, d_sae=D))
    peers.randomise(other)
    other.save_model(tmp_path)
    assert load_file(tmp_path / WEIGHTS)["W_enc"].shape == (D, D)
    compare(formats.read(tmp_path), other)
