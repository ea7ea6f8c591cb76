"""Reading and writing SAEs on disk in the SAELens v6 layout: ``cfg.json`` and ``sae_weights.safetensors`` in a folder.

Weights are written in half precision (those that do not fit it in float32) and computed with in float32. What SAELens
needs stands at the top level of cfg.json; what saebrain adds (training tokens, quality figures, units) under ``metadata``.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from saebrain.atomic import replacing, write_json
from saebrain.errors import InputError
from saebrain.sae.layout import CONFIG, REQUIRED, WEIGHTS, read_config
from saebrain.sae.topk import TopK


def write(sae: TopK, folder: Path) -> None:
    """Write a SAE; weights first, so that a folder with a cfg.json is complete."""
    weights = {name: _half(getattr(sae, name).detach()).contiguous() for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    with replacing(folder / WEIGHTS) as temporary:
        save_file(weights, temporary)
    config = {
        "architecture": "topk",
        "d_in": sae.d_in,
        "d_sae": sae.n_features,
        "k": sae.k,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": sae.apply_b_dec_to_input,
        **REQUIRED,
        "metadata": sae.metadata,
    }
    write_json(folder / CONFIG, config)


def _half(weights: Tensor) -> Tensor:
    """Half precision, unless a weight would overflow it."""
    half = weights.to(torch.float16)
    return half if bool(torch.isfinite(half).all()) else weights


def read(folder: Path) -> TopK:
    """Read a SAE.

    Raises
    ------
    InputError
        If files are missing or corrupt, or shapes contradict cfg.json.
    """
    config = read_config(folder)
    path = folder / WEIGHTS
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: weights cannot be read ({error}); restore the file or train the SAE again") from error
    d, n = config["d_in"], config["d_sae"]
    for name, shape in {"W_enc": (d, n), "b_enc": (n,), "W_dec": (n, d), "b_dec": (d,)}.items():
        if name not in weights or tuple(weights[name].shape) != shape:
            received = tuple(weights[name].shape) if name in weights else "nothing"
            raise InputError(f"{path}: {name} should be {shape} by cfg.json, received {received}; weights and cfg.json do not belong together")
        if not bool(torch.isfinite(weights[name]).all()):
            raise InputError(f"{path}: {name} holds NaN or infinite values; restore the file or train the SAE again")
    W_enc, b_enc, W_dec, b_dec = (weights[name].float() for name in ("W_enc", "b_enc", "W_dec", "b_dec"))
    return TopK(
        W_enc=W_enc,
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=b_dec,
        k=config["k"],
        apply_b_dec_to_input=config.get("apply_b_dec_to_input", True),
        metadata=config.get("metadata", {}),
    )
