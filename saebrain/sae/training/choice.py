"""Which features of a batch are computed: the strongest of each token, of the whole batch, or those above a threshold."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from saebrain.sae.training.pattern import DENSE_ABOVE, Full, Pattern, Sparse

SAMPLE = 65_536
"""Pre-activations from which a threshold or a density is estimated."""
PIECE = 1 << 22
"""Pre-activations compared at a time: the result stays in the cache until it has been read."""


def top_of_rows(score: Float[Tensor, "tokens features"], k: int) -> tuple[Sparse, Float[Tensor, " places"]]:
    """The k largest of each token: where, and how large."""
    values, features = score.topk(k, dim=1, sorted=False)
    offsets = torch.arange(0, features.numel() + 1, k, device=score.device)
    return Sparse.of(offsets, features.view(-1), score.shape[1]), values.view(-1)


def top_of_batch(score: Float[Tensor, "tokens features"], count: int) -> tuple[Sparse, Float[Tensor, " places"]]:
    """The ``count`` largest positive ones of all tokens together (with those that tie with the last): where, and how large."""
    sample = _sample(score)
    # Half as many again as are wanted, so that the estimate may err; a sixteen-sigma margin at k = 32 of 4,096.
    wanted = min(len(sample), math.ceil(1.5 * count / score.numel() * len(sample)) + 8)
    low = max(0.0, float(sample.kthvalue(len(sample) - wanted + 1).values))
    places = _above(score, low)
    if len(places) < count and low > 0:
        places = _above(score, 0.0)
    values = score.view(-1)[places]
    if len(places) > count:
        kept = values >= values.kthvalue(len(values) - count + 1).values
        places, values = places[kept], values[kept]
    return _pattern(places, score), values


def above(z: Float[Tensor, "tokens features"], threshold: Float[Tensor, " features"] | float) -> tuple[Pattern, Tensor]:
    """All above a threshold, or every place if so many are that dense products are faster: where, and how large."""
    step = _stride(z)
    sampled = threshold if isinstance(threshold, float) else threshold[torch.arange(0, z.numel(), step, device=z.device) % z.shape[1]]
    if float((z.view(-1)[::step] > sampled).float().mean()) > DENSE_ABOVE:
        return Full(), z
    places = _above(z, threshold)
    return _pattern(places, z), z.view(-1)[places]


def _pattern(places: Int[Tensor, " places"], z: Float[Tensor, "tokens features"]) -> Sparse:
    n = z.shape[1]
    rows = places // n
    counts = torch.bincount(rows, minlength=len(z))
    return Sparse.of(torch.cat([counts.new_zeros(1), counts.cumsum(0)]), places - rows * n, n)


def _above(z: Float[Tensor, "tokens features"], threshold: Float[Tensor, " features"] | float) -> Int[Tensor, " places"]:
    """Flat positions of all above a threshold, ascending."""
    height = max(1, PIECE // z.shape[1])
    return torch.cat([_true(piece > threshold) + at * height * z.shape[1] for at, piece in enumerate(z.split(height))])


def _true(mask: Tensor) -> Int[Tensor, " places"]:
    """Flat positions of true entries. Where few are true, eight at a time are looked at as one integer."""
    flat = mask.view(-1)
    if len(flat) % 8:
        return flat.nonzero()[:, 0]
    words = flat.view(torch.int64).nonzero()[:, 0]
    word, byte = flat.view(-1, 8)[words].nonzero(as_tuple=True)
    return words[word] * 8 + byte


def _stride(z: Tensor) -> int:
    """A step through a matrix that meets all columns alike."""
    step = max(1, z.numel() // SAMPLE)
    while math.gcd(step, z.shape[1]) > 1:
        step += 1
    return step


def _sample(z: Tensor) -> Float[Tensor, " sample"]:
    return z.view(-1)[:: _stride(z)].float()
