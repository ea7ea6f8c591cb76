"""JumpReLU sparse autoencoder (Rajamanoharan et al. 2024, arXiv:2407.14435): f = z where z > threshold, a threshold a feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE, Codes


@dataclass(frozen=True, kw_only=True)
class JumpReLU(SAE):
    """A learnt threshold for every feature; one below 0 lets only positive values through, as with a ReLU before it."""

    architecture: ClassVar[str] = "jumprelu"
    threshold: Float[Tensor, " n_features"]

    def activate(self, z: Float[Tensor, "tokens n_features"]) -> Codes:
        return Codes.select(z, z > self.threshold.clamp_min(0.0))
