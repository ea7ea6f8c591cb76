"""dictionary_learning (Marks, Karvonen, Mueller): config.json and ae.pt, a pickle of which only tensors are read."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from saebrain.errors import InputError
from saebrain.sae.base import SAE
from saebrain.sae.batch_topk import BatchTopK
from saebrain.sae.formats import folding
from saebrain.sae.formats.fields import Fields, figures, layer_of, refuse_scale
from saebrain.sae.formats.layout import EVALUATION, Layout
from saebrain.sae.formats.weights import Tensors
from saebrain.sae.gated import Gated
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.matryoshka import Matryoshka
from saebrain.sae.standard import Standard
from saebrain.sae.topk import TopK

CLASSES = (
    "AutoEncoder",
    "AutoEncoderNew",
    "GatedAutoEncoder",
    "JumpReluAutoEncoder",
    "AutoEncoderTopK",
    "BatchTopKSAE",
    "MatryoshkaBatchTopKSAE",
)
_RESIDUAL = "resid_post"


def read(layout: Layout, input_scale: float | None) -> SAE:
    """Read a SAE. Its trainers fold the scale of their input into the biases before they save.

    Raises
    ------
    InputError
        If it is of another class, was saved before its threshold was learnt, or weights and config contradict each other.
    """
    trainer = layout.fields().within("trainer")
    kind = trainer.get("dict_class")
    if kind not in CLASSES:
        raise InputError(f"{layout.config}: trainer.dict_class {kind!r:.80} is not supported; those that can be read: {', '.join(CLASSES)}")
    refuse_scale(layout.config, input_scale)
    tensors = Tensors.load(layout.weights, layout.config)
    sae = _build(str(kind), trainer, tensors, _metadata(layout, trainer))
    tensors.finish(str(kind))
    return sae


def _build(kind: str, trainer: Fields, tensors: Tensors, metadata: dict[str, Any]) -> SAE:
    """The SAE of a class; each keeps its weights under names of its own."""
    d, n = trainer.whole("activation_dim"), trainer.whole("dict_size")
    if kind in ("JumpReluAutoEncoder", "MatryoshkaBatchTopKSAE"):
        W_enc, b_enc, W_dec = tensors.take("W_enc", d, n), tensors.take("b_enc", n), tensors.take("W_dec", n, d)
    else:
        W_enc, W_dec = tensors.take("encoder.weight", n, d).T.contiguous(), tensors.take("decoder.weight", d, n).T.contiguous()
        b_enc = tensors.take("gate_bias" if kind == "GatedAutoEncoder" else "encoder.bias", n)
    b_dec = tensors.take({"AutoEncoder": "bias", "AutoEncoderNew": "decoder.bias", "GatedAutoEncoder": "decoder_bias"}.get(kind, "b_dec"), d)
    shared: dict[str, Any] = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec, "metadata": metadata}
    match kind:
        case "AutoEncoder":  # from_pretrained gives it unit decoder rows
            return folding.unit_decoder(Standard(**shared))
        case "AutoEncoderNew":
            return Standard(apply_b_dec_to_input=False, **shared)
        case "GatedAutoEncoder":
            return Gated(r_mag=tensors.take("r_mag", n), b_mag=tensors.take("mag_bias", n), **shared)
        case "JumpReluAutoEncoder":
            return JumpReLU(threshold=tensors.take("threshold", n), apply_b_dec_to_input=False, **shared)
        case "AutoEncoderTopK":
            tensors.drop(lambda name: name == "threshold")  # learnt beside, used only where asked for
            return TopK(k=_k(trainer, tensors, n), **shared)
        case "BatchTopKSAE":
            return BatchTopK(k=_k(trainer, tensors, n), threshold=_threshold(tensors), **shared)
        case _:
            return Matryoshka(k=_k(trainer, tensors, n), threshold=_threshold(tensors), prefixes=_prefixes(tensors, n), **shared)


def _k(trainer: Fields, tensors: Tensors, n: int) -> int:
    """The number of active features, which older versions keep in the config alone."""
    k = trainer.k(n)
    if "k" in tensors and (saved := tensors.whole("k")) != [k]:
        raise InputError(f"{tensors.path}: k = {saved} by the weights, but {k} by {trainer.path.name}; they do not belong together")
    return k


def _threshold(tensors: Tensors) -> float:
    threshold = tensors.scalar("threshold")
    if threshold < 0:
        raise InputError(f"{tensors.path}: threshold = {threshold:.6g} was not learnt yet, so every feature would be active; use a later checkpoint")
    return threshold


def _prefixes(tensors: Tensors, n: int) -> tuple[int, ...]:
    if "group_sizes" not in tensors:
        raise InputError(f"{tensors.path}: no group_sizes; restore the file")
    sizes = tensors.whole("group_sizes")
    if sum(sizes) != n:
        raise InputError(f"{tensors.path}: group_sizes of {sum(sizes)} features, but there are {n}; restore the file")
    return tuple(accumulate(sizes))


def _metadata(layout: Layout, trainer: Fields) -> dict[str, Any]:
    """What config and evaluation tell; a trainer's layer k means what block k does, so its residual stream is our layer k + 1."""
    place, number = str(trainer.get("submodule_name") or ""), trainer.get("layer")
    metadata: dict[str, Any] = {"model_name": trainer.get("lm_name"), "context_size": layout.fields().within("buffer").get("ctx_len")}
    if place.startswith(_RESIDUAL) and isinstance(number, int):
        place = f"blocks.{number}.hook_resid_post"
    metadata |= {"hook_name": place or None, "layer": layer_of(place)}
    evaluation = layout.folder / EVALUATION
    if evaluation.is_file():
        metadata["claims"] = figures(Fields.load(evaluation).values) or None
    return {name: value for name, value in metadata.items() if value is not None}
