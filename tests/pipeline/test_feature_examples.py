"""Examples of a feature at every level of activation, and near misses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from saebrain.errors import MissingStepError
from saebrain.pipeline.feature_examples import APART, by_interval, near_misses
from saebrain.store import FeatureStore, write_table
from tests.test_store import N_FEATURES, Tables, tables

__all__ = ["tables"]


def test_intervals_are_equal_and_hold_every_activation() -> None:
    rng = np.random.default_rng(0)
    token, value = np.arange(0, 30_000, 10), rng.gamma(2, 1, 3000).astype(np.float32)
    found = by_interval(token, value, seed=3)
    assert [interval.low for interval in found] == pytest.approx(np.arange(4, -1, -1) * value.max() / 5)
    assert sum(interval.count for interval in found) == len(value)
    level = dict(zip(token.tolist(), value.tolist(), strict=True))
    for interval in found:
        assert all(interval.low <= level[token] <= interval.high for token in interval.tokens.tolist())
        assert len(interval.tokens) == min(5, interval.count)
        inside = [v for v in level.values() if interval.low < v <= interval.high]
        assert interval.count == len(inside)


def test_same_seed_same_examples_other_seed_others() -> None:
    token, value = np.arange(0, 90_000, 9), np.linspace(0.1, 5, 10_000).astype(np.float32)
    one, again, other = (np.concatenate([i.tokens for i in by_interval(token, value, seed=seed)]) for seed in (1, 1, 2))
    assert one.tolist() == again.tolist() != other.tolist()


def test_examples_are_apart() -> None:
    for interval in by_interval(np.arange(50), np.ones(50, np.float32), seed=0):
        assert (np.diff(np.sort(interval.tokens)) >= APART).all()


def test_silent_feature_has_no_examples() -> None:
    assert all(not len(interval.tokens) for interval in by_interval(np.empty(0, int), np.empty(0, np.float32), seed=0))


def write_neighbours(tables: Tables, kind: str = "decoder") -> FeatureStore:
    pairs = [(f, kind, 3, (f + n) % N_FEATURES, 1 - n / 10) for f in range(N_FEATURES) for n in (1, 2, 3)]
    write_table(tables.layer / "neighbours.parquet", pd.DataFrame(pairs, columns=["feature", "kind", "layer", "other", "similarity"]))
    return tables.open()


@pytest.mark.parametrize("width", [(0, 0), (2, 1)])
def test_near_misses_are_peaks_of_neighbours_at_which_the_feature_is_silent(tables: Tables, width: tuple[int, int]) -> None:
    store, seen = write_neighbours(tables), 0
    for feature in range(N_FEATURES):
        found = near_misses(store, feature, before=width[0], after=width[1])
        for row in found.itertuples():
            assert (tables.dense[max(0, row.token - width[0]) : row.token + width[1] + 1, feature] == 0).all()
            assert tables.dense[row.token, row.other] == np.float16(row.value) > 0
            assert (row.other - feature) % N_FEATURES in (1, 2, 3)
            seen += 1
        assert found["token"].is_unique
    assert seen > 20


def test_other_kinds_of_neighbours_do_not_count(tables: Tables) -> None:
    assert near_misses(write_neighbours(tables, "coactive"), 3, before=0, after=0).empty


def test_missing_neighbours_are_told_with_the_command(tables: Tables) -> None:
    with pytest.raises(MissingStepError, match="run: python -m saebrain neighbours"):
        near_misses(tables.open(), 3, before=0, after=0)
