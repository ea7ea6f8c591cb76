"""Maps of single features, against numpy's own correlation and convolution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from saebrain.design import haemodynamic_response
from saebrain.maps import contribution_map, correlation_map, deviation, dual_weights, group_t, haemodynamic, significant, standardised, weight_map

TR_S = 1.4


@pytest.fixture
def measured() -> np.ndarray:
    """A run as it comes from a scanner: 10,000 +- 50, drifting; vertex 3 has no data, vertex 5 is constant away from 0."""
    rng = np.random.default_rng(0)
    y = rng.normal(10_000, 50, (652, 40)) + np.linspace(0, 100, 652)[:, None]
    y[:, 3], y[:, 5] = 0, 1234.567
    return y.astype(np.float32)


def test_standardised(measured: np.ndarray) -> None:
    found = standardised(measured)
    assert found.dtype == np.float32
    assert not found[:, [3, 5]].any()
    y = np.delete(measured, [3, 5], axis=1).astype(float)
    np.testing.assert_allclose(np.delete(found, [3, 5], axis=1), (y - y.mean(axis=0)) / y.std(axis=0), atol=1e-3)


def test_deviation_of_values_far_from_zero(measured: np.ndarray) -> None:
    found = deviation(measured)
    assert found.dtype == np.float32
    assert np.flatnonzero(np.isnan(found)).tolist() == [3, 5]
    np.testing.assert_allclose(np.delete(found, [3, 5]), np.delete(measured.astype(float).std(axis=0), [3, 5]), rtol=1e-4)


def test_correlation_map_is_pearsons(measured: np.ndarray) -> None:
    course = np.sin(np.arange(652) / 9.0) + measured[:, 0] / 80
    x = standardised(course[:, None])[:, 0]
    found = correlation_map(x, measured, deviation(measured))
    assert found.dtype == np.float32
    assert np.flatnonzero(np.isnan(found)).tolist() == [3, 5]
    for v in (0, 1, 2, 4, 39):
        assert found[v] == pytest.approx(np.corrcoef(course, measured[:, v].astype(float))[0, 1], abs=1e-4)
    assert found[0] > 0.5


@pytest.mark.parametrize("lengths", [[120], [50, 10, 60]], ids=["one run", "one run shorter than the response"])
def test_haemodynamic_convolves_every_run_by_itself(lengths: list[int]) -> None:
    courses = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
    kernel = haemodynamic_response(np.arange(0, 32, TR_S))
    expected = [
        np.stack([np.convolve(column, kernel)[: len(part)] for column in part.T.astype(float)], axis=1)
        for part in np.split(courses, np.cumsum(lengths)[:-1])
    ]
    np.testing.assert_allclose(haemodynamic(courses, lengths, TR_S), np.concatenate(expected), atol=1e-6)


def test_haemodynamic_leaves_the_next_run_alone() -> None:
    courses = np.zeros((60, 1), np.float32)
    courses[29] = 1
    found = haemodynamic(courses, [30, 30], TR_S)
    assert not found[:29].any()
    assert not found[30:].any()


def test_group_t_is_students() -> None:
    maps = np.random.default_rng(0).normal(0.3, 1, (6, 40)).astype(np.float32)
    np.testing.assert_allclose(group_t(maps), stats.ttest_1samp(maps, 0).statistic, rtol=1e-4)
    assert np.isnan(group_t(maps[:1])).all() and np.isnan(group_t(np.ones((3, 2), np.float32))).all()


def test_contributions_of_all_columns_add_up_to_the_explained_variance() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 6)).astype(np.float32), rng.normal(size=(80, 3)).astype(np.float32)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    dual, power = dual_weights(x @ x.T, y, 2.0), (y**2).sum(axis=0)
    weights = weight_map(x, dual)
    np.testing.assert_allclose(weights, np.linalg.solve(x.T @ x + 2 * np.eye(6), x.T @ y), atol=1e-4)  # primal ridge
    parts = np.sum([contribution_map(x[:, [column]], weight_map(x[:, [column]], dual), y, power) for column in range(6)], axis=0)
    np.testing.assert_allclose(parts, ((x @ weights) * y).sum(axis=0) / power, rtol=1e-3)
    assert np.isnan(contribution_map(x, weights, np.zeros_like(y), np.zeros(y.shape[1]))).all()


def test_significance_holds_its_rate_and_finds_what_is_there() -> None:
    rng = np.random.default_rng(0)
    null = np.full(2000, 0.05)
    noise = rng.normal(0, 0.05, 2000)
    assert significant(noise, null).sum() <= 3
    noise[:100] += 0.4
    found = significant(noise, null)
    assert found[:100].mean() > 0.95 and found[100:].mean() < 0.02
    assert not significant(np.array([np.nan, 0.9]), np.array([0.1, np.nan])).any()
