"""Writing a SAE in the layout of SAELens 6, so that other tools read ours; :mod:`saebrain.sae.formats.saelens` reads it back as it was.

SAELens has no BatchTopK SAE for inference, so it and Matryoshka are written as SAELens does: as JumpReLU with one
threshold repeated. Nor has it a constant factor of the input, so that is folded into the weights, and noted under
``metadata`` for our reader to take out again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from saebrain.atomic import replacing, write_json
from saebrain.errors import InputError
from saebrain.sae.base import SAE
from saebrain.sae.batch_topk import BatchTopK
from saebrain.sae.formats import folding
from saebrain.sae.formats.layout import CONFIG, WEIGHTS
from saebrain.sae.gated import Gated
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.matryoshka import Matryoshka
from saebrain.sae.standard import Standard
from saebrain.sae.topk import TopK

VERSION = "6.0.0"
"""Of the layout; without one SAELens takes a config for an older one and drops the metadata."""
NORMALISATION = {"none": "none", "constant": "none", "layer_norm": "layer_norm", "unit_norm": "constant_norm_rescale"}
LOST = 1e-3
"""Relative error (Frobenius norm) of a matrix from which half precision is not enough; rounding alone gives 3e-4."""


def write(sae: SAE, folder: Path, *, dtype: Literal["float16", "float32"] = "float16") -> None:
    """Write cfg.json and sae_weights.safetensors; weights first, so that a folder with a cfg.json is complete.

    Parameters
    ----------
    dtype : {"float16", "float32"}
        How W_enc and W_dec are stored, unless half precision would lose them; vectors are always float32.

    Raises
    ------
    InputError
        If SAELens has no such architecture.
    """
    settings, extra, trained = _translated(sae)
    raw = folding.folded(sae, sae.scaling.factor) if sae.scaling.kind == "constant" else sae
    weights = {name: getattr(raw, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")} | extra
    if settings["architecture"] == "gated":
        weights["b_gate"] = weights.pop("b_enc")
    with replacing(folder / WEIGHTS) as temporary:
        save_file({name: _stored(values.detach().cpu(), dtype) for name, values in weights.items()}, temporary)
    config = {
        **settings,
        "d_in": sae.d_in,
        "d_sae": sae.n_features,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": sae.apply_b_dec_to_input,
        "normalize_activations": NORMALISATION[sae.scaling.kind],
        "reshape_activations": "none",
        "metadata": sae.metadata | described(sae, folded=True) | trained | {"sae_lens_version": VERSION},
    }
    write_json(folder / CONFIG, config)


def described(sae: SAE, *, folded: bool = False) -> dict[str, Any]:
    """What metadata say of a SAE's units; ``folded`` if a constant factor is in the weights beside them."""
    scaling: dict[str, Any] = {"kind": sae.scaling.kind}
    if sae.scaling.kind == "constant":
        scaling |= {"factor": sae.scaling.factor} | ({"folded": True} if folded else {})
    return {"scaling": scaling, "codes_in": "raw" if sae.scaling.raw else "normalised"}


def _translated(sae: SAE) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """Settings, weights and metadata of the architecture alone."""
    match sae:
        case BatchTopK():
            details: dict[str, Any] = {"k": sae.k}
            if isinstance(sae, Matryoshka):
                details["matryoshka_widths"] = list(sae.prefixes)
            threshold = torch.full((sae.n_features,), sae.threshold)
            trained = {"training_architecture": sae.architecture, "training_architecture_details": details}
            return {"architecture": "jumprelu"}, {"threshold": threshold}, trained
        case JumpReLU():
            return {"architecture": "jumprelu"}, {"threshold": sae.threshold}, {}
        case TopK():
            return {"architecture": "topk", "k": sae.k, "rescale_acts_by_decoder_norm": False}, {}, {}
        case Gated():
            return {"architecture": "gated"}, {"r_mag": sae.r_mag, "b_mag": sae.b_mag}, {}
        case Standard():
            return {"architecture": "standard"}, {}, {}
        case _:
            raise InputError(f"architecture {sae.architecture!r}: SAELens has none like it, so it cannot be written; use the folder it was read from")


def _stored(values: Tensor, dtype: str) -> Tensor:
    """In the precision that keeps them, in memory of their own."""
    if dtype == "float16" and values.ndim == 2:
        half = values.to(torch.float16)
        if float((half.float() - values).norm()) <= LOST * float(values.norm()):
            return half.contiguous()
    return values.to(torch.float32).contiguous().clone()
