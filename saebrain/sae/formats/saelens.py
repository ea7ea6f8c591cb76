"""SAELens: cfg.json and sae_weights.safetensors, of version 6 (which is also our own layout) and before; training checkpoints too.

SAELens saves BatchTopK and Matryoshka SAEs as JumpReLU ones whose thresholds are all the same, and keeps under ``metadata``
what they were (``training_architecture``, ``training_architecture_details``); they become what they were here.

Of ``normalize_activations``, SAELens applies ``layer_norm`` and ``constant_norm_rescale`` in the SAE. The other two are
folded into the weights at the end of training; a SAE whose config still names one needs the factor or the matrices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from saebrain.errors import InputError
from saebrain.sae.base import SAE
from saebrain.sae.batch_topk import BatchTopK
from saebrain.sae.formats import folding
from saebrain.sae.formats.fields import Fields, figures, known_scale, layer_of, refuse_scale
from saebrain.sae.formats.layout import SCALER, WHITENING, Layout
from saebrain.sae.formats.weights import Tensors
from saebrain.sae.gated import Gated
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.matryoshka import Matryoshka
from saebrain.sae.scaling import Scaling
from saebrain.sae.standard import Standard
from saebrain.sae.topk import TopK

ARCHITECTURES = ("standard", "topk", "batchtopk", "matryoshka_batchtopk", "jumprelu", "gated")
RESCALED = ("topk", "batchtopk", "matryoshka_batchtopk")
# What stands at the top level before version 6 and under metadata since.
_FLAT = ("model_name", "hook_name", "hook_head_index", "context_size", "prepend_bos", "dataset_path", "neuronpedia_id")


def read(layout: Layout, input_scale: float | None) -> SAE:
    """Read a SAE.

    Raises
    ------
    InputError
        If it computes what none of our architectures does, or weights and config contradict each other.
    """
    fields = layout.fields()
    metadata = _metadata(fields)
    architecture = _architecture(fields)
    _refuse_others(fields, metadata)
    tensors = Tensors.load(layout.weights, layout.config)
    sae = _build(architecture, fields, metadata, tensors)
    if fields.flag("rescale_acts_by_decoder_norm", False):
        if architecture not in RESCALED:
            raise fields.refusal("rescale_acts_by_decoder_norm", f"is no setting of architecture {architecture!r}; check both")
        sae = folding.unit_decoder(sae)
    tensors.finish(architecture)
    return _normalised(sae, fields, metadata, layout, input_scale)


def _metadata(fields: Fields) -> dict[str, Any]:
    """What is known of the SAE besides the weights."""
    flat = {name: fields.get(name) for name in _FLAT if fields.get(name) is not None}
    if hook := fields.get("hook_point"):  # its name in 2024
        flat.setdefault("hook_name", hook)
    metadata = flat | dict(fields.within("metadata").values)
    layer = metadata.get("layer")
    if not isinstance(layer, int) and (layer := layer_of(str(metadata.get("hook_name")))) is not None:
        metadata["layer"] = layer
    if claims := figures(fields.values, metadata):
        metadata.setdefault("claims", claims)
    return metadata


def _architecture(fields: Fields) -> str:
    """The architecture by its name in version 6, where TopK is one of its own and no longer a standard SAE with another activation."""
    activation = fields.get("activation_fn", fields.get("activation_fn_str", "relu"))
    # Before there were others, nothing was said.
    architecture = fields.get("architecture", None if "k" in fields.values or "metadata" in fields.values else "standard")
    if architecture not in ARCHITECTURES:
        what = f"architecture {architecture!r:.80} is not supported"
        if "coder" in str(architecture):
            what = f"architecture {architecture!r:.80} does not reconstruct its own input"
        raise InputError(f"{fields.path}: {what}; those that can be read: {', '.join(ARCHITECTURES)}")
    if activation == "topk" and architecture in ("standard", "topk"):
        return "topk"
    if activation != "relu":
        raise InputError(
            f"{fields.path}: activation_fn {activation!r:.80} with architecture {architecture!r} is not supported; only relu and topk are"
        )
    return str(architecture)


def _refuse_others(fields: Fields, metadata: Mapping[str, Any]) -> None:
    """Refuse SAEs of something else than whole hidden states, which their width may not tell."""
    hook = str(metadata.get("hook_name") or "")
    if fields.get("reshape_activations", "none") != "none" or "hook_z" in hook:
        raise InputError(
            f"{fields.path}: hook_name {hook!r:.80}, reshape_activations {fields.get('reshape_activations')!r:.80}: made for the outputs of "
            "attention heads, which are not read here; choose a SAE of the residual stream"
        )
    output = fields.get("hook_name_out", metadata.get("hook_name_out"))
    if output not in (None, hook):
        raise InputError(
            f"{fields.path}: hook_name_out {output!r:.80} is not hook_name, {hook!r:.80}: a transcoder does not reconstruct its own input"
        )
    if metadata.get("hook_head_index") is not None:
        raise InputError(
            f"{fields.path}: hook_head_index = {metadata['hook_head_index']!r:.80}: made for one attention head; choose a SAE of the residual stream"
        )


def _build(architecture: str, fields: Fields, metadata: dict[str, Any], tensors: Tensors) -> SAE:
    """The SAE as its weights are, before what is applied around them."""
    d, n = fields.whole("d_in"), _n_features(fields)
    shared: dict[str, Any] = {
        "W_enc": tensors.take("W_enc", d, n),
        "b_enc": tensors.take("b_gate" if architecture == "gated" else "b_enc", n),
        "W_dec": _rescaled_decoder(fields, tensors, n, d),
        "b_dec": tensors.take("b_dec", d),
        "apply_b_dec_to_input": fields.flag("apply_b_dec_to_input", True),
        "metadata": metadata,
    }
    match architecture:
        case "standard":
            return Standard(**shared)
        case "topk":
            k = fields.k(n) if "k" in fields.values else fields.within("activation_fn_kwargs").k(n)
            fields.within("activation_fn_kwargs").refuse_unless("signed", False, "is not supported: codes here are positive")
            return TopK(k=k, **shared)
        case "gated":
            return Gated(r_mag=tensors.take("r_mag", n), b_mag=tensors.take("b_mag", n), **shared)
        case "jumprelu":
            threshold = tensors.take("log_threshold", n).exp() if "log_threshold" in tensors else tensors.take("threshold", n)
            return _as_trained(JumpReLU(threshold=threshold, **shared), fields, metadata)
        case _:
            shared |= {"k": fields.mean_k(n), "threshold": tensors.scalar("topk_threshold")}
            return BatchTopK(**shared) if architecture == "batchtopk" else Matryoshka(prefixes=_prefixes(fields, n), **shared)


def _n_features(fields: Fields) -> int:
    if "d_sae" not in fields.values and "expansion_factor" in fields.values:
        return fields.whole("d_in") * fields.whole("expansion_factor")
    return fields.whole("d_sae")


def _rescaled_decoder(fields: Fields, tensors: Tensors, n: int, d: int) -> torch.Tensor:
    """W_dec, times the factor a feature that standard SAEs of 2024 could be finetuned with (it applied to the codes before decoding)."""
    wanted = fields.flag("finetuning_scaling_factor", False)
    name = next((name for name in ("scaling_factor", "finetuning_scaling_factor") if name in tensors), None)
    W_dec = tensors.take("W_dec", n, d)
    if name is None:
        if wanted:
            raise InputError(f"{fields.path}: finetuning_scaling_factor is true, but {tensors.path.name} holds no scaling_factor; restore the file")
        return W_dec
    factor = tensors.take(name, n)
    if not wanted and not torch.allclose(factor, torch.ones(n)):
        raise InputError(f"{tensors.path}: {name} is not 1, but finetuning_scaling_factor is not true in {fields.path.name}; mend one of them")
    return W_dec * factor[:, None] if wanted else W_dec


def _as_trained(sae: JumpReLU, fields: Fields, metadata: Mapping[str, Any]) -> SAE:
    """The BatchTopK or Matryoshka SAE that was saved as a JumpReLU one; the same SAE if it is none or its thresholds have come to differ."""
    trained, details = metadata.get("training_architecture"), metadata.get("training_architecture_details")
    if trained not in ("batchtopk", "matryoshka_batchtopk") or not isinstance(details, dict) or "k" not in details:
        return sae
    if not bool((sae.threshold == sae.threshold[0]).all()):
        return sae
    told = Fields(fields.path, details)
    values: dict[str, Any] = vars(sae) | {"k": told.mean_k(sae.n_features), "threshold": float(sae.threshold[0])}
    if trained == "batchtopk":
        return BatchTopK(**values)
    return Matryoshka(prefixes=_prefixes(told, sae.n_features), **values)


def _prefixes(fields: Fields, n: int) -> tuple[int, ...]:
    """Sizes of the nested dictionaries; SAELens may leave out the last one, all features."""
    widths = fields.get("matryoshka_widths")
    if not isinstance(widths, list) or not all(isinstance(width, int) and 0 < width <= n for width in widths) or widths != sorted(set(widths)):
        raise fields.refusal("matryoshka_widths", f"are no ascending sizes up to {n}; restore the file")
    return tuple(widths if widths[-1:] == [n] else [*widths, n])


def _normalised(sae: SAE, fields: Fields, metadata: Mapping[str, Any], layout: Layout, input_scale: float | None) -> SAE:
    """The SAE with the scale of its input."""
    kind = fields.get("normalize_activations", "none")
    if isinstance(kind, bool):  # as it was before there was a choice
        kind = "expected_average_only_in" if kind else "none"
    if kind == "expected_average_only_in":
        return replace(sae, scaling=Scaling("constant", known_scale(layout.config, _recorded_scale(layout), input_scale)))
    refuse_scale(layout.config, input_scale)
    match kind:
        case "none":
            return _unfolded(sae, fields.within("metadata").within("scaling"))
        case "layer_norm":
            return replace(sae, scaling=Scaling("layer_norm"))
        case "constant_norm_rescale":
            return replace(sae, scaling=Scaling("unit_norm"))
        case "covariance_whitening":
            return _unwhitened(sae, layout)
        case _:
            raise fields.refusal("normalize_activations", "is not supported; only none, layer_norm and the other names of SAELens 6 are")


def _recorded_scale(layout: Layout) -> float | None:
    """The factor that a training checkpoint keeps in a file of its own."""
    path = layout.folder / SCALER
    if not path.is_file():
        return None
    fields = Fields.load(path)
    return None if fields.get("scaling_factor") is None else fields.number("scaling_factor")


def _unwhitened(sae: SAE, layout: Layout) -> SAE:
    path = layout.folder / WHITENING
    if not path.is_file():
        raise InputError(f"{layout.config}: trained on whitened hidden states, but there is no {WHITENING} beside it; get the file, or a folded SAE")
    tensors, d = Tensors.load(path, layout.config), sae.d_in
    return folding.unwhitened(sae, tensors.take("mean", d), tensors.take("matrix", d, d), tensors.take("inverse_matrix", d, d))


def _unfolded(sae: SAE, scaling: Fields) -> SAE:
    """The SAE as it was before :mod:`saebrain.sae.formats.writing` folded a constant factor into the weights."""
    if scaling.get("kind") != "constant" or not scaling.flag("folded", False):
        return sae
    factor = known_scale(scaling.path, scaling.number("factor"), None)
    return replace(folding.folded(sae, 1 / factor), scaling=Scaling("constant", factor))
