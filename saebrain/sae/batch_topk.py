"""BatchTopK sparse autoencoder (Bussmann et al. 2024, arXiv:2412.06410).

In training the k B largest entries of relu(z) over a batch of B tokens are kept, so that a hard token may use more
features than an easy one. At inference a batch would make a token's code depend on its company; instead one threshold
for all features, learnt in training as the mean over batches of the smallest kept entry, decides: f = z where z > threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE, Codes


@dataclass(frozen=True, kw_only=True)
class BatchTopK(SAE):
    """About k active features a token: those above ``threshold``."""

    architecture: ClassVar[str] = "batchtopk"
    k: float
    threshold: float

    def activate(self, z: Float[Tensor, "tokens n_features"]) -> Codes:
        return Codes.select(z, z > max(self.threshold, 0.0))
