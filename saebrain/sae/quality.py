"""How well a SAE reconstructs held-out hidden states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from saebrain.errors import InputError
from saebrain.sae.base import SAE


@dataclass(frozen=True)
class Quality:
    """Figures over all tokens at once.

    fvu : fraction of variance unexplained, sum |x - x_hat|^2 / sum |x - mean(x)|^2; explained variance is 1 - fvu.
    l0 : mean number of active features a token.
    dead_fraction : share of features active on none of the tokens.
    """

    fvu: float
    l0: float
    dead_fraction: float
    n_tokens: int


def measure(sae: SAE, batches: Iterable[Float[Tensor, "tokens d_in"]]) -> Quality:
    """Measure a SAE on batches of hidden states; sums are kept in float64, memory does not grow with the number of batches.

    Raises
    ------
    InputError
        If there are fewer than 2 tokens.
    """
    error = square = 0.0
    total = torch.zeros(sae.d_in, dtype=torch.float64)
    fired = torch.zeros(sae.n_features, dtype=torch.bool)
    active = n_tokens = 0
    for x in batches:
        codes, x_hat = sae.split(x)
        error += float((x - x_hat).double().square().sum())
        square += float(x.double().square().sum())
        total += x.double().sum(0)
        active += len(codes.features)
        fired[codes.features] = True
        n_tokens += len(x)
    if n_tokens < 2:
        raise InputError(
            f"{n_tokens} tokens with an ordinary norm: at least 2 are needed to measure a SAE; check that it was made for this model and layer"
        )
    variance = square - float(total.square().sum()) / n_tokens
    return Quality(error / variance, active / n_tokens, 1 - float(fired.float().mean()), n_tokens)
