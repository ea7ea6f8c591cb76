"""Batches for training: what is in them, in which order, and what is held out."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from saebrain.arrays import write_array
from saebrain.atomic import write_json
from saebrain.errors import InputError
from saebrain.sae import batches as module
from saebrain.sae.batches import NORM_LIMIT, in_order, norm_limit, shuffled, split
from saebrain.shards import Shards

LAYER, D = 4, 3
LENGTHS = (40, 24, 30, 26, 16)


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """Five shards whose rows can be told apart: (number of the row, number of the shard, 1)."""
    row = 0
    for number, length in enumerate(LENGTHS):
        states = np.ones((length, D), np.float16)
        states[:, 0], states[:, 1] = np.arange(row, row + length), number
        write_array(tmp_path / f"layer_{LAYER:02d}" / f"{number:05d}.npy", states)
        write_array(tmp_path / "tokens" / f"{number:05d}.npy", np.zeros(length, np.int32))
        row += length
    write_json(tmp_path / "index.json", {"layers": [LAYER], "d_model": D, "shard_tokens": LENGTHS})
    return Shards.open(tmp_path)


def rows(batches: Iterator[Tensor], count: int) -> list[int]:
    taken = list(itertools.islice(batches, count))
    assert all(batch.dtype == torch.float32 for batch in taken)
    return torch.cat(taken)[:, 0].int().tolist()


def test_the_last_shards_are_held_out(shards: Shards) -> None:
    assert split(shards) == ([0, 1, 2, 3], [4])
    assert split(shards, held_out=3) == ([0, 1], [2, 3, 4])
    with pytest.raises(InputError, match=r"5 shard\(s\); at least 6 are needed to hold 5 out, so collect more tokens"):
        split(shards, held_out=5)


def test_an_epoch_has_every_row_once_in_a_new_order(shards: Shards) -> None:
    training, _ = split(shards)
    batches = shuffled(shards, LAYER, training, batch=20, seed=0, max_norm=np.inf)
    first, second = rows(batches, 6), rows(batches, 6)
    assert sorted(first) == sorted(second) == list(range(120))
    assert first != second
    assert np.corrcoef(first, range(120))[0, 1] < 0.5


def test_rows_are_mixed_across_the_shards_of_a_buffer(shards: Shards) -> None:
    (batch,) = itertools.islice(shuffled(shards, LAYER, [0, 1, 2, 3], batch=60, seed=0, max_norm=np.inf), 1)
    assert len(batch[:, 1].unique()) == 4


def test_a_small_buffer_still_gives_every_row(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUFFER_SHARDS", 2)
    assert sorted(rows(shuffled(shards, LAYER, [0, 1, 2, 3], batch=2, seed=0, max_norm=np.inf), 60)) == list(range(120))


def test_the_order_depends_on_the_seed_alone(shards: Shards) -> None:
    orders = [rows(shuffled(shards, LAYER, [0, 1, 2, 3], batch=16, seed=seed, max_norm=np.inf), 12) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("passed", [0, 1, 5, 6, 7, 11, 12, 20])
def test_batches_go_on_from_any_place(shards: Shards, passed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two buffers an epoch, with two or three batches each."""
    monkeypatch.setattr(module, "BUFFER_SHARDS", 2)

    def fresh() -> module.Shuffled:
        return shuffled(shards, LAYER, [0, 1, 2, 3], batch=20, seed=3, max_norm=np.inf)

    whole, first, second = fresh(), fresh(), fresh()
    expected = rows(whole, 26)
    for _ in range(passed):
        next(first)
    second.start_at(first.position())
    assert rows(second, 26 - passed) == expected[20 * passed :]
    assert len(expected) > len(set(expected)) == 120  # more than one epoch, and nothing left out for ever


def test_a_place_is_of_json(shards: Shards) -> None:
    batches = shuffled(shards, LAYER, [0, 1, 2, 3], batch=20, seed=3, max_norm=np.inf)
    assert batches.position() == {"epoch": 0, "buffer": 0, "batch": 0}
    rows(batches, 8)
    assert json.loads(json.dumps(batches.position())) == {"epoch": 1, "buffer": 0, "batch": 2}


def test_a_damaged_shard_is_named_when_its_turn_comes(shards: Shards) -> None:
    shards.path(LAYER, 2).write_bytes(b"no array")
    with pytest.raises(InputError, match=r"00002\.npy: cannot be read"):
        next(shuffled(shards, LAYER, [0, 1, 2, 3], batch=20, seed=3, max_norm=np.inf))


def test_rows_above_the_norm_limit_are_left_out(shards: Shards) -> None:
    limit = float(np.linalg.norm([50, 1, 1])) + 0.01
    expected = [row for row in range(64) if np.linalg.norm([row, row >= 40, 1]) <= limit]
    assert expected == list(range(51))
    batches = shuffled(shards, LAYER, [0, 1], batch=17, seed=0, max_norm=limit)
    assert sorted(rows(batches, 3)) == expected
    assert torch.cat(list(in_order(shards, LAYER, [0, 1], max_norm=limit)))[:, 0].tolist() == expected


def test_norm_limit_is_a_multiple_of_the_median_of_the_first_shard(shards: Shards) -> None:
    norms = [np.sqrt(row**2 + 1) for row in range(40)]
    assert norm_limit(shards, LAYER) == pytest.approx(NORM_LIMIT * np.median(norms), rel=1e-6)


def test_rows_in_order(shards: Shards) -> None:
    batches = list(in_order(shards, LAYER, [3, 1], max_norm=np.inf, batch=10))
    assert [len(batch) for batch in batches] == [10, 10, 6, 10, 10, 4]
    assert torch.cat(batches)[:, 0].tolist() == [*range(94, 120), *range(40, 64)]


@pytest.mark.parametrize(("numbers", "max_norm"), [([4], np.inf), ([0, 1], 0.5)])
def test_too_few_rows_for_a_batch_are_refused(shards: Shards, numbers: list[int], max_norm: float) -> None:
    """Without this the endless loop would never yield."""
    with pytest.raises(InputError, match="fewer than 17 tokens with an ordinary norm, not one batch; collect more tokens"):
        next(shuffled(shards, LAYER, numbers, batch=17, seed=0, max_norm=max_norm))
