"""The verdict on a SAE: the shipped one at its own layer of the demo's model, and every usual mistake made with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from saebrain.activations import hidden_states
from saebrain.sae import formats
from saebrain.sae.base import SAE
from saebrain.sae.check import Verdict, check, claims, judge
from saebrain.sae.quality import CrossEntropy, Quality, density, measure
from saebrain.sae.scaling import Scaling
from saebrain.sae.standard import Standard
from saebrain.sae.topk import TopK
from saebrain.study import SHIPPED
from tests import tiny

LAYER, NEIGHBOURS = 15, [13, 14, 15, 16, 17]
TOKENS = 256
FACTOR = 0.16  # about sqrt(576) / mean norm at this layer


@pytest.fixture(scope="module")
def states() -> dict[int, Tensor]:
    """Hidden states of the demo's model at some layers, for the beginning of a story."""
    model = tiny.smollm()
    text = (SHIPPED / "demo" / "orchard.txt").read_text(encoding="utf-8")
    ids = np.array(model.tokenizer(text, add_special_tokens=False)["input_ids"][:TOKENS], np.int32)
    found = hidden_states(model, [ids], [11, *NEIGHBOURS], window=256, stride=256)
    return {layer: torch.from_numpy(x) for layer, x in found.layers.items()}


@pytest.fixture(scope="module")
def shipped() -> SAE:
    return formats.read(SHIPPED / "sae" / "smollm2-135m-instruct" / "layer_15")


def without_claims(sae: SAE) -> SAE:
    """Without the figures that its makers give: the mistake has to be seen from the states alone."""
    return replace(sae, metadata={"max_norm": sae.metadata["max_norm"]})


def verdict(sae: SAE, states: Mapping[int, Tensor], layer: int = LAYER, **options: Any) -> Verdict:
    """As the command checks it, but for cross-entropy: at ``layer``, with two neighbours on either side."""
    x = states[layer]
    quality = measure(sae, [x[x.norm(dim=1) <= sae.metadata["max_norm"]]])
    return check(sae, quality, {number: states[number] for number in states if abs(number - layer) <= 2}, layer, **options)


@pytest.fixture(scope="module")
def unclaimed(shipped: SAE) -> SAE:
    return without_claims(shipped)


@pytest.fixture(params=["claims", "no claims"])
def right(request: pytest.FixtureRequest, shipped: SAE) -> SAE:
    return shipped if request.param == "claims" else without_claims(shipped)


# on the demo's model


def test_the_right_sae_is_ok(right: SAE, states: Mapping[int, Tensor]) -> None:
    found = verdict(right, states)
    assert found.status == "ok" and not found.remedies
    assert found.quality.fvu < 0.25 and found.sentence.startswith("It works: FVU 0.1")


@pytest.mark.parametrize("layer", [13, 14, 16, 17])
def test_the_wrong_layer_is_told_with_the_right_one(right: SAE, states: Mapping[int, Tensor], layer: int) -> None:
    found = verdict(right, states, layer)
    assert found.status == "mismatch" and "This is the wrong layer." in found.reasons
    assert [remedy.split(":")[0] for remedy in found.remedies] == ["It works at layer 15"]


def test_a_layer_far_away_is_looked_for(unclaimed: SAE, states: Mapping[int, Tensor]) -> None:
    """Of the neighbours 13 is the best, but it is not the right one."""
    assert verdict(unclaimed, states, 11).remedies[0].startswith("It works at layer 13")
    found = verdict(unclaimed, states, 11, further=lambda: states)
    assert found.status == "mismatch"
    assert found.remedies[0].startswith("It works at layer 15")


def test_states_of_the_wrong_scale_are_told_with_the_factor(right: SAE, states: Mapping[int, Tensor]) -> None:
    """A SAE that was trained on states brought to the norm sqrt(d), fed with states as they are."""
    made_for_scaled = replace(right, b_enc=right.b_enc * FACTOR, b_dec=right.b_dec * FACTOR)
    found = verdict(made_for_scaled, states)
    assert found.status == "mismatch" and "This is the wrong scale of the input." in found.reasons
    assert re.match(r"It works when its input is multiplied by 0\.1[567]\d*, which is sqrt\(d\) / mean norm: FVU 0\.", found.remedies[0])


def test_a_scale_that_nobody_would_guess_is_searched(unclaimed: SAE, states: Mapping[int, Tensor]) -> None:
    found = verdict(replace(unclaimed, b_enc=unclaimed.b_enc * 3.3, b_dec=unclaimed.b_dec * 3.3), states)
    assert found.status == "mismatch"
    assert found.remedies[0].split(":")[0] in {f"It works when its input is multiplied by about {factor}" for factor in ("2.8", "3.4", "4")}


