"""TopK sparse autoencoder (Gao et al. 2024, arXiv:2406.04093).

With z = W_enc^T (x - b_dec) + b_enc, the code f keeps the k largest entries of relu(z) and is zero elsewhere; the
reconstruction is x_hat = W_dec^T f + b_dec. Rows of W_dec have unit norm, so a code's unit is that of the hidden state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag


@dataclass(frozen=True)
class Codes:
    """Sparse codes: the k kept features of every token and their activations (0 where fewer than k are positive)."""

    features: Int[Tensor, "tokens k"]
    values: Float[Tensor, "tokens k"]


@dataclass(frozen=True)
class TopK:
    """A TopK SAE ready for use; all weights float32."""

    k: int
    W_enc: Float[Tensor, "d_in n_features"]
    b_enc: Float[Tensor, " n_features"]
    W_dec: Float[Tensor, "n_features d_in"]
    b_dec: Float[Tensor, " d_in"]
    apply_b_dec_to_input: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def d_in(self) -> int:
        return self.W_enc.shape[0]

    @property
    def n_features(self) -> int:
        return self.W_enc.shape[1]

    def encode(self, x: Float[Tensor, "tokens d_in"]) -> Codes:
        """Codes of hidden states."""
        centred = x - self.b_dec if self.apply_b_dec_to_input else x
        z = torch.addmm(self.b_enc, centred, self.W_enc)
        values, features = z.topk(self.k, dim=-1, sorted=False)
        return Codes(features, values.relu())

    def decode(self, codes: Codes) -> Float[Tensor, "tokens d_in"]:
        """Reconstruction of hidden states from their codes."""
        return embedding_bag(codes.features, self.W_dec, per_sample_weights=codes.values, mode="sum") + self.b_dec
