"""Shuffled batches of hidden states from shards on disk, and the part that is held out.

A few tokens (a line break near the start of a window, say) carry norms a hundred times the others', in a few fixed
directions: one token in two thousand, and nine tenths of the variance. Rows above a norm limit are left out everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from saebrain.errors import InputError
from saebrain.shards import Shards

BUFFER_SHARDS = 8
NORM_LIMIT = 8.0
"""Limit for a hidden state's norm, as a multiple of the median norm."""


def split(shards: Shards, *, held_out: int = 1) -> tuple[list[int], list[int]]:
    """Numbers of the shards to train on, and of the last ``held_out``, which hold whole documents of their own."""
    if shards.count <= held_out:
        raise InputError(
            f"{shards.folder}: {shards.count} shard(s); at least {held_out + 1} are needed to hold {held_out} out, so collect more tokens"
        )
    return list(range(shards.count - held_out)), list(range(shards.count - held_out, shards.count))


def norm_limit(shards: Shards, layer: int) -> float:
    """The largest norm that counts as ordinary: ``NORM_LIMIT`` times the median over the first shard."""
    return NORM_LIMIT * float(np.median(np.linalg.norm(shards.read(layer, 0).astype(np.float32), axis=1)))


def shuffled(shards: Shards, layer: int, numbers: list[int], *, batch: int, seed: int, max_norm: float) -> Iterator[Float[Tensor, "batch d_model"]]:
    """Endless batches: shards in a new random order every epoch, tokens mixed within a buffer of a few shards.

    The order depends on ``seed`` alone. Memory is that of the buffer, ``BUFFER_SHARDS`` shards in half precision.

    Raises
    ------
    InputError
        If the shards hold no full batch.
    """
    rng = np.random.default_rng(seed)
    some = True
    while some:
        some = False
        order = rng.permutation(numbers)
        for first in range(0, len(order), BUFFER_SHARDS):
            buffer = np.concatenate([_ordinary(shards.read(layer, int(n)), max_norm) for n in order[first : first + BUFFER_SHARDS]])
            rows = rng.permutation(len(buffer))
            for at in range(0, len(rows) - batch + 1, batch):
                some = True
                yield torch.from_numpy(buffer[rows[at : at + batch]].astype(np.float32))
    raise InputError(f"{shards.folder}: fewer than {batch} tokens with an ordinary norm, not one batch; collect more tokens")


def in_order(shards: Shards, layer: int, numbers: list[int], *, max_norm: float, batch: int = 4096) -> Iterator[Float[Tensor, "batch d_model"]]:
    """All rows of some shards, once."""
    for number in numbers:
        rows = _ordinary(shards.read(layer, number), max_norm)
        for at in range(0, len(rows), batch):
            yield torch.from_numpy(rows[at : at + batch].astype(np.float32))


def _ordinary(rows: Float[np.ndarray, "tokens d_model"], max_norm: float) -> Float[np.ndarray, "kept d_model"]:
    return rows[np.linalg.norm(rows.astype(np.float32), axis=1) <= max_norm]
