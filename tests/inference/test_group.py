"""The sign-flip test against scipy, brute force and coverage."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from saebrain.errors import InputError
from saebrain.inference.group import sign_flip
from saebrain.inference.multiple import Sided


def draw(subjects: int, targets: int, *, centre: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, 1, size=(subjects, targets))


@pytest.mark.parametrize("sided", ["greater", "less", "two"])
@pytest.mark.parametrize("subjects", [2, 5, 9])
def test_exact_p_agrees_with_scipy(sided: Sided, subjects: int) -> None:
    x = draw(subjects, 6, centre=0.3)
    test = sign_flip(x, sided=sided)
    alternative = "two-sided" if sided == "two" else sided
    expected = stats.permutation_test(
        (x,), lambda z, axis: np.mean(z, axis=axis), permutation_type="samples", alternative=alternative, vectorized=True, n_resamples=np.inf
    ).pvalue
    np.testing.assert_allclose(test.p, expected)
    assert test.exact
    assert test.n_flips == 2**subjects - 1


def test_exact_p_with_ties_by_brute_force() -> None:
    """Whole numbers, of which many sums agree; 0.1 + 0.2 and 0.3 agree too, though not to the last bit."""
    x = np.array([[3, 0.1], [1, 0.2], [1, 0.3], [-1, 0.3], [2, 0.0], [2, -0.3]])
    expected = [np.mean([np.dot(signs, column) >= column.sum() - 1e-9 for signs in product([1, -1], repeat=6)]) for column in x.T]
    np.testing.assert_allclose(sign_flip(x).p, expected)


def test_t_agrees_with_scipy() -> None:
    x = draw(7, 5, centre=0.5)
    test, expected = sign_flip(x), stats.ttest_1samp(x, 0)
    np.testing.assert_allclose(test.t, expected.statistic)
    interval = expected.confidence_interval(0.95)
    np.testing.assert_allclose([test.t_low, test.t_high], [interval.low, interval.high])
    np.testing.assert_allclose(test.mean, x.mean(axis=0))


def test_interval_is_the_inverted_test() -> None:
    """Just inside its ends the two-sided test keeps the centre at 5%, just outside it rejects."""
    x = draw(8, 4, centre=0.4)
    test = sign_flip(x)
    for v in range(4):
        for end, outwards in ((test.low[v], -1e-6), (test.high[v], 1e-6)):
            inside, outside = (sign_flip(x[:, [v]] - (end + step), sided="two").p[0] for step in (-outwards, outwards))
            assert outside <= 0.05 < inside


def test_few_subjects_leave_the_interval_open() -> None:
    test = sign_flip(draw(5, 3))
    assert np.isneginf(test.low).all()
    assert np.isposinf(test.high).all()
    assert np.isfinite(test.t_low).all()
    assert np.isfinite(sign_flip(draw(6, 3)).low).all()
    assert sign_flip(np.ones((3, 1))).p[0] == 1 / 8  # three subjects cannot give less


@pytest.mark.parametrize("subjects", [7, 16])
def test_coverage_of_both_intervals(subjects: int) -> None:
    """Of 2,000 targets, 95% of the intervals hold the true centre."""
    x = draw(subjects, 2000, centre=0.7, seed=1)
    test = sign_flip(x, n=800)
    for low, high in ((test.low, test.high), (test.t_low, test.t_high)):
        assert np.mean((low <= 0.7) & (high >= 0.7)) == pytest.approx(0.95, abs=0.02)


def test_many_subjects_are_flipped_at_random_with_the_true_order_counted() -> None:
    x = draw(20, 500, seed=2)
    test = sign_flip(x, n=999)
    assert not test.exact
    assert test.n_flips == 999
    assert test.p.min() >= 1 / 1000
    assert np.mean(test.p <= 0.05) == pytest.approx(0.05, abs=0.03)
    np.testing.assert_allclose(test.p, stats.ttest_1samp(x, 0, alternative="greater").pvalue, atol=0.06)
    np.testing.assert_array_equal(test.p, sign_flip(x, n=999).p)


def test_family_wise_error_and_power() -> None:
    families = [sign_flip(draw(8, 30, seed=seed)).p_max.min() <= 0.05 for seed in range(300)]
    assert 0.02 < np.mean(families) < 0.09
    x = draw(10, 30, seed=3)
    x[:, 4] += 4
    assert sign_flip(x).p_max[4] < 0.05
    assert np.sum(sign_flip(x).p_max < 0.05) == 1


def test_blocks_of_targets_do_not_show() -> None:
    x = draw(6, 5000, seed=4)
    x[0, 17] = np.nan
    test, part = sign_flip(x), sign_flip(x[:, 2040:2060])
    np.testing.assert_allclose(test.p[2040:2060], part.p)
    np.testing.assert_allclose(test.low[2040:2060], part.low)
    for values in (test.mean, test.t, test.p, test.p_max, test.low, test.t_high):
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(values)), [17])
    assert test.p_max[0] >= test.p[0]


def test_subjects_that_agree_exactly_and_zeros() -> None:
    test = sign_flip(np.column_stack([np.full(6, 2.0), np.zeros(6)]))
    assert np.isposinf(test.t[0])
    assert test.p[0] == 1 / 64
    assert test.t[1] == 0
    assert test.p[1] == 1


def test_one_subject_says_so() -> None:
    with pytest.raises(InputError, match=r"group test of an array of shape \(1, 4\)"):
        sign_flip(np.zeros((1, 4)))
    with pytest.raises(InputError, match="level 95"):
        sign_flip(draw(3, 2), level=95)
