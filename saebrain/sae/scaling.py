"""The scale in which a SAE takes its input, and the way back.

Trainers bring hidden states to a common scale; a SAE that is fed in another one fails silently. So the scale is part
of every SAE here, never folded into the weights: codes are the very numbers that the SAE's maker would see.

``none``        x
``constant``    factor * x, one factor for all tokens; usually sqrt(d) / mean |x| over the training data
``unit_norm``   sqrt(d) x / |x|, token by token
``layer_norm``  (x - mean) / (sd + 1e-5), token by token
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

EPSILON = 1e-5


@dataclass(frozen=True)
class Frame:
    """The scale of some tokens: x = size * x_scaled + shift."""

    size: Float[Tensor, "tokens 1"]
    shift: Float[Tensor, "tokens 1"]
    epsilon: float = 0.0

    def enter(self, x: Float[Tensor, "tokens d_in"]) -> Float[Tensor, "tokens d_in"]:
        """To the SAE's scale."""
        return (x - self.shift) / (self.size + self.epsilon)

    def leave(self, x: Float[Tensor, "tokens d_in"]) -> Float[Tensor, "tokens d_in"]:
        """Back to that of the hidden states."""
        return x * self.size + self.shift


@dataclass(frozen=True)
class Scaling:
    """How hidden states are brought to the SAE's scale; ``factor`` counts for ``constant`` alone."""

    kind: Literal["none", "constant", "unit_norm", "layer_norm"] = "none"
    factor: float = 1.0

    @property
    def raw(self) -> bool:
        """Whether codes are in the units of the hidden states."""
        return self.kind == "none"

    def frame(self, x: Float[Tensor, "tokens d_in"]) -> Frame:
        """The scale of these tokens."""
        zero = x.new_zeros(())
        match self.kind:
            case "none":
                return Frame(torch.ones_like(zero), zero)
            case "constant":
                return Frame(torch.ones_like(zero) / self.factor, zero)
            case "unit_norm":
                return Frame(x.norm(dim=1, keepdim=True) / math.sqrt(x.shape[1]), zero)
            case "layer_norm":
                return Frame(x.std(dim=1, keepdim=True), x.mean(dim=1, keepdim=True), EPSILON)
