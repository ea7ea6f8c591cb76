"""Hidden states made of known directions."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

# Threads gain nothing on so little data, and on a busy machine they wait for one another.
torch.set_num_threads(1)

D, TRUE, ACTIVE = 24, 32, 3


def directions() -> Tensor:
    """Of unit norm; the seed is not one of those that weights are drawn with."""
    return normalize(torch.randn(TRUE, D, generator=torch.Generator().manual_seed(100)), dim=1)


def batches(*, seed: int = 1, size: int = 512, scale: float = 1.0, shift: float = 0.0) -> Iterator[Tensor]:
    """Endless sums of ACTIVE of the directions with positive weights."""
    generator, planted = torch.Generator().manual_seed(seed), directions()
    while True:
        which = torch.rand(size, TRUE, generator=generator).topk(ACTIVE, dim=1).indices
        weight = torch.zeros(size, TRUE).scatter(1, which, 0.5 + torch.rand(size, ACTIVE, generator=generator))
        yield scale * (weight @ planted) + shift


def batch(seed: int, **options: float) -> Tensor:
    """The first of them."""
    size = int(options.pop("size", 512))
    return next(batches(seed=seed, size=size, **options))
