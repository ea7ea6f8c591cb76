"""Standard sparse autoencoder (Bricken et al. 2023): f = relu(z), made sparse by an L1 penalty in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE, Codes


@dataclass(frozen=True, kw_only=True)
class Standard(SAE):
    """ReLU codes."""

    architecture: ClassVar[str] = "standard"

    def activate(self, z: Float[Tensor, "tokens n_features"]) -> Codes:
        return Codes.select(z, z > 0)