@pytest.mark.parametrize("scaling", [Scaling("constant", FACTOR), Scaling("layer_norm"), Scaling("unit_norm")])
def test_a_scaling_too_many_is_told(unclaimed: SAE, states: Mapping[int, Tensor], scaling: Scaling) -> None:
    found = verdict(replace(unclaimed, scaling=scaling), states)
    assert found.status == "mismatch"
    assert found.remedies[0].startswith("It works when its input is not scaled")


def test_topk_weights_read_as_relu_are_told(right: SAE, shipped: TopK, states: Mapping[int, Tensor]) -> None:
    relu = Standard(W_enc=right.W_enc, b_enc=right.b_enc, W_dec=right.W_dec, b_dec=right.b_dec, metadata=right.metadata)
    found = verdict(relu, states)
    assert found.status == "mismatch" and "The weights are read as another architecture than theirs." in found.reasons
    assert found.remedies[0].startswith(f"It works read as a TopK SAE with k = {shipped.k}")


def test_a_bias_that_is_not_taken_off_is_told(unclaimed: SAE, states: Mapping[int, Tensor]) -> None:
    found = verdict(replace(unclaimed, apply_b_dec_to_input=False), states)
    assert found.status == "mismatch"
    assert found.remedies[0].startswith("It works when b_dec is taken off the input")


def test_a_shuffled_decoder_is_told(right: SAE, states: Mapping[int, Tensor]) -> None:
    order = torch.randperm(right.n_features, generator=torch.Generator().manual_seed(0))
    found = verdict(replace(right, W_dec=right.W_dec[order]), states)
    assert found.status == "mismatch" and not found.remedies
    assert any(reason.startswith("Encoder and decoder do not belong together") for reason in found.reasons)


def test_another_model_is_told_without_a_false_remedy(unclaimed: SAE, states: Mapping[int, Tensor]) -> None:
    """All directions rotated: a SAE of a model with the same width."""
    Q = torch.linalg.qr(torch.randn(unclaimed.d_in, unclaimed.d_in, generator=torch.Generator().manual_seed(0)))[0]
    found = verdict(replace(unclaimed, W_enc=Q.T @ unclaimed.W_enc, W_dec=unclaimed.W_dec @ Q, b_dec=unclaimed.b_dec @ Q), states)
    assert found.status == "mismatch" and not found.remedies
    assert any(reason.startswith("Wrong hook point or scale, another model or damaged weights") for reason in found.reasons)


def test_massive_tokens_without_a_limit_are_told(unclaimed: SAE, states: Mapping[int, Tensor]) -> None:
    """One token in a hundred times the others' norm hides how badly the others are reconstructed."""
    x = states[LAYER].clone()
    massive = torch.cat([x, (100 * x[:1]).repeat(4, 1)])
    no_limit = replace(unclaimed, metadata={}, b_enc=unclaimed.b_enc * FACTOR, b_dec=unclaimed.b_dec * FACTOR)
    quality = measure(no_limit, [massive])
    found = check(no_limit, quality, {LAYER: massive}, LAYER)
    assert quality.fvu < 0.4 and found.status == "mismatch" and found.remedies
    assert any("metadata.max_norm = 1" in reason for reason in found.reasons)


# on states made for the purpose


D = 24


def made(tokens: int = 400) -> Tensor:
    """Sparse sums of orthogonal directions, each token of a size of its own, far from the origin."""
    g = torch.Generator().manual_seed(3)
    strength = (torch.rand(tokens, D, generator=g) < 0.1) * (1 + torch.rand(tokens, D, generator=g))
    return (1 + 4 * torch.rand(tokens, 1, generator=g)) * strength


def orthogonal(scaling: Scaling, centre: float = 0.0, **metadata: Any) -> Standard:
    """Reads the directions off, but for a threshold that makes it depend on scale and centre."""
    eye = torch.eye(D)
    return Standard(W_enc=eye, b_enc=torch.full((D,), -0.3), W_dec=1.1 * eye, b_dec=torch.full((D,), centre), scaling=scaling, metadata=metadata)


@pytest.mark.parametrize(("kind", "words"), [("unit_norm", "(unit_norm)"), ("layer_norm", "(layer_norm)")])
def test_a_forgotten_normalisation_is_told(kind: Any, words: str) -> None:
    x = 0.05 * made()
    x = x[x.norm(dim=1) > 0]
    if kind == "layer_norm":
        x = x + torch.linspace(-1, 1, len(x))[:, None]
    right = orthogonal(Scaling(kind), fvu=None)
    fvu = measure(right, [x]).fvu
    assert fvu < 0.5
    claimed = replace(right, metadata={"claims": {"fvu": fvu}})
    assert check(claimed, measure(claimed, [x]), {3: x}, 3).status == "ok"
    forgotten = replace(claimed, scaling=Scaling())
    found = check(forgotten, measure(forgotten, [x]), {3: x}, 3)
    assert found.status == "mismatch" and words in found.remedies[0]


