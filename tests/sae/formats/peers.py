"""The libraries whose SAEs we read, themselves: what they compute is what ours must compute from the same files.

Their packages load on import what only training needs (remote models, experiment tracking), so modules are loaded
without the package around them where that is possible.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE


@cache
def saelens() -> Any:
    """SAELens; in place of wandb, which it logs training runs with, an empty module while it loads."""
    with _stand_in("wandb"):
        return _quietly("sae_lens")


@cache
def sparsify() -> Any:
    """The module of sparsify's SAEs, without its kernels for GPUs."""
    os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
    _bare("sparsify")
    return _quietly("sparsify.sparse_coder")


@cache
def dictionary_learning(module: str) -> Any:
    """A module of dictionary_learning."""
    _bare("dictionary_learning")
    return _quietly(f"dictionary_learning.{module}")


@cache
def lm_saes() -> Any:
    """The module of lm-saes' SAEs; the library is called llamascopium now."""
    _bare("llamascopium")
    _bare("llamascopium.models")
    return _quietly("llamascopium.models.sae")


def _quietly(name: str) -> ModuleType:
    """A module; what it warns of while it loads is its makers' business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(name)


@contextmanager
def _stand_in(name: str) -> Iterator[None]:
    missing = name not in sys.modules
    sys.modules.setdefault(name, module_from_spec(ModuleSpec(name, None)))
    try:
        yield
    finally:
        if missing:
            del sys.modules[name]


def _bare(name: str) -> None:
    """A package whose modules can be imported, but whose own code does not run."""
    if name not in sys.modules:
        spec = find_spec(name)
        assert spec is not None and spec.submodule_search_locations is not None, f"{name} is missing; run: make test, which installs it"
        package = ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules[name] = package


def randomise(module: torch.nn.Module, seed: int = 0) -> None:
    """Give every weight of a peer's SAE a value of its own, so that none can be left out or mistaken unseen."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(0.5 * torch.randn(weight.shape, generator=g))  # codes about 1, so that 1e-5 is a rounding of them


def agree(ours: SAE, x: Float[Tensor, "tokens d_in"], codes: Float[Tensor, "tokens n_features"], x_hat: Float[Tensor, "tokens d_in"]) -> None:
    """Codes and reconstructions are a peer's, to 1e-5; and there are some, and not all are active."""
    active = (codes != 0).float().mean()
    assert 0.02 < active < 0.98, f"{active:.1%} of the codes are active: the comparison would say little"
    found, reconstruction = ours.split(x)
    torch.testing.assert_close(found.dense(ours.n_features), codes.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(reconstruction, x_hat.detach(), rtol=1e-5, atol=1e-5)
