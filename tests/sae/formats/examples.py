"""Tiny SAEs of every architecture, with weights that stand apart, and hidden states for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from saebrain.errors import InputError
from saebrain.sae import formats
from saebrain.sae.base import SAE
from saebrain.sae.batch_topk import BatchTopK
from saebrain.sae.gated import Gated
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.matryoshka import Matryoshka
from saebrain.sae.scaling import Scaling
from saebrain.sae.standard import Standard
from saebrain.sae.topk import TopK

D, N, K = 6, 20, 4
ARCHITECTURES: dict[str, tuple[type[SAE], dict[str, Any]]] = {
    "standard": (Standard, {}),
    "topk": (TopK, {"k": K}),
    "batchtopk": (BatchTopK, {"k": 3.5, "threshold": 1.25}),
    "matryoshka_batchtopk": (Matryoshka, {"k": 4.0, "threshold": 0.75, "prefixes": (5, 11, N)}),
    "jumprelu": (JumpReLU, {"threshold": torch.linspace(0.1, 2.0, N)}),
    "gated": (Gated, {"r_mag": torch.linspace(-0.5, 0.5, N), "b_mag": torch.linspace(-1.0, 1.0, N)}),
}
SCALINGS = [Scaling(), Scaling("constant", 0.37), Scaling("unit_norm"), Scaling("layer_norm")]


def sae(architecture: str = "topk", **changes: Any) -> SAE:
    """A SAE that half precision holds exactly."""
    g = torch.Generator().manual_seed(0)
    shapes = {"W_enc": (D, N), "b_enc": (N,), "W_dec": (N, D), "b_dec": (D,)}
    weights = {name: torch.randn(*shape, generator=g).half().float() for name, shape in shapes.items()}
    kind, own = ARCHITECTURES[architecture]
    return kind(**({"metadata": {"layer": 15, "max_norm": 1204.96, "note": "Größe"}} | weights | own | changes))


def states(n: int = 200) -> Float[Tensor, "tokens d_in"]:
    """Hidden states off the origin, of lengths from 1 to 10 or so."""
    g = torch.Generator().manual_seed(1)
    return (torch.randn(n, D, generator=g) + 0.5) * torch.rand(n, 1, generator=g).mul(3).add(0.5)


def edit(path: Path, **changes: Any) -> None:
    """Change values of a JSON file; None takes one out."""
    values = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not None}), encoding="utf-8")


def reweigh(path: Path, **changes: Tensor | None) -> None:
    """Change tensors of a safetensors file; None takes one out."""
    tensors = load_file(path) | changes
    save_file({name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}, path)


def refused(folder: Path, file: str, **options: Any) -> str:
    """The message with which a SAE is refused: one line that names the file."""
    with pytest.raises(InputError) as caught:
        formats.read(folder, **options)
    message = str(caught.value)
    assert str(folder / file) in message
    assert "\n" not in message
    return message