@pytest.mark.parametrize(("axis", "words"), [(0, "the mean over all tokens"), (1, "each state's mean over its dimensions")])
def test_a_forgotten_centring_is_told(axis: int, words: str) -> None:
    x = made()
    x = x - x.mean(dim=axis, keepdim=True)
    shift = torch.linspace(5, 9, D)[None] if axis == 0 else torch.linspace(5, 9, len(x))[:, None]
    both = torch.cat([torch.eye(D), -torch.eye(D)])
    right = TopK(k=D // 2, W_enc=both.T.contiguous(), b_enc=torch.full((2 * D,), -0.3), W_dec=both, b_dec=torch.zeros(D))
    claimed = replace(right, metadata={"claims": {"fvu": measure(right, [x]).fvu, "l0": D // 2}})
    assert check(claimed, measure(claimed, [x]), {3: x}, 3).status == "ok"
    found = check(claimed, measure(claimed, [x + shift]), {3: x + shift}, 3)
    assert found.status == "mismatch"
    assert any(words in remedy for remedy in found.remedies)


# judging by the figures


def figures(**changes: Any) -> Quality:
    values: dict[str, Any] = {"fvu": 0.2, "l0": 4.0, "dead_fraction": 0.0, "n_tokens": 1000, "density": density(np.full(D, 100), 1000)}
    return Quality(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "metadata", "ce", "status", "words"),
    [
        ({}, {}, None, None, ""),
        ({"fvu": 0.45}, {}, None, "doubtful", "FVU is 0.45; of most SAEs that work it is below 0.4"),
        ({"fvu": 0.7}, {}, None, "mismatch", "FVU is 0.70"),
        ({"fvu": float("nan")}, {}, None, "mismatch", "not finite"),
        ({"fvu": 0.3}, {"claims": {"fvu": 0.2}}, None, "doubtful", "makers give 0.20"),
        ({"fvu": 0.36}, {"claims": {"explained_variance": 0.8}}, None, "mismatch", "makers give 0.20"),
        ({"fvu": 0.7}, {"claims": {"fvu": 0.68}}, None, None, ""),
        ({"l0": 0.4}, {}, None, "mismatch", "Hardly any feature is active"),
        ({"l0": 8.0}, {}, None, "doubtful", "8 features are active a token (L0), of hidden states with 24 dimensions"),
        ({"l0": 13.0}, {}, None, "mismatch", "not sparse"),
        ({"l0": 13.0}, {"claims": {"l0": 3.0}}, None, "mismatch", "makers give 3"),
        ({"l0": 5.0}, {"held_out": {"l0": 3.0}}, None, "doubtful", "makers give 3"),
        ({"dead_fraction": 0.8}, {}, None, "doubtful", "80% of the features"),
        ({"dead_fraction": 0.8, "n_tokens": 50}, {}, None, None, ""),
        ({}, {}, CrossEntropy(3.0, 3.2, 10.0, 9), None, ""),
        ({}, {}, CrossEntropy(3.0, 4.0, 10.0, 9), "doubtful", "86% of the model's cross-entropy"),
        ({}, {}, CrossEntropy(3.0, 6.0, 10.0, 9), "mismatch", "57% of the model's cross-entropy"),
        ({}, {}, CrossEntropy(3.0, 3.0, 2.0, 9), None, ""),
        ({}, {"hook_name": "blocks.3.hook_mlp_out"}, None, "mismatch", "made for blocks.3.hook_mlp_out"),
        ({}, {"hook_name": "blocks.3.hook_resid_post"}, None, None, ""),
    ],
)
def test_figures_alone(changes: Any, metadata: dict[str, Any], ce: CrossEntropy | None, status: str | None, words: str) -> None:
    found = judge(orthogonal(Scaling(), **metadata), figures(**changes), ce)
    assert [finding.status for finding in found] == ([status] if status else [])
    assert not found or words in found[0].sentence


def test_many_tokens_left_out_are_told() -> None:
    assert not judge(orthogonal(Scaling()), figures(), left_out=0.01)
    (finding,) = judge(orthogonal(Scaling()), figures(), left_out=0.4)
    assert finding.status == "doubtful" and "40% of the tokens" in finding.sentence


@pytest.mark.parametrize("given", [None, [], "0.2", {"fvu": "low"}, {"fvu": float("nan")}, {"fvu": None}])
def test_claims_that_are_none_are_passed_over(given: Any) -> None:
    assert claims({"claims": given}) == {}


def test_a_layer_that_is_better_than_one_as_good_as_claimed_makes_doubtful() -> None:
    x, sae = made(), orthogonal(Scaling())
    noisy = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    quality = measure(sae, [noisy])
    found = check(replace(sae, metadata={"claims": {"fvu": quality.fvu}}), quality, {3: noisy, 4: x}, 3)
    assert found.status == "doubtful" and "another layer" in found.reasons[0] and found.remedies[0].startswith("It works at layer 4")
