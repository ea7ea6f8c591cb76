"""Folds: whole groups, even sizes, the same for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.items.folds import Folds, assign


def test_shuffled_folds_are_even_and_seeded() -> None:
    groups = np.arange(103)
    fold = assign(groups, 5, seed=[0])
    assert sorted(np.bincount(fold)) == [20, 20, 21, 21, 21]
    assert (fold == assign(groups, 5, seed=[0])).all()
    assert (fold != assign(groups, 5, seed=[1])).mean() > 0.5
    assert (np.diff(fold) != 0).mean() > 0.5  # neighbours are apart


def test_contiguous_folds_are_stretches_of_the_table() -> None:
    fold = assign(np.arange(11), 3, seed=None)
    assert fold.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("contiguous", [False, True])
def test_groups_stay_together(contiguous: bool) -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 23, 200) * 7
    for split in Folds(seed=3, repeats=1 if contiguous else 3, contiguous=contiguous).divide(groups):
        assert set(split.outer) == set(range(5))
        assert np.bincount(split.outer).max() < 80
        for group in np.unique(groups):
            assert len(set(split.outer[groups == group])) == 1
        for fold, inner in enumerate(split.inner):
            outside = groups[split.outer != fold]
            assert len(inner) == len(outside)
            assert set(inner) == set(range(5))
            for group in np.unique(outside):
                assert len(set(inner[outside == group])) == 1


@pytest.mark.parametrize("sizes", [[50, 1, 1], [1, 1, 50], [1, 50, 1], [30, 30, 1, 1, 1]])
@pytest.mark.parametrize("seed", [None, [0]])
def test_a_large_group_leaves_no_fold_empty(sizes: list[int], seed: list[int] | None) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    fold = assign(groups, 3, seed=seed)
    assert set(fold) == {0, 1, 2}
    if seed is None:
        assert (np.diff(fold) >= 0).all()


def test_groups_of_all_sizes_fill_folds_evenly() -> None:
    sizes = [1] * 40 + [20, 20, 20]
    for seed in range(5):
        assert np.bincount(assign(np.repeat(np.arange(43), sizes), 5, seed=[seed])).tolist() == [20] * 5


def test_every_repeat_and_every_fold_has_a_division_of_its_own() -> None:
    splits = Folds(seed=0, repeats=3).divide(np.arange(100))
    assert len({tuple(split.outer) for split in splits}) == 3
    assert len({tuple(inner) for split in splits for inner in split.inner}) == 15
    (second,) = Folds(seed=1).divide(np.arange(100))
    assert (second.outer == splits[1].outer).all()


def test_too_few_groups() -> None:
    with pytest.raises(InputError, match="4 different texts or groups to divide into 5 folds"):
        Folds().divide(np.repeat(np.arange(4), 50))
    with pytest.raises(InputError, match="4 different texts or groups to divide into 5 folds"):
        Folds().divide(np.repeat(np.arange(5), 50))  # four are left to choose among


@pytest.mark.parametrize("options", [{"outer": 1}, {"inner": 1}, {"repeats": 0}, {"seed": -1}, {"contiguous": True, "repeats": 2}])
def test_impossible_divisions(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Folds(**options)
