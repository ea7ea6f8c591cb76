"""Training of sparse autoencoders, with gradients that touch only the active features."""

from __future__ import annotations

from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.loop import Training, train

__all__ = ["TrainConfig", "Training", "train"]
