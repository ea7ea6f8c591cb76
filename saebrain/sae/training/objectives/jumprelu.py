"""JumpReLU (Rajamanoharan et al. 2024, arXiv:2407.14435): f = z where z > t, a learnt threshold t a feature.

A step has no useful gradient with respect to its threshold; inside a rectangle of width h around it a straight-through
one is taken, as if values there were spread evenly (their equations 11 and 12)::

    df/dt = -t / h,   d[z > t]/dt = -1 / h     where |z - t| < h / 2,   else 0

so places in that window count too, active or not. The cost of activity is tanh(c f |w|) (Conerly et al. 2025) or, as in
the original, 1 for each active feature. Thresholds are positive: it is log t that is trained.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.training.choice import above
from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.objectives.base import Cost, Smooth
from saebrain.sae.training.objectives.beginning import level
from saebrain.sae.training.pattern import Pattern
from saebrain.sae.training.state import State


class JumpReLUObjective(Smooth):
    """``config.penalty`` and ``config.bandwidth`` (h) are its own."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        self.jump = float(config.penalty == "l0")

    def begin(self, state: State, sample: Float[Tensor, "sample d_in"]) -> None:
        state.log_threshold = torch.full_like(state.b_enc, level(state, sample, self.config.k)).log()

    def choose(self, score: Float[Tensor, "tokens features"], norms: Float[Tensor, " features"] | None, state: State) -> tuple[Pattern, Tensor]:
        lowest = self.threshold(state) - self.config.bandwidth / 2
        return above(score, lowest if norms is None else lowest * norms)

    def threshold(self, state: State) -> Float[Tensor, " features"]:
        return state.log_threshold.exp()

    def cost(self, size: Tensor, on: Tensor) -> Cost:
        if self.config.penalty == "l0":
            return Cost(on.sum().to(size.dtype), torch.zeros_like(size))
        bounded = torch.tanh(self.config.tanh_slope * size)
        return Cost(bounded.sum(), self.config.tanh_slope * (1 - bounded.square()))

    def finish(self, weights: dict[str, Any], state: State, scale: float, norms: Float[Tensor, " features"]) -> SAE:
        return JumpReLU(threshold=state.log_threshold.exp() * norms * scale, **weights)
