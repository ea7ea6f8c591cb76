"""TopK (Gao et al. 2024, arXiv:2406.04093): the k largest of each token, as far as they are positive; no cost."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE
from saebrain.sae.topk import TopK
from saebrain.sae.training.choice import top_of_rows
from saebrain.sae.training.objectives.base import Objective
from saebrain.sae.training.pattern import Pattern
from saebrain.sae.training.state import State


class TopKObjective(Objective):
    """``config.k`` features a token."""

    def choose(self, score: Float[Tensor, "tokens features"], norms: Float[Tensor, " features"] | None, state: State) -> tuple[Pattern, Tensor]:
        return top_of_rows(score, self.config.k)

    def finish(self, weights: dict[str, Any], state: State, scale: float, norms: Float[Tensor, " features"]) -> SAE:
        return TopK(k=self.config.k, **weights)
