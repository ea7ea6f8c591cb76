"""BatchTopK (Bussmann et al. 2024, arXiv:2412.06410): the k B largest of B tokens together; no cost.

The threshold that takes the batch's place at inference is the running mean of the smallest kept value.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE
from saebrain.sae.batch_topk import BatchTopK
from saebrain.sae.training.choice import top_of_batch
from saebrain.sae.training.objectives.base import Objective, least
from saebrain.sae.training.pattern import Pattern
from saebrain.sae.training.state import State


class BatchTopKObjective(Objective):
    """``config.k`` features a token on average."""

    def choose(self, score: Float[Tensor, "tokens features"], norms: Float[Tensor, " features"] | None, state: State) -> tuple[Pattern, Tensor]:
        return top_of_batch(score, self.config.k * len(score))

    def note(self, f: Tensor, norms: Float[Tensor, " features"] | None, pattern: Pattern, state: State) -> None:
        smallest = least(f, norms, pattern)
        if smallest is not None:
            state.note_cutoff(smallest)

    def finish(self, weights: dict[str, Any], state: State, scale: float, norms: Float[Tensor, " features"]) -> SAE:
        return BatchTopK(k=float(self.config.k), threshold=state.threshold * scale, **weights)
