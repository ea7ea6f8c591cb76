"""Autocorrelation against statsmodels and the theory of AR(1); lengths on real BOLD."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal
from statsmodels.tsa.stattools import acf

from saebrain.errors import InputError
from saebrain.inference.autocorrelation import autocorrelation, block_length, decorrelation_length, effective_samples
from saebrain.simulate import resting_bold


def ar1(phi: float, samples: int, columns: int, seed: int = 0) -> np.ndarray:
    return signal.lfilter([1], [1, -phi], np.random.default_rng(seed).normal(size=(samples + 200, columns)), axis=0)[200:]


def test_one_run_agrees_with_statsmodels() -> None:
    x = ar1(0.7, 300, 3)
    expected = np.stack([acf(column, nlags=40, fft=False) for column in x.T], axis=1)
    np.testing.assert_allclose(autocorrelation(x, [300], 40), expected, atol=1e-10)


def test_runs_are_pooled_and_their_border_is_not_crossed() -> None:
    """Products summed pair by pair; a jump between the runs' means leaves no trace."""
    x = np.concatenate([ar1(0.5, 80, 1), ar1(0.5, 50, 1, seed=1) + 100])
    halves = [x[:80, 0] - x[:80, 0].mean(), x[80:, 0] - x[80:, 0].mean()]
    lags = [sum(z[t] * z[t + k] for z in halves for t in range(len(z) - k)) for k in range(6)]
    np.testing.assert_allclose(autocorrelation(x, [80, 50], 5)[:, 0], np.array(lags) / lags[0], atol=1e-10)


def test_constant_column_has_none_and_is_left_out_of_the_length() -> None:
    x = ar1(0.9, 2000, 4)
    with_constant = np.column_stack([x, np.full(2000, 3.0)])
    assert np.isnan(autocorrelation(with_constant, [2000], 5)[:, 4]).all()
    assert decorrelation_length(with_constant, [2000]) == decorrelation_length(x, [2000])


@pytest.mark.parametrize("phi", [0.5, 0.8, 0.95])
def test_length_of_ar1_is_where_phi_to_the_k_is_a_twentieth(phi: float) -> None:
    expected = np.log(0.05) / np.log(phi)
    assert decorrelation_length(ar1(phi, 20_000, 20), [10_000, 10_000]) == pytest.approx(expected, rel=0.2, abs=1)


def test_length_of_white_noise_is_one_and_of_a_trend_half_a_run() -> None:
    assert decorrelation_length(np.random.default_rng(0).normal(size=(500, 50)), [250, 250]) == 1
    assert decorrelation_length(np.linspace(0, 1, 30)[:, None], [30]) < 15
    assert decorrelation_length(np.linspace(0, 1, 30)[:, None], [30], level=-0.9) == 15


def test_lengths_on_resting_bold() -> None:
    """As stated in the docstrings: 9 samples of 1.4 s, and blocks of 45."""
    bold = resting_bold()[:, ::40]
    assert decorrelation_length(bold, [len(bold)]) == 9
    assert block_length(bold, [len(bold)]) == 45


def test_effective_samples_give_the_scatter_of_chance_correlations() -> None:
    x, y = ar1(0.9, 400, 1500), ar1(0.9, 400, 1500, seed=1)
    scatter = np.std([np.corrcoef(a, b)[0, 1] for a, b in zip(x.T, y.T, strict=True)])
    assert 1 / scatter**2 == pytest.approx(effective_samples(x, [400]), rel=0.1)
    assert effective_samples(np.random.default_rng(0).normal(size=(400, 200)), [200, 200]) == pytest.approx(400, rel=0.02)
    bold = resting_bold()[:, ::40]
    assert effective_samples(bold, [len(bold)]) == pytest.approx(75, abs=3)


def test_run_lengths_that_do_not_fit_say_so() -> None:
    with pytest.raises(InputError, match=r"autocorrelation: 30 samples for run lengths \[10, 10\]"):
        autocorrelation(np.zeros((30, 1)), [10, 10], 3)
