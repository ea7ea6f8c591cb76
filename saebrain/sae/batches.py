"""Shuffled batches of hidden states from shards on disk, and the part that is held out.

A few tokens (a line break near the start of a window, say) carry norms a hundred times the others', in a few fixed
directions: one token in two thousand, and nine tenths of the variance. Rows above a norm limit are left out everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from saebrain.errors import InputError
from saebrain.shards import Shards

BUFFER_SHARDS = 8
NORM_LIMIT = 8.0
"""Limit for a hidden state's norm, as a multiple of the median norm."""
SAMPLE_SHARDS = 4
_ROWS = 8192
"""Rows whose norms are computed at a time."""


def split(shards: Shards, *, held_out: int = 1) -> tuple[list[int], list[int]]:
    """Numbers of the shards to train on, and of the last ``held_out``, which hold whole documents of their own."""
    if shards.count <= held_out:
        raise InputError(
            f"{shards.folder}: {shards.count} shard(s); at least {held_out + 1} are needed to hold {held_out} out, so collect more tokens"
        )
    return list(range(shards.count - held_out)), list(range(shards.count - held_out, shards.count))


def norm_limit(shards: Shards, layer: int) -> float:
    """The largest norm that counts as ordinary: ``NORM_LIMIT`` times the median over the first shard."""
    return NORM_LIMIT * float(np.median(_norms(torch.from_numpy(np.array(shards.read(layer, 0)))).numpy()))


def shuffled(shards: Shards, layer: int, numbers: list[int], *, batch: int, seed: int, max_norm: float, device: str = "cpu") -> Shuffled:
    """Endless batches of the ordinary rows of some shards."""
    return Shuffled(shards, layer, numbers, batch, seed, max_norm, torch.device(device))


@dataclass
class _Place:
    """Of a batch: its epoch, the buffer in that epoch, the batch in that buffer; all counted from 0."""

    epoch: int = 0
    buffer: int = 0
    batch: int = 0


class Shuffled(Iterator[Tensor]):
    """Endless batches: shards in a new random order every epoch, tokens mixed within a buffer of a few shards.

    The order depends on ``seed`` alone, and each epoch and buffer draws its own from it: iteration can begin at any place
    without what comes before, as a resumed training run does. Rows that do not fill a buffer's last batch are left out of
    that epoch. The next buffer is read while this one is used; memory is that of both, in half precision, the one in use
    on ``device``.

    Raises
    ------
    InputError
        When iterated, if the shards hold no full batch.
    """

    def __init__(self, shards: Shards, layer: int, numbers: list[int], batch: int, seed: int, max_norm: float, device: torch.device) -> None:
        self.shards, self.layer, self.numbers = shards, layer, numbers
        self.batch, self.seed, self.max_norm, self.device = batch, seed, max_norm, device
        self._place = _Place()
        self._batches = self._read()

    def __next__(self) -> Float[Tensor, "batch d_model"]:
        return next(self._batches)

    def position(self) -> dict[str, int]:
        """Place of the batch that comes next."""
        return asdict(self._place)

    def start_at(self, position: dict[str, int]) -> None:
        """Go on there."""
        self._place = _Place(**position)
        self._batches = self._read()

    def _read(self) -> Iterator[Float[Tensor, "batch d_model"]]:
        idle_since = self._place.epoch
        with ThreadPoolExecutor(1) as reader:
            reading: Future[Float[Tensor, "rows d_model"]] = reader.submit(self._buffer, self._place.epoch, self._place.buffer)
            while self._place.epoch - idle_since < 2:
                place, rows = self._place, reading.result().to(self.device)
                last = place.buffer + 1 == self._buffers
                after = _Place(place.epoch + 1) if last else _Place(place.epoch, place.buffer + 1)
                reading = reader.submit(self._buffer, after.epoch, after.buffer)
                order = torch.from_numpy(self._random(place.epoch, 1 + place.buffer).permutation(len(rows))).to(self.device)
                for number in range(place.batch, len(order) // self.batch):
                    idle_since = place.epoch
                    self._place = _Place(place.epoch, place.buffer, number + 1)
                    yield rows[order[number * self.batch : (number + 1) * self.batch]].float()
                self._place = after
        raise InputError(f"{self.shards.folder}: fewer than {self.batch} tokens with an ordinary norm, not one batch; collect more tokens")

    @property
    def _buffers(self) -> int:
        """Buffers in an epoch."""
        return -(-len(self.numbers) // BUFFER_SHARDS)

    def _buffer(self, epoch: int, buffer: int) -> Float[Tensor, "rows d_model"]:
        """The ordinary rows of the shards that are together in a buffer."""
        order = self._random(epoch, 0).permutation(self.numbers)
        chosen: Int[np.ndarray, " shards"] = order[buffer * BUFFER_SHARDS : (buffer + 1) * BUFFER_SHARDS]
        return torch.cat([_ordinary(self.shards.read(self.layer, int(number)), self.max_norm) for number in chosen])

    def _random(self, epoch: int, draw: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, draw])


def sample(shards: Shards, layer: int, numbers: list[int], *, seed: int, max_norm: float, size: int = 16_384) -> Float[Tensor, "sample d_model"]:
    """Ordinary rows drawn from a few of the shards, ``size`` of them if there are so many."""
    rng = np.random.default_rng([seed, 0, 0, 0])
    chosen = rng.permutation(numbers)[:SAMPLE_SHARDS]
    rows = torch.cat([_ordinary(shards.read(layer, int(number)), max_norm) for number in chosen])
    return rows[torch.from_numpy(rng.permutation(len(rows))[:size])].float()


def in_order(shards: Shards, layer: int, numbers: list[int], *, max_norm: float, batch: int = 4096) -> Iterator[Float[Tensor, "batch d_model"]]:
    """All ordinary rows of some shards, once."""
    for number in numbers:
        for part in _ordinary(shards.read(layer, number), max_norm).split(batch):
            yield part.float()


def _ordinary(rows: Float[np.ndarray, "tokens d_model"], max_norm: float) -> Float[Tensor, "kept d_model"]:
    read = torch.from_numpy(np.array(rows))
    return read[_norms(read) <= max_norm]


def _norms(rows: Float[Tensor, "tokens d_model"]) -> Float[Tensor, " tokens"]:
    return torch.cat([part.float().norm(dim=1) for part in rows.split(_ROWS)])
