"""Shifts and block permutations: what they keep, what they break, how many there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saebrain.errors import InputError
from saebrain.inference.orders import block_permutations, circular_shifts, n_shifts
from saebrain.inference.runs import run_slices


def shifts_of(order: np.ndarray, lengths: list[int]) -> tuple[int, ...]:
    """By how much each run was turned; checks that it was turned and nothing else."""
    found = []
    for run, length in zip(run_slices(lengths), lengths, strict=True):
        shift = int(-(order[run.start] - run.start) % length)
        np.testing.assert_array_equal(order[run], run.start + np.roll(np.arange(length), shift))
        found.append(shift)
    return tuple(found)


@given(st.lists(st.integers(10, 40), min_size=1, max_size=4), st.integers(0, 4), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_every_run_is_turned_by_an_allowed_shift_and_no_two_draws_agree(lengths: list[int], minimum: int, seed: int) -> None:
    orders = circular_shifts(lengths, 30, minimum=minimum, seed=seed)
    assert len(orders) == min(30, n_shifts(lengths, minimum))
    shifts = [shifts_of(order, lengths) for order in orders]
    assert len(set(shifts)) == len(shifts)
    assert tuple([0] * len(lengths)) not in shifts
    for shift, length in zip(np.transpose(shifts), lengths, strict=True):
        assert shift.min() >= minimum
        assert shift.max() <= length - max(minimum, 1)


def test_the_number_of_distinct_shifts_bounds_the_draws() -> None:
    every = circular_shifts([8, 9], 1000, minimum=3, seed=0)
    assert {shifts_of(order, [8, 9]) for order in every} == set(itertools.product([3, 4, 5], [3, 4, 5, 6]))
    assert n_shifts([8, 9], 3) == 12
    assert len(circular_shifts([7], 100, minimum=0, seed=0)) == n_shifts([7], 0) == 6


def test_more_runs_than_can_be_numbered() -> None:
    lengths = [652] * 9
    assert n_shifts(lengths, 13) == 627**9 > 2**63
    shifts = np.array([shifts_of(order, lengths) for order in circular_shifts(lengths, 200, minimum=13, seed=0)])
    assert shifts.min() >= 13
    assert shifts.max() <= 639
    assert len(np.unique(shifts, axis=0)) == 200


def test_shifts_are_uniform() -> None:
    shifts = np.array([shifts_of(order, [100, 80]) for order in circular_shifts([100, 80], 3000, minimum=10, seed=0)])
    for column, size in zip(shifts.T, (81, 61), strict=True):
        counts = np.bincount(column - 10, minlength=size)
        assert ((counts - 3000 / size) ** 2 / (3000 / size)).sum() < size + 5 * np.sqrt(2 * size)  # chi squared


def test_blocks_stay_whole_and_within_their_run() -> None:
    lengths = [100, 63]
    orders = block_permutations(lengths, 50, length=20, seed=0)
    for order in orders:
        for run, length in zip(run_slices(lengths), lengths, strict=True):
            part = order[run] - run.start
            np.testing.assert_array_equal(np.sort(part), np.arange(length))
            seams = np.sum(np.diff(np.append(part, part[0])) % length != 1)
            assert seams <= length // 20
    assert len(np.unique(orders, axis=0)) == 50


def test_blocks_cut_at_every_place() -> None:
    """The sample after a cut is any sample: without the random offset it would always be one of three."""
    orders = block_permutations([60], 400, length=20, seed=0)
    after = {int(part[t]) for part in orders for t in range(1, 60) if (part[t] - part[t - 1]) % 60 != 1}
    assert len(after) == 60


def test_same_seed_same_orders() -> None:
    for draw in (
        lambda seed: circular_shifts([50, 50], 20, minimum=5, seed=seed),
        lambda seed: block_permutations([50, 50], 20, length=10, seed=seed),
    ):
        np.testing.assert_array_equal(draw(1), draw(1))
        assert (draw(1) != draw(2)).any()


def test_runs_too_short_say_what_to_do() -> None:
    with pytest.raises(InputError, match="run of 20 samples: no shift is 11 samples away from 0 both ways; bring longer runs"):
        circular_shifts([100, 20], 10, minimum=11, seed=0)
    with pytest.raises(InputError, match="blocks of 10 samples in a run of 29: 3 or more must fit"):
        block_permutations([100, 29], 10, length=10, seed=0)
