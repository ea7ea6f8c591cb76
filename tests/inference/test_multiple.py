"""p values and corrections against scipy, statsmodels and definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.multitest import multipletests

from saebrain.inference.multiple import Sided, fdr, max_statistic, p_values


def test_p_never_below_one_over_one_more_than_the_draws() -> None:
    null = np.random.default_rng(0).normal(size=(99, 3))
    np.testing.assert_allclose(p_values(np.array([1e9, -1e9, np.nan]), null), [1 / 100, 1, np.nan])
    np.testing.assert_allclose(p_values(np.array([1e9, -1e9, np.nan]), null, "less"), [1, 1 / 100, np.nan])
    np.testing.assert_allclose(p_values(np.array([1e9, -1e9, np.nan]), null, "two"), [2 / 100, 2 / 100, np.nan])


def test_ties_count_as_extreme_and_so_do_draws_without_a_value() -> None:
    assert p_values(np.array([1.0]), np.array([[1.0], [1.0], [0.0]]))[0] == 3 / 4
    assert p_values(np.array([1.0]), np.array([[np.nan], [0.0], [0.0]]))[0] == 2 / 4


@pytest.mark.parametrize("sided", ["greater", "less", "two"])
def test_p_agrees_with_scipy_permutation_test(sided: Sided) -> None:
    """The same draws, from scipy's independent implementation of pairing permutations."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 40))
    y += 0.3 * x
    alternative = "two-sided" if sided == "two" else sided
    found = stats.permutation_test(
        (y,), lambda z: stats.pearsonr(x, z).statistic, permutation_type="pairings", n_resamples=500, alternative=alternative, rng=rng
    )
    assert p_values(np.array(found.statistic), found.null_distribution, sided) == pytest.approx(found.pvalue)


@given(arrays(float, st.integers(1, 60), elements=st.floats(0, 1) | st.sampled_from([0.01, 0.05, np.nan])))
@settings(max_examples=100, deadline=None)
def test_fdr_agrees_with_statsmodels_and_scipy(p: np.ndarray) -> None:
    q, known = fdr(p), ~np.isnan(p)
    np.testing.assert_array_equal(np.isnan(q), ~known)
    if known.any():
        np.testing.assert_allclose(q[known], multipletests(p[known], method="fdr_bh")[1], atol=1e-12)
        np.testing.assert_allclose(q[known], stats.false_discovery_control(p[known]), atol=1e-12)


def test_fdr_keeps_the_shape() -> None:
    p = np.random.default_rng(0).random((4, 5))
    np.testing.assert_allclose(fdr(p).ravel(), fdr(p.ravel()))


def test_max_statistic_is_the_share_of_larger_maxima() -> None:
    rng = np.random.default_rng(0)
    null, observed = rng.normal(size=(199, 6)), rng.normal(1.5, 1, size=6)
    expected = [(1 + sum(max(draw) >= x for draw in null)) / 200 for x in observed]
    np.testing.assert_allclose(max_statistic(observed, null), expected)
    np.testing.assert_allclose(max_statistic(-observed, -null, "less"), expected)


def test_step_down_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    null, observed = rng.normal(size=(199, 8)), rng.normal(1.0, 1.5, size=8)
    order = np.argsort(-observed)
    expected, so_far = np.empty(8), 0.0
    for place, target in enumerate(order):
        rest = null[:, order[place:]].max(axis=1)
        so_far = max(so_far, (1 + np.sum(rest >= observed[target])) / 200)
        expected[target] = so_far
    np.testing.assert_allclose(max_statistic(observed, null, step_down=True), expected)
    assert (max_statistic(observed, null, step_down=True) <= max_statistic(observed, null)).all()


def test_unknown_targets_stay_out_of_the_maximum() -> None:
    null = np.random.default_rng(0).normal(size=(99, 3))
    observed = np.array([2.0, np.nan, 0.5])
    with_unknown = null.copy()
    with_unknown[:, 1] = 1e6
    p = max_statistic(observed, with_unknown)
    np.testing.assert_allclose(p[[0, 2]], max_statistic(observed[[0, 2]], null[:, [0, 2]]))
    assert np.isnan(p[1])


def test_standardised_targets_with_a_wide_null_do_not_decide_for_all() -> None:
    rng = np.random.default_rng(0)
    null = rng.normal(size=(999, 10)) * np.array([10.0] + [1.0] * 9)
    observed = np.array([0.0, 5.0] + [0.0] * 8)
    assert max_statistic(observed, null)[1] > 0.2
    assert max_statistic(observed, null, standardise=True)[1] < 0.01
    assert max_statistic(-observed, null, "two")[1] < 0.01


@pytest.mark.parametrize("step_down", [False, True])
def test_family_wise_error_of_dependent_targets(step_down: bool) -> None:
    """One false positive or more in about 5% of families; uncorrected it would be in far more."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(10, 10)) + 1
    families = [(mix @ rng.normal(size=(10, 200))).T for _ in range(400)]
    corrected = np.mean([(max_statistic(x[0], x[1:], step_down=step_down, standardise=True) <= 0.05).any() for x in families])
    assert 0.02 < corrected < 0.085
    assert np.mean([(p_values(x[0], x[1:]) <= 0.05).any() for x in families]) > 0.1
