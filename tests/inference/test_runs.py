"""Columns by run, against scipy."""

from __future__ import annotations

import numpy as np
from scipy import stats

from saebrain.inference.runs import mean_correlation, run_slices, unit

LENGTHS = [30, 20, 25]


def test_mean_correlation_is_pearsons_r_run_by_run() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 75, 4)) + np.repeat([0.0, 50.0, -20.0], LENGTHS)[:, None]
    expected = [np.mean([stats.pearsonr(a[run, v], b[run, v]).statistic for run in run_slices(LENGTHS)]) for v in range(4)]
    np.testing.assert_allclose(mean_correlation(a, b, LENGTHS), expected, atol=1e-12)


def test_a_run_that_does_not_vary_counts_as_zero() -> None:
    a = np.random.default_rng(0).normal(size=(75, 1))
    b = a.copy()
    b[30:50] = 7.3
    np.testing.assert_allclose(mean_correlation(a, b, LENGTHS), 2 / 3)


def test_unit_columns_keep_float32_and_are_zero_where_constant() -> None:
    x = np.column_stack([np.random.default_rng(0).normal(size=75), np.full(75, 1e4)]).astype(np.float32)
    z = unit(x, LENGTHS)
    assert z.dtype == np.float32
    assert not z[:, 1].any()
    np.testing.assert_allclose([np.sum(z[run, 0] ** 2) for run in run_slices(LENGTHS)], 1, atol=1e-5)
