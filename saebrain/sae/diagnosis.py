"""Why a SAE does not fit: other layers, scales of the input and readings of the same weights, tried on a small sample.

The usual mistakes are few: states of the layer before or after; states not brought to the scale that the SAE was trained
in; weights of a TopK SAE read as a plain ReLU one; a bias that is taken off the input or is not. Each leaves an FVU far
from the right one, so trying all of them on a thousand tokens tells which was made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from saebrain.sae.base import SAE
from saebrain.sae.quality import measure
from saebrain.sae.scaling import Scaling
from saebrain.sae.standard import Standard
from saebrain.sae.topk import TopK

Kind = Literal["layer", "scale", "centring", "architecture"]
FACTORS = [2.0**step for step in range(-10, 11) if step]
"""Factors of the input that are tried when none of the usual ones is right."""
FINER = [0.7, 0.84, 1.0, 1.19, 1.41]
FACTOR_TOKENS = 256
TOP_K = [16, 32, 64, 128, 256]
SAME = 1.15
"""The smallest k whose FVU is at most this multiple of the least is taken: a k that is too large costs little."""


@dataclass(frozen=True)
class Variant:
    """Another way to use the SAE: what it is ("at layer 14"), and how well the sample is reconstructed that way."""

    kind: Kind
    what: str
    fvu: float
    l0: float


def at_layer(sae: SAE, x: Float[Tensor, "tokens d_in"], layer: int) -> Variant:
    """The SAE as it is, on states of a layer."""
    return _tried("layer", f"at layer {layer}", sae, x)


def other_layers(sae: SAE, states: Mapping[int, Float[Tensor, "tokens d_in"]], layer: int) -> list[Variant]:
    """The SAE on states of every layer but ``layer``."""
    return [at_layer(sae, x, other) for other, x in states.items() if other != layer]


def other_inputs(sae: SAE, x: Float[Tensor, "tokens d_in"]) -> list[Variant]:
    """The SAE on the same states in other scales and centrings."""
    tried = [_tried("scale", what, replace(sae, scaling=scaling), x) for what, scaling in _scalings(sae, x)]
    centred = {"after the mean over all tokens is taken off": x.mean(0), "after each state's mean over its dimensions is taken off": x.mean(1, True)}
    return [*tried, *(_tried("centring", what, sae, x - mean) for what, mean in centred.items())]


def any_factor(sae: SAE, x: Float[Tensor, "tokens d_in"]) -> Variant:
    """The SAE on the states times the best of many factors."""
    own = sae.scaling.factor if sae.scaling.kind == "constant" else 1.0
    some = x[:: max(1, len(x) // FACTOR_TOKENS)]

    def scaled(factor: float, states: Float[Tensor, "tokens d_in"]) -> Variant:
        total = own * factor
        return _tried("scale", f"when its input is multiplied by about {total:.2g}", replace(sae, scaling=Scaling("constant", total)), states)

    coarse = min(FACTORS, key=lambda factor: scaled(factor, some).fvu)
    return scaled(min((coarse * step for step in FINER), key=lambda factor: scaled(factor, some).fvu), x)


def other_readings(sae: SAE, x: Float[Tensor, "tokens d_in"], claimed_l0: float | None) -> list[Variant]:
    """The same weights as another architecture: ReLU codes as TopK ones, and b_dec taken off the input or not."""
    instead = "is not" if sae.apply_b_dec_to_input else "is"
    toggled = replace(sae, apply_b_dec_to_input=not sae.apply_b_dec_to_input)
    tried = [_tried("architecture", f"when b_dec {instead} taken off the input (apply_b_dec_to_input)", toggled, x)]
    if isinstance(sae, Standard):
        likely = [round(claimed_l0)] if claimed_l0 and claimed_l0 >= 1 else TOP_K
        tops = [_tried("architecture", f"read as a TopK SAE with k = {k}", _top(sae, k), x) for k in likely]
        least = min(top.fvu for top in tops)
        tried.append(next(top for top in tops if top.fvu <= SAME * least))
    return tried


def alignment(sae: SAE) -> float:
    """Mean cosine between a feature's encoder and decoder direction.

    Training leaves it far above 0 (0.7 in the shipped SAEs); it is about 0 if the decoder's rows belong to other features.
    """
    return float(cosine_similarity(sae.W_enc.T, sae.W_dec, dim=1).mean())


def _scalings(sae: SAE, x: Float[Tensor, "tokens d_in"]) -> Iterator[tuple[str, Scaling]]:
    """Scales other than the SAE's own, each in words."""
    own = sae.scaling
    root, length = math.sqrt(x.shape[1]), float(x.norm(dim=1).mean())
    if own.kind != "none":
        yield "when its input is not scaled", Scaling()
    for factor, how in ((root / length, "sqrt(d) / mean norm"), (length / root, "mean norm / sqrt(d)")):
        yield f"when its input is multiplied by {factor:.3g}, which is {how}", Scaling("constant", factor)
    if own.kind == "constant":
        yield f"when its input is divided by {own.factor:.3g}, not multiplied", Scaling("constant", 1 / own.factor)
    if own.kind != "layer_norm":
        yield "when every state is centred and divided by its standard deviation (layer_norm)", Scaling("layer_norm")
    if own.kind != "unit_norm":
        yield "when every state is brought to the length sqrt(d) (unit_norm)", Scaling("unit_norm")


def _top(sae: SAE, k: int) -> TopK:
    weights: dict[str, Any] = {"W_enc": sae.W_enc, "b_enc": sae.b_enc, "W_dec": sae.W_dec, "b_dec": sae.b_dec}
    return TopK(k=min(k, sae.n_features), apply_b_dec_to_input=sae.apply_b_dec_to_input, scaling=sae.scaling, **weights)


def _tried(kind: Kind, what: str, sae: SAE, x: Float[Tensor, "tokens d_in"]) -> Variant:
    quality = measure(sae, [x])
    return Variant(kind, what, quality.fvu if math.isfinite(quality.fvu) else math.inf, quality.l0)
