"""sparsify (EleutherAI): cfg.json and sae.safetensors, in a folder named for the module whose output is reconstructed."""

from __future__ import annotations

import re
from typing import Any

from saebrain.errors import InputError
from saebrain.sae.base import SAE
from saebrain.sae.formats.fields import Fields, layer_of, refuse_scale
from saebrain.sae.formats.layout import Layout
from saebrain.sae.formats.weights import Tensors
from saebrain.sae.group_max import GroupMax
from saebrain.sae.topk import TopK

_MODULE = re.compile(r"embed_tokens|wte|(?:.*\.)?(?:layers|h)[._]\d+(?:\..+)?")


def read(layout: Layout, input_scale: float | None) -> SAE:
    """Read a SAE.

    Raises
    ------
    InputError
        If it is a transcoder, has codes of both signs, or weights and config contradict each other.
    """
    fields = layout.fields()
    refuse_scale(layout.config, input_scale)
    fields.refuse_unless("transcode", False, "is not supported: a transcoder does not reconstruct its own input")
    fields.refuse_unless("skip_connection", False, "is not supported: its input reaches the output past the features")
    fields.refuse_unless("signed", False, "is not supported: codes here are positive")
    d = fields.whole("d_in")
    n = fields.whole("num_latents") if fields.get("num_latents", 0) else d * fields.whole("expansion_factor")
    k = fields.k(n)
    tensors = Tensors.load(layout.weights, layout.config)
    shared: dict[str, Any] = {
        "W_enc": tensors.take("encoder.weight", n, d).T.contiguous(),
        "b_enc": tensors.take("encoder.bias", n),
        "W_dec": tensors.take("W_dec", n, d),  # as it is used; normalize_decoder was a matter of training
        "b_dec": tensors.take("b_dec", d),
        "k": k,
        "metadata": _metadata(layout),
    }
    activation = fields.text("activation", "topk")
    tensors.finish(activation)
    match activation:
        case "topk":
            return TopK(**shared)
        case "groupmax" if n % k == 0:
            return GroupMax(**shared)
        case "groupmax":
            raise InputError(f"{layout.config}: groupmax with k = {k} cannot share out {n} features evenly; restore the file")
        case _:
            raise fields.refusal("activation", "is not supported; only topk and groupmax are")


def _metadata(layout: Layout) -> dict[str, Any]:
    """What the folder's name and the config of the training run, one folder up, tell."""
    metadata: dict[str, Any] = {}
    module, run = layout.folder.resolve().name, layout.folder.resolve().parent / "config.json"
    if _MODULE.fullmatch(module):
        metadata["hook_name"] = module
    if (layer := layer_of(module)) is not None:
        metadata["layer"] = layer
    if run.is_file():
        model = Fields.load(run).get("model")
        metadata |= {"model_name": model} if isinstance(model, str) else {}
    return metadata
