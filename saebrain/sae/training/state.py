"""What training changes: weights, Adam's moments, each feature's idle time, a running threshold."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from saebrain.sae.training.config import TrainConfig

MEMORY = 0.95
"""Share of the running threshold that stays at each step: a mean over the last twenty batches or so."""


@dataclass
class State:
    """Both weight matrices have one row a feature. Adam's moments belong to :attr:`weights`, in their order."""

    W_enc: Float[Tensor, "n_features d_in"]
    b_enc: Float[Tensor, " n_features"]
    W_dec: Float[Tensor, "n_features d_in"]
    b_dec: Float[Tensor, " d_in"]
    log_threshold: Float[Tensor, " n_features_or_0"]
    """Of JumpReLU; empty for the others."""
    idle: Int[Tensor, " n_features"]
    """Tokens since a feature was active."""
    cutoff: Float[Tensor, " 2"]
    """Of BatchTopK: decayed sum of the smallest kept values, and the sum of the weights in it (float64)."""

    @classmethod
    def start(cls, d_in: int, config: TrainConfig) -> State:
        """Random decoder rows of unit norm, the encoder their transpose, biases zero (on the CPU, whatever the device later)."""
        rng = torch.Generator().manual_seed(config.seed)
        W_dec = normalize(torch.randn(config.n_features, d_in, generator=rng), dim=1)
        return cls(
            W_enc=W_dec.clone(),
            b_enc=torch.zeros(config.n_features),
            W_dec=W_dec,
            b_dec=torch.zeros(d_in),
            log_threshold=torch.zeros(0),
            idle=torch.zeros(config.n_features, dtype=torch.long),
            cutoff=torch.zeros(2, dtype=torch.float64),
        )

    def to(self, device: torch.device) -> State:
        return State(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    @property
    def weights(self) -> dict[str, Tensor]:
        """What gradients are taken for."""
        names = ["W_enc", "b_enc", "W_dec", "b_dec", *(["log_threshold"] if len(self.log_threshold) else [])]
        return {name: getattr(self, name) for name in names}

    @property
    def threshold(self) -> float:
        """The running mean of the smallest kept values."""
        total, weight = self.cutoff.tolist()
        return total / weight if weight else 0.0

    def note_cutoff(self, smallest: Float[Tensor, ""]) -> None:
        """Take a batch's smallest kept value into the running mean."""
        new = torch.stack([smallest.double(), torch.ones_like(smallest, dtype=torch.float64)])
        self.cutoff.mul_(MEMORY).add_(new, alpha=1 - MEMORY)

    def note_active(self, times: Float[Tensor, " n_features"], n_tokens: int) -> None:
        """Count a batch into the idle times; ``times`` says how often each feature was active."""
        self.idle.add_(n_tokens).masked_fill_(times > 0, 0)
