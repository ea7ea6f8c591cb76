"""GroupMax sparse autoencoder, of the library sparsify: features lie in k groups of neighbours, and of each the largest is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE, Codes


@dataclass(frozen=True, kw_only=True)
class GroupMax(SAE):
    """At most k active features a token, one in each of k groups of n_features / k; inference only."""

    architecture: ClassVar[str] = "groupmax"
    k: int

    def activate(self, z: Float[Tensor, "tokens n_features"]) -> Codes:
        values, places = z.unflatten(1, (self.k, -1)).max(dim=2)
        first = torch.arange(0, self.n_features, self.n_features // self.k, device=z.device)
        return Codes.top(values, places + first)
