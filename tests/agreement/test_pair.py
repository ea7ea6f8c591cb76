"""Two annotators: published examples to the printed digits, other packages on random tables, and coverage of the interval."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from irrCAC.table import CAC
from jaxtyping import Int
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from saebrain.agreement.pair import agreement, items_needed, kappa, log_interval, one_against_rest
from saebrain.errors import InputError

Counts = Int[np.ndarray, "categories categories"]


@st.composite
def tables(draw: st.DrawFn) -> Counts:
    """Confusion tables of 1 to 5 categories, often with empty rows or a single category in use."""
    q = draw(st.integers(1, 5))
    cell = st.integers(0, draw(st.sampled_from([1, 3, 40])))
    return np.array(draw(st.lists(st.lists(cell, min_size=q, max_size=q), min_size=q, max_size=q)))


def labels_of(counts: Counts) -> tuple[list[int], list[int]]:
    """The two annotators' labels, item by item."""
    rows, columns = np.nonzero(counts)
    times = counts[rows, columns]
    return np.repeat(rows, times).tolist(), np.repeat(columns, times).tolist()


def test_fleiss_cohen_everitt_example() -> None:
    found = agreement(np.array([[0, 4, 1], [0, 8, 0], [0, 1, 5]]))
    assert (round(found.kappa, 4), round(found.se, 4)) == (0.4842, 0.1380)
    assert (round(found.ci_low, 4), round(found.ci_high, 4)) == (0.2137, 0.7547)
    assert round(found.z, 4) == 3.2626


def test_kappa_and_ac1_example() -> None:
    found = agreement(np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]]))
    assert (round(found.kappa, 3), round(found.ac1, 3)) == (0.796, 0.849)


@pytest.mark.parametrize(("counts", "expected"), [([[40, 9], [6, 45]], 0.70), ([[80, 10], [5, 5]], 0.32)])
def test_prevalence_paradox(counts: list[list[int]], expected: float) -> None:
    """The same observed agreement, and less than half the kappa; PABAK does not move."""
    found = agreement(np.array(counts))
    assert round(found.kappa, 2) == expected
    assert found.percent == pytest.approx(0.85)
    assert found.pabak == pytest.approx(0.70)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(tables())
def test_other_packages_agree(counts: Counts) -> None:
    found = agreement(counts)
    n, margins = counts.sum(), (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    if n == 0 or margins.sum() < 2:
        assert math.isnan(found.kappa) and math.isnan(found.se) and math.isnan(found.log_low)
        return
    first, second = labels_of(counts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found.kappa == pytest.approx(cohen_kappa_score(first, second), abs=1e-9)
        theirs = cohens_kappa(counts)
        if math.isnan(theirs.std_kappa):  # their variance of 0 was rounded to less
            assert found.se == 0
        else:
            assert found.se == pytest.approx(theirs.std_kappa, abs=1e-7)
            assert found.ci_low == pytest.approx(theirs.kappa_low, abs=1e-7)
            assert found.ci_high == pytest.approx(theirs.kappa_upp, abs=1e-7)
        if theirs.std_kappa0 > 0:
            assert found.z == pytest.approx(theirs.z_value, rel=1e-6, abs=1e-9)
        used = counts[np.ix_(margins, margins)]
        assert agreement(used).ac1 == pytest.approx(CAC(pd.DataFrame(used)).gwet()["est"]["coefficient_value"], abs=1e-4)
    assert found.percent == pytest.approx(np.trace(counts) / n)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(tables())
def test_intervals_are_in_order_and_end_at_one(counts: Counts) -> None:
    found = agreement(counts)
    if math.isnan(found.kappa):
        return
    assert found.log_low <= found.kappa + 1e-12 and found.kappa <= found.log_high + 1e-12
    assert found.log_high <= 1 + 1e-12
    assert found.boot_low <= found.boot_high <= 1


def test_undefined_is_nan_and_never_zero() -> None:
    for counts in (np.zeros((3, 3), int), np.array([[7]]), np.array([[7, 0], [0, 0]])):
        found = agreement(counts)
        assert math.isnan(found.kappa) and math.isnan(found.ci_low) and math.isnan(found.z)
        assert items_needed(counts, 0.74) is None


@pytest.mark.parametrize("counts", [np.zeros((2, 3), int), np.array([[1, -1], [0, 1]]), np.zeros(4, int)])
def test_no_confusion_table(counts: np.ndarray) -> None:
    with pytest.raises(InputError, match="give a square table of counts"):
        agreement(counts)


@pytest.mark.parametrize("true_kappa", [0.6, 0.7, 0.8, 0.9])
def test_the_interval_covers_what_it_says(true_kappa: float) -> None:
    """2,000 studies of 100 items each at every kappa: the true one lies inside in 93 to 97 of 100."""
    margin = np.array([0.4, 0.3, 0.2, 0.1])
    shares = true_kappa * np.diag(margin) + (1 - true_kappa) * np.outer(margin, margin)
    draws = np.random.default_rng(7).multinomial(100, shares.ravel(), size=2000).reshape(-1, 4, 4)
    intervals = np.array([log_interval(counts) for counts in draws])
    covered = np.mean((intervals[:, 0] <= true_kappa) & (true_kappa <= intervals[:, 1]))
    assert 0.93 <= covered <= 0.97


def test_bootstrap_is_near_the_interval_and_seeded() -> None:
    counts = np.array([[60, 5, 5], [6, 50, 4], [3, 7, 60]])
    found = agreement(counts, seed=3)
    assert found.boot_low == pytest.approx(found.log_low, abs=0.03)
    assert found.boot_high == pytest.approx(found.log_high, abs=0.03)
    assert agreement(counts, seed=3) == found != agreement(counts, seed=4)


def test_one_category_against_the_rest() -> None:
    counts = np.array([[5, 1, 2], [3, 7, 0], [1, 1, 9]])
    np.testing.assert_array_equal(one_against_rest(counts, 1), [[7, 3], [2, 17]])


@pytest.mark.parametrize("counts", [[[45, 3], [3, 49]], [[60, 4, 1], [3, 50, 2], [2, 1, 40]]])
def test_items_needed_bring_the_bound_over_the_goal(counts: list[list[int]]) -> None:
    table = np.array(counts)
    goal = kappa(table)[0] - 0.04
    needed = items_needed(table, goal)
    assert needed is not None and needed > table.sum()
    for n, above in ((needed * 1.02, True), (needed * 0.98, False)):
        assert (log_interval(np.rint(table * (1000 * n / table.sum())).astype(int))[0] > goal) or not above
        value, se, _ = kappa(table)
        scaled = se * math.sqrt(table.sum() / n)
        assert (1 - (1 - value) * math.exp(1.959964 * scaled / (1 - value)) > goal) == above
    assert items_needed(table, kappa(table)[0] + 0.01) is None
    assert items_needed(100 * table, goal) == 100 * table.sum()


def test_items_needed_when_all_agree() -> None:
    needed = items_needed(np.diag([3, 3]), 0.74)
    assert needed is not None
    half = needed / 2
    assert log_interval(np.diag([math.ceil(half), math.ceil(half)]))[0] > 0.74 > log_interval(np.diag([int(half) - 2, int(half) - 2]))[0]
