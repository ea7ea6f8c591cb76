"""How a SAE is trained: every setting, documented where it is declared, checked when it is made, saved beside the weights."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from saebrain.errors import InputError

Architecture = Literal["topk", "batchtopk", "matryoshka_batchtopk", "jumprelu", "standard"]
ARCHITECTURES: tuple[str, ...] = get_args(Architecture)
PREFIXES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Sizes of a Matryoshka SAE's nested dictionaries, as shares of all features, unless they are given."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Losses are in the training scale, where a hidden state's mean squared deviation is 1 a dimension."""

    architecture: Architecture = "topk"
    n_features: int = 4096
    k: int = 32
    """Active features a token; ``jumprelu`` and ``standard`` only begin near it, their ``sparsity`` decides where they end."""
    prefixes: tuple[int, ...] = ()
    """``matryoshka_batchtopk``: sizes of the nested dictionaries, ascending, the last one ``n_features``; empty: ``PREFIXES``."""
    sparsity: float = 2.0
    """``jumprelu``, ``standard``: weight of the penalty on active features, beside the squared error of a token summed over dimensions."""
    sparsity_warmup: float = 0.2
    """Share of the steps in which that weight rises from 0."""
    penalty: Literal["tanh", "l0"] = "tanh"
    """``jumprelu``: what is paid for an active feature f, tanh(``tanh_slope`` f |w|) or 1."""
    tanh_slope: float = 1.0
    bandwidth: float = 0.5
    """``jumprelu``: width of the rectangle around a threshold inside which values teach it."""
    decoder: Literal["unit", "scaled"] = "unit"
    """Decoder rows held at norm 1, or free, features then being chosen and penalised by f |w|."""
    batch: int = 2048
    """Tokens a step."""
    steps: int = 4000
    learning_rate: float = 0.0
    """Of Adam; 0: 6e-4 at 4,096 features and 4,000 steps. Less as the square root of more features (Gao et al. 2024, figure 3);
    more as the square root of fewer steps, up to four times as much: a short run has no time for small ones."""
    warmup: float = 0.02
    """Share of the steps in which the learning rate rises from 0."""
    decay: float = 0.25
    """Share of the steps at the end in which it falls to 0."""
    max_gradient_norm: float = 1.0
    k_aux: int = 256
    """Dead features a token that the auxiliary loss reads."""
    aux_coefficient: float = 1 / 32
    aux_share: float = 0.25
    """Share of a batch's tokens on which the auxiliary loss is computed."""
    dead_after: int = 250_000
    """Tokens without activation after which a feature counts as dead."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the encoder's dense product, which chooses features; their values and all weights are float32 in any case."""
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefixes", self._prefixes())  # JSON has lists
        for name, allowed in (
            ("architecture", ARCHITECTURES),
            ("penalty", ("tanh", "l0")),
            ("decoder", ("unit", "scaled")),
            ("precision", ("float32", "bfloat16")),
        ):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} = {getattr(self, name)!r}: give one of {', '.join(allowed)}")
        if not 1 <= self.k <= self.n_features:
            raise InputError(f"k = {self.k} with {self.n_features} features: k must be between 1 and the number of features")
        for name in ("batch", "steps", "k_aux", "dead_after", "max_gradient_norm", "bandwidth", "tanh_slope", "aux_share"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} = {getattr(self, name)}: give a number above 0")
        for name in ("learning_rate", "sparsity", "sparsity_warmup", "warmup", "decay", "aux_coefficient"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} = {getattr(self, name)}: give 0 or more")
        sizes = self.prefixes
        if sizes and (sizes[0] < 1 or sizes[-1] != self.n_features or any(a >= b for a, b in pairwise(sizes))):
            raise InputError(f"prefixes = {list(sizes)}: give ascending sizes, the last one the {self.n_features} features")

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        return self.learning_rate or 6e-4 * (4096 / self.n_features) ** 0.5 * min(max(4000 / self.steps, 1.0) ** 0.5, 4.0)

    def _prefixes(self) -> tuple[int, ...]:
        if self.architecture != "matryoshka_batchtopk" or self.prefixes:
            return tuple(self.prefixes)
        return tuple(sorted({max(1, round(share * self.n_features)) for share in PREFIXES}))
