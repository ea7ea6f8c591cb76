"""Matryoshka BatchTopK (Bussmann et al. 2025, arXiv:2503.17547).

Codes are those of BatchTopK over all features; the loss is the mean of the squared errors of the nested dictionaries,
each made of the first m features, so that early features have to be of use by themselves.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE
from saebrain.sae.matryoshka import Matryoshka
from saebrain.sae.training.objectives.batch_topk import BatchTopKObjective
from saebrain.sae.training.state import State


class MatryoshkaObjective(BatchTopKObjective):
    """``config.prefixes`` are the sizes m."""

    def finish(self, weights: dict[str, Any], state: State, scale: float, norms: Float[Tensor, " features"]) -> SAE:
        return Matryoshka(k=float(self.config.k), threshold=state.threshold * scale, prefixes=self.config.prefixes, **weights)
