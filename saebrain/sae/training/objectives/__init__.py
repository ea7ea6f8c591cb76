"""What each architecture asks of training: which features of a batch are active, and what they cost."""

from __future__ import annotations

from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.objectives.base import Objective
from saebrain.sae.training.objectives.batch_topk import BatchTopKObjective
from saebrain.sae.training.objectives.jumprelu import JumpReLUObjective
from saebrain.sae.training.objectives.matryoshka import MatryoshkaObjective
from saebrain.sae.training.objectives.standard import StandardObjective
from saebrain.sae.training.objectives.topk import TopKObjective

OBJECTIVES: dict[str, type[Objective]] = {
    "topk": TopKObjective,
    "batchtopk": BatchTopKObjective,
    "matryoshka_batchtopk": MatryoshkaObjective,
    "jumprelu": JumpReLUObjective,
    "standard": StandardObjective,
}


def objective(config: TrainConfig) -> Objective:
    """The objective of an architecture."""
    return OBJECTIVES[config.architecture](config)
