"""lm-saes (OpenMOSS; Llama Scope, arXiv:2410.20526), of all versions: hyperparams.json or config.json, and weights.

Features are chosen by z times the norm of their decoder row (``sparsity_include_decoder_norm``), codes are z itself::

    f = z * gate(z |W_dec|)

For a JumpReLU that is a threshold of its own for every feature; for TopK it is the SAE with unit decoder rows, whose
codes differ from theirs by a factor a feature. Hidden states come in times sqrt(d) / their mean norm in training.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from saebrain.errors import InputError
from saebrain.sae.base import SAE
from saebrain.sae.formats import folding
from saebrain.sae.formats.fields import Fields, figures, known_scale, layer_of, refuse_scale
from saebrain.sae.formats.layout import Layout
from saebrain.sae.formats.weights import Tensors
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.scaling import Scaling
from saebrain.sae.standard import Standard
from saebrain.sae.topk import TopK

_NORM = "dataset_average_activation_norm"
_LOG_THRESHOLDS = ("activation_function.log_jumprelu_threshold", "log_jumprelu_threshold")
_UNIT_NORM = 1e-3
"""Largest deviation of decoder norms from 1 that rounding explains."""


def read(layout: Layout, input_scale: float | None) -> SAE:
    """Read a SAE.

    Raises
    ------
    InputError
        If it is no plain SAE, chooses features by batch, or weights and config contradict each other.
    """
    fields = layout.fields()
    hook = _hook(fields)
    tensors = Tensors.load(layout.weights, layout.config)
    scaling = _scaling(fields, tensors, hook, input_scale)
    weights = _weights(fields, tensors)
    shared: dict[str, Any] = weights | {"scaling": scaling, "metadata": _metadata(fields, hook)}
    biased = fields.flag("use_decoder_bias", True) and fields.flag("apply_decoder_bias_to_pre_encoder", False)
    gated_by_norm = fields.flag("sparsity_include_decoder_norm", True)
    act_fn = fields.text("act_fn", "relu").lower()
    match act_fn:
        case "relu":
            sae: SAE = Standard(apply_b_dec_to_input=biased, **shared)
        case "jumprelu":
            threshold = _threshold(fields, tensors, len(weights["W_dec"]))
            if gated_by_norm:
                norm = weights["W_dec"].norm(dim=1)
                threshold = torch.where(norm > 0, threshold / norm, torch.finfo(threshold.dtype).max)
            sae = JumpReLU(threshold=threshold, apply_b_dec_to_input=biased, **shared)
        case "topk":
            sae = TopK(k=fields.k(len(weights["W_dec"]), "top_k"), apply_b_dec_to_input=biased, **shared)
            if gated_by_norm and float((sae.W_dec.norm(dim=1) - 1).abs().max()) > _UNIT_NORM:
                sae = folding.unit_decoder(sae)
                sae.metadata["units"] = "codes are those of the source times the norm of the feature's decoder row"
        case "batchtopk":
            raise fields.refusal(
                "act_fn", "is not supported: which features are active depends on the batch; convert the SAE to jumprelu with lm-saes"
            )
        case _:
            raise fields.refusal("act_fn", "is not supported; only relu, jumprelu and topk are")
    tensors.finish(act_fn)
    return sae


def _hook(fields: Fields) -> str:
    """The hook point, of a SAE that reconstructs what it reads."""
    kind = fields.text("sae_type", "sae")
    if kind != "sae":
        raise fields.refusal("sae_type", "is not supported: it does not reconstruct one hidden state from itself; only plain SAEs are")
    hook = fields.text("hook_point_in", "")
    fields.refuse_unless("hook_point_out", hook, f"is not the hook point of the input, {hook!r:.80}: a transcoder does not reconstruct its own input")
    fields.refuse_unless("use_glu_encoder", False, "is not supported: its encoder has a second, multiplied part")
    return hook


def _weights(fields: Fields, tensors: Tensors) -> dict[str, Tensor]:
    """The four weights, under their names of any version."""
    d, n = fields.whole("d_model"), _n_features(fields)
    biased = fields.flag("use_decoder_bias", True)
    if "W_E" in tensors:
        W_enc, b_enc, W_dec, bias = tensors.take("W_E", d, n), tensors.take("b_E", n), tensors.take("W_D", n, d), "b_D"
    else:
        W_enc, b_enc = tensors.take("encoder.weight", n, d).T.contiguous(), tensors.take("encoder.bias", n)
        W_dec, bias = tensors.take("decoder.weight", d, n).T.contiguous(), "decoder.bias"
    return {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": tensors.take(bias, d) if biased else torch.zeros(d)}


def _n_features(fields: Fields) -> int:
    if "d_sae" in fields.values:
        return fields.whole("d_sae")
    n = int(fields.whole("d_model") * fields.number("expansion_factor"))
    if n < 1:
        raise fields.refusal("expansion_factor", "leaves no features; restore the file")
    return n


def _threshold(fields: Fields, tensors: Tensors, n: int) -> Float[Tensor, " n_features"]:
    """Thresholds, learnt as logarithms; in Llama Scope one number in the config."""
    for name in _LOG_THRESHOLDS:
        if name in tensors:
            return tensors.take(name, n).exp()
    if "jump_relu_threshold" not in fields.values:
        raise InputError(
            f"{tensors.path}: no threshold, neither {_LOG_THRESHOLDS[0]} here nor jump_relu_threshold in {fields.path.name}; restore both"
        )
    return torch.full((n,), fields.number("jump_relu_threshold"))


def _scaling(fields: Fields, tensors: Tensors, hook: str, input_scale: float | None) -> Scaling:
    """The scale of the input. Where it is no constant one, norms among the weights are of no use, and may be uninitialised memory."""
    recorded = _recorded_norm(fields, tensors, hook)
    tensors.drop(lambda name: name.startswith(_NORM))
    kind = fields.text("norm_activation", "dataset-wise")
    if kind == "dataset-wise":
        factor = None if recorded is None else math.sqrt(fields.whole("d_model")) / recorded
        return Scaling("constant", known_scale(fields.path, factor, input_scale))
    refuse_scale(fields.path, input_scale)
    match kind:
        case "inference":
            return Scaling()
        case "token-wise":
            return Scaling("unit_norm")
        case _:
            raise fields.refusal("norm_activation", "is not supported: a token's codes would depend on its company")


def _recorded_norm(fields: Fields, tensors: Tensors, hook: str) -> float | None:
    """Mean norm of the hidden states in training."""
    name = f"{_NORM}.{hook}"
    if fields.text("norm_activation", "dataset-wise") != "dataset-wise":
        return None
    if name in tensors:
        norm = tensors.scalar(name)
    elif "in" in fields.within(_NORM).values:
        norms = fields.within(_NORM)
        norm = norms.number("in")
        norms.refuse_unless("out", norm, f"is not the norm of the input, {norm}: a transcoder does not reconstruct its own input")
    else:
        return None
    if norm <= 0:
        raise InputError(f"{fields.path}: mean norm {norm:.6g} of the hidden states is not positive; restore the file")
    return norm


def _metadata(fields: Fields, hook: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"hook_name": hook} if hook else {}
    if (layer := layer_of(hook)) is not None:
        metadata["layer"] = layer
    if claims := figures(fields.values):
        metadata["claims"] = claims
    return metadata
