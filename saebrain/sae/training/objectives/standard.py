"""Standard SAE (Bricken et al. 2023; Conerly et al. 2024): f = relu(z), and a cost of f |w| for activity (L1)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE
from saebrain.sae.standard import Standard
from saebrain.sae.training.choice import above
from saebrain.sae.training.objectives.base import Cost, Smooth
from saebrain.sae.training.objectives.beginning import level
from saebrain.sae.training.pattern import Pattern
from saebrain.sae.training.state import State


class StandardObjective(Smooth):
    """With ``decoder = "unit"`` the cost is f itself."""

    def begin(self, state: State, sample: Float[Tensor, "sample d_in"]) -> None:
        state.b_enc -= level(state, sample, self.config.k)

    def choose(self, score: Float[Tensor, "tokens features"], norms: Float[Tensor, " features"] | None, state: State) -> tuple[Pattern, Tensor]:
        return above(score, 0.0)

    def cost(self, size: Tensor, on: Tensor) -> Cost:
        return Cost(size.sum(), torch.ones_like(size))

    def finish(self, weights: dict[str, Any], state: State, scale: float, norms: Float[Tensor, " features"]) -> SAE:
        return Standard(**weights)
