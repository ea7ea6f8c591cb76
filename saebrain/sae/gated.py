"""Gated sparse autoencoder (Rajamanoharan et al. 2024, arXiv:2404.16014); inference only.

Which features are active and how strongly is decided apart, with shared encoder directions::

    gate = W_enc^T (x - b_dec) + b_gate,   magnitude = exp(r_mag) * (W_enc^T (x - b_dec)) + b_mag
    f = relu(magnitude) where gate > 0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE, Codes


@dataclass(frozen=True, kw_only=True)
class Gated(SAE):
    """``b_enc`` is the bias of the gate."""

    architecture: ClassVar[str] = "gated"
    r_mag: Float[Tensor, " n_features"]
    b_mag: Float[Tensor, " n_features"]

    def activate(self, z: Float[Tensor, "tokens n_features"]) -> Codes:
        magnitude = (z - self.b_enc) * self.r_mag.exp() + self.b_mag
        return Codes.select(magnitude, (z > 0) & (magnitude > 0))
