"""Any number of annotators: published examples, other packages on random tables."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import krippendorff
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from irrCAC.raw import CAC
from jaxtyping import Float, Int
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from saebrain.agreement.several import alpha_interval, fleiss_interval, fleiss_kappa, krippendorff_alpha

Statistic = Callable[[np.ndarray], float]
Interval = Callable[[np.ndarray], tuple[float, float]]

# Fleiss 1971, table 1: 30 patients, 6 psychiatrists, 5 diagnoses.
PATIENTS = """
0 0 0 6 0 | 0 3 0 0 3 | 0 1 4 0 1 | 0 0 0 0 6 | 0 3 0 3 0 | 2 0 4 0 0 | 0 0 4 0 2 | 2 0 3 1 0 | 2 0 0 4 0 | 0 0 0 0 6
1 0 0 5 0 | 1 1 0 4 0 | 0 3 3 0 0 | 1 0 0 5 0 | 0 2 0 3 1 | 0 0 5 0 1 | 3 0 0 1 2 | 5 1 0 0 0 | 0 2 0 4 0 | 1 0 2 0 3
0 0 0 0 6 | 0 1 0 5 0 | 0 2 0 1 3 | 2 0 0 4 0 | 1 0 0 4 1 | 0 5 0 1 0 | 4 0 0 0 2 | 0 2 0 4 0 | 1 0 5 0 0 | 0 0 0 0 6
"""
# Krippendorff's example with missing labels: 3 observers, 15 units.
OBSERVERS = ["* * * * * 3 4 1 2 1 1 3 3 * 3", "1 * 2 1 3 3 4 3 * * * * * * *", "* * 2 1 3 4 4 * 2 1 1 3 3 * 4"]


def counted(labels: Float[np.ndarray, "annotators items"], q: int) -> Int[np.ndarray, "items categories"]:
    return np.stack([(labels == category).sum(axis=0) for category in range(q)], axis=1)


def test_fleiss_example() -> None:
    counts = np.array([[int(n) for n in patient.split()] for line in PATIENTS.split("\n") for patient in line.split("|") if patient.strip()])
    assert counts.shape == (30, 5) and (counts.sum(axis=1) == 6).all()
    assert round(fleiss_kappa(counts), 4) == 0.4302


def test_krippendorff_example() -> None:
    labels = np.array([[math.nan if label == "*" else int(label) - 1 for label in row.split()] for row in OBSERVERS])
    assert round(krippendorff_alpha(counted(labels, 4)), 3) == 0.691


@st.composite
def studies(draw: st.DrawFn) -> Float[np.ndarray, "annotators items"]:
    """Labels 0 to 3 of 2 to 5 annotators on 1 to 20 items; NaN is a gap."""
    shape = draw(st.integers(2, 5)), draw(st.integers(1, 20))
    label = st.one_of(st.integers(0, draw(st.integers(0, 3))), st.none()) if draw(st.booleans()) else st.integers(0, 3)
    row = st.lists(label, min_size=shape[1], max_size=shape[1])
    return np.array(draw(st.lists(row, min_size=shape[0], max_size=shape[0])), float)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(studies())
def test_other_packages_agree(labels: Float[np.ndarray, "annotators items"]) -> None:
    counts = counted(labels, 4)
    pairable = counts[counts.sum(axis=1) >= 2]
    ours = krippendorff_alpha(counts)
    if (pairable.sum(axis=0) > 0).sum() < 2:
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(krippendorff.alpha(labels, level_of_measurement="nominal"), abs=1e-9)
    in_use = counts[counts.sum(axis=1) >= 1]
    if len(pairable) == 0 or (in_use.sum(axis=0) > 0).sum() < 2:
        assert math.isnan(fleiss_kappa(counts))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not np.isnan(labels).any():
            assert fleiss_kappa(counts) == pytest.approx(statsmodels_fleiss(counts), abs=1e-9)
        theirs = CAC(pd.DataFrame(labels.T)).fleiss()["est"]["coefficient_value"]
        assert fleiss_kappa(counts) == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize(("interval", "statistic"), [(fleiss_interval, fleiss_kappa), (alpha_interval, krippendorff_alpha)])
def test_intervals_are_those_of_resampled_items(interval: Interval, statistic: Statistic) -> None:
    """Items drawn one by one, with gaps among their labels."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 80)
    said = np.where(rng.random((80, 4)) < 0.75, truth[:, None], rng.integers(0, 3, (80, 4)))
    counts = np.stack([((said == k) & (rng.random((80, 4)) < 0.8)).sum(axis=1) for k in range(3)], axis=1)
    drawn = [statistic(counts[rng.integers(0, 80, 80)]) for _ in range(2000)]
    low, high = interval(counts)
    assert low < statistic(counts) < high
    np.testing.assert_allclose([low, high], np.quantile(drawn, [0.025, 0.975]), atol=0.02)


def test_intervals_of_nothing_are_undefined() -> None:
    for counts in (np.zeros((0, 2), int), np.array([[1, 0], [0, 1]]), np.array([[2, 0], [3, 0]])):
        assert all(math.isnan(end) for interval in (fleiss_interval, alpha_interval) for end in interval(counts))
