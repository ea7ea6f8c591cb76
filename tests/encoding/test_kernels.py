"""Kernels against explicit designs."""

from __future__ import annotations

import numpy as np
import pytest

from saebrain.design import haemodynamic_response
from saebrain.encoding.kernels import Fir, Hrf, finished, linear_kernel, moved, respond
from saebrain.encoding.layout import Layout
from saebrain.errors import InputError
from tests.encoding.problems import DELAYS, UNEQUAL, by_run, centred, delayed_columns, delayed_design, unit_trace

HRF = Hrf(tuple(haemodynamic_response(np.arange(0, 32, 1.4)).tolist()))


def convolved_columns(x: np.ndarray, lengths: list[int]) -> np.ndarray:
    return np.concatenate([np.column_stack([np.convolve(column, HRF.weights)[: len(part)] for column in part.T]) for part in by_run(x, lengths)])


@pytest.mark.parametrize("lengths", [[40, 40, 40], UNEQUAL])
def test_kernel_of_delays_is_that_of_the_delayed_design(lengths: list[int]) -> None:
    x = np.random.default_rng(0).normal(size=(sum(lengths), 9)).astype(np.float32)
    X = delayed_design(x, lengths)
    found = finished(linear_kernel(x), Layout.by_run(lengths), DELAYS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, X @ X.T, atol=2e-5)
    assert np.trace(found) / len(found) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("lengths", [[40, 40, 40], UNEQUAL])
def test_kernel_of_the_canonical_response_is_that_of_the_convolved_design(lengths: list[int]) -> None:
    x = np.random.default_rng(0).normal(size=(sum(lengths), 9)).astype(np.float32)
    X = unit_trace(centred(convolved_columns(x.astype(float), lengths), lengths))
    np.testing.assert_allclose(finished(linear_kernel(x), Layout.by_run(lengths), HRF), X @ X.T, atol=2e-5)


@pytest.mark.parametrize("response", [DELAYS, HRF])
def test_trimming_comes_after_the_haemodynamic_response(response: Fir | Hrf) -> None:
    """What is cut off still has its effect on the samples that stay."""
    x = np.random.default_rng(0).normal(size=(sum(UNEQUAL), 5)).astype(np.float32)
    columns = delayed_columns(x, UNEQUAL, response.delays) if isinstance(response, Fir) else convolved_columns(x, UNEQUAL)
    kept = [part[5:-3] for part in by_run(columns, UNEQUAL)]
    X = unit_trace(centred(np.concatenate(kept), [len(part) for part in kept]))
    found = finished(linear_kernel(x), Layout.by_run(UNEQUAL, trim=(5, 3)), response)
    np.testing.assert_allclose(found, X @ X.T, atol=2e-5)


def test_blocks_are_centred_each_by_itself_and_delays_cross_them() -> None:
    x = np.random.default_rng(0).normal(size=(90, 5)).astype(np.float32)
    layout = Layout.contiguous([90], 4, gap=4)
    columns = delayed_columns(x, [90], DELAYS.delays)
    X = unit_trace(centred(columns, [segment.stop - segment.start for segment in layout.segments]))
    np.testing.assert_allclose(finished(linear_kernel(x), layout, DELAYS), X @ X.T, atol=2e-5)


@pytest.mark.parametrize("response", [DELAYS, HRF])
def test_an_impulse_at_the_end_of_a_run_is_not_in_the_next(response: Fir | Hrf) -> None:
    x = np.zeros((60, 1), np.float32)
    x[18] = 1  # a delay of 1 sample stays in the first run, those of 2 and more would leave it
    found = respond(linear_kernel(x), (20, 20, 20), response)
    assert found[19, 19] > 0
    assert not found[20:].any()
    assert not found[:, 20:].any()


@pytest.mark.parametrize("delays", [(0,), (0, 19), (1, 30)])
def test_delays_of_nothing_and_beyond_the_run(delays: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    X = delayed_design(x, [20, 20, 20], tuple(d for d in delays if d < 20))
    np.testing.assert_allclose(finished(linear_kernel(x), Layout.by_run([20, 20, 20]), Fir(delays)), X @ X.T, atol=2e-5)


def test_response_longer_than_the_run() -> None:
    x = np.random.default_rng(0).normal(size=(36, 3)).astype(np.float32)
    expected = convolved_columns(x, [12, 12, 12])
    np.testing.assert_allclose(respond(linear_kernel(x), (12, 12, 12), HRF), expected @ expected.T, atol=1e-4)


def test_longest_lag() -> None:
    assert Fir((2, 5, 3)).longest == 5
    assert HRF.longest == 22  # 30.8 s


def test_kernel_of_silent_features_is_refused() -> None:
    with pytest.raises(InputError, match=r"no feature that is active in the stimulus; choose"):
        finished(np.zeros((45, 45), np.float32), Layout.by_run([15, 15, 15]), DELAYS)


@pytest.mark.parametrize("count", [1, 3])
def test_moving_features_between_categories_equals_making_both_anew(count: int) -> None:
    x = np.random.default_rng(0).normal(size=(60, 20)).astype(np.float32)
    source, target = moved(linear_kernel(x[:, :12]), linear_kernel(x[:, 12:]), x[:, :count])
    np.testing.assert_allclose(source, linear_kernel(x[:, count:12]), atol=2e-5)
    np.testing.assert_allclose(target, linear_kernel(np.hstack([x[:, :count], x[:, 12:]])), atol=2e-5)
    change = linear_kernel(x[:, 12:]) - target
    assert np.linalg.matrix_rank(change, tol=1e-3) == count
