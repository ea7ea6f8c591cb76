"""How well a SAE does: reconstruction, sparsity, dead features, how often each feature is active, and what the model loses by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from saebrain.errors import InputError
from saebrain.sae.base import SAE

DENSITY_EDGES = [round(-6 + 0.2 * step, 1) for step in range(31)]
"""Edges of the density histogram: the same for every SAE, so that histograms can be laid over one another."""
_PREACTIVATIONS = 2**25
"""Pre-activations held at a time, 128 MB of them."""


class Density(TypedDict):
    """Histogram of the features' densities (share of tokens at which a feature is active).

    log10_edges : edges of the bins, in powers of ten; rarer features count in the first bin.
    counts : features a bin.
    never : features active at no token, which are in no bin.
    """

    log10_edges: list[float]
    counts: list[int]
    never: int


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
    density: Density


@dataclass(frozen=True)
class CrossEntropy:
    """Mean next-token loss in nats a token: of the model untouched, with a layer's states replaced by the SAE's reconstruction, and by zero."""

    model: float
    sae: float
    zero: float
    n_tokens: int

    @property
    def recovered(self) -> float | None:
        """(zero - sae) / (zero - model): 1 if the reconstruction costs nothing, 0 if it is as bad as none. None if zeros cost nothing."""
        return (self.zero - self.sae) / (self.zero - self.model) if self.zero > self.model else None


def measure(sae: SAE, batches: Iterable[Float[Tensor, "tokens d_in"]]) -> Quality:
    """Measure a SAE on batches of hidden states; sums are kept in float64, memory grows with neither number nor size of the batches.

    Raises
    ------
    InputError
        If there are fewer than 2 tokens, or they are all alike.
    """
    error = square = 0.0
    total = torch.zeros(sae.d_in, dtype=torch.float64)
    active = torch.zeros(sae.n_features, dtype=torch.long)
    n_tokens = 0
    rows = max(1, _PREACTIVATIONS // sae.n_features)
    for x in (part for batch in batches for part in batch.split(rows)):
        codes, x_hat = sae.split(x)
        error += float((x - x_hat).double().square().sum())
        square += float(x.double().square().sum())
        total += x.double().sum(0).cpu()
        active += torch.bincount(codes.features, minlength=sae.n_features).cpu()
        n_tokens += len(x)
    if n_tokens < 2:
        raise InputError(
            f"{n_tokens} tokens with an ordinary norm: at least 2 are needed to measure a SAE; check that it was made for this model and layer"
        )
    variance = square - float(total.square().sum()) / n_tokens
    if not variance > 0:
        raise InputError(f"{n_tokens} tokens whose hidden states are all the same: a SAE cannot be measured on them; take a longer text")
    dead = int((active == 0).sum())
    return Quality(error / variance, int(active.sum()) / n_tokens, dead / sae.n_features, n_tokens, density(active.numpy(), n_tokens))


def density(active: Int[np.ndarray, " n_features"], n_tokens: int) -> Density:
    """Histogram of densities, from the number of tokens at which each feature is active."""
    share = active[active > 0] / n_tokens
    # Rounded, as the rarest feature of 1,000 tokens belongs in the bin that begins at 10^-3.
    place = np.clip(np.log10(share).round(9), DENSITY_EDGES[0], DENSITY_EDGES[-1])
    counts, _ = np.histogram(place, DENSITY_EDGES)
    return {"log10_edges": DENSITY_EDGES, "counts": counts.tolist(), "never": int((active == 0).sum())}


def record(quality: Quality, *, text: str, ce: CrossEntropy | None = None) -> dict[str, Any]:
    """The content of quality.json: all figures, and on which text they were measured, as a sentence."""
    return {**vars(quality), "ce_recovered": ce and ce.recovered, "ce": ce and asdict(ce), "text": text}
