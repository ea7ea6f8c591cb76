"""TopK sparse autoencoder (Gao et al. 2024, arXiv:2406.04093): f keeps the k largest entries of relu(z)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE, Codes


@dataclass(frozen=True, kw_only=True)
class TopK(SAE):
    """At most k active features a token."""

    architecture: ClassVar[str] = "topk"
    k: int

    def activate(self, z: Float[Tensor, "tokens n_features"]) -> Codes:
        values, features = z.topk(self.k, dim=1, sorted=False)
        return Codes.top(values, features)
