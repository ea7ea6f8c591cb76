"""What changes from step to step: the learning rate, and the weight of the sparsity penalty."""

from __future__ import annotations

from saebrain.sae.training.config import TrainConfig


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, plateau, linear decay to zero."""
    rise = _ramp(step, config.warmup * config.steps)
    fall = min(1.0, (config.steps - step) / max(1.0, config.decay * config.steps))
    return config.rate * rise * fall


def sparsity(step: int, config: TrainConfig) -> float:
    """Weight of the sparsity penalty: a linear rise, then constant."""
    return config.sparsity * _ramp(step, config.sparsity_warmup * config.steps)


def _ramp(step: int, length: float) -> float:
    return min(1.0, (step + 1) / max(1.0, length))
