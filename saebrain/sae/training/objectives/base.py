"""What the objectives share.

With pre-activations z, a feature's threshold t (0 but for JumpReLU) and norm |w| of its decoder row, all of them have::

    f = z where z > t, at the places that `choose` picks;   x_hat_m = W_dec[:m]^T f[:m] + b_dec
    L = (mean over prefixes m of |x - x_hat_m|^2 + s sum of cost(f |w|)) / (B d)      (one prefix, all features, but for Matryoshka)

B tokens of d dimensions, summed over; s is the sparsity weight of the step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from saebrain.sae.base import SAE
from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.pattern import Pattern
from saebrain.sae.training.state import State


@dataclass(frozen=True)
class Cost:
    """What activity costs: in all, and per unit more of f |w| at each place."""

    total: Float[Tensor, ""]
    slope: Tensor


class Objective(ABC):
    """An architecture's part in a training step."""

    jump: float = 0.0
    """Cost of a feature's being active at all, however weakly."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    def begin(self, state: State, sample: Float[Tensor, "sample d_in"]) -> None:
        """Set what starts from data; ``sample`` is in the training scale."""
        return

    @abstractmethod
    def choose(self, score: Float[Tensor, "tokens features"], norms: Float[Tensor, " features"] | None, state: State) -> tuple[Pattern, Tensor]:
        """Places that may be active or teach a threshold, and the scores there: z |w|, or z where ``norms`` are None."""

    def threshold(self, state: State) -> Float[Tensor, " features"] | None:
        """Values that activity has to exceed; None: 0."""
        return None

    def cost(self, size: Tensor, on: Tensor) -> Cost | None:
        """Cost of codes of ``size`` f |w|, with a sparsity weight of 1."""
        return None

    def revive(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Values of dead features in the auxiliary loss, and their slopes."""
        return z.relu(), (z > 0).to(z.dtype)

    def note(self, f: Tensor, norms: Float[Tensor, " features"] | None, pattern: Pattern, state: State) -> None:
        """Learn from a batch what is learnt without gradients."""
        return

    @abstractmethod
    def finish(self, weights: dict[str, Any], state: State, scale: float, norms: Float[Tensor, " features"]) -> SAE:
        """The trained SAE. ``weights`` are folded already; those thresholds that the state holds are in the training scale.

        A pre-activation is ``scale`` times larger after folding, and by the norm its feature's decoder row had.
        """


class Smooth(Objective):
    """Of architectures whose dead features may have a negative z on every token, where a relu has no slope to bring them back by."""

    def revive(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The smooth relu log(1 + exp(z))."""
        return softplus(z), z.sigmoid()


def least(f: Tensor, norms: Float[Tensor, " features"] | None, pattern: Pattern) -> Float[Tensor, ""] | None:
    """The smallest positive f |w|."""
    size = f if norms is None else f * pattern.spread(norms)
    positive = size[size > 0]
    return positive.min() if len(positive) else None
