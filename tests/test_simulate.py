"""Planted responses: what the noise keeps of the real recording, and what is planted where."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from scipy import signal

from saebrain import simulate
from saebrain.design import haemodynamic_response, sample_times
from saebrain.errors import InputError
from saebrain.simulate import convolved, phase_randomised, plant, respond, resting_bold
from saebrain.surface.atlas import desikan_killiany

ATLAS = desikan_killiany()
PREDICTED = {"semantic/place": ["parahippocampal", "precuneus"], "semantic/social": ["precuneus", "temporalpole"]}


@pytest.fixture(scope="module")
def resting() -> np.ndarray:
    return resting_bold()


@pytest.fixture(scope="module")
def some(resting: np.ndarray) -> np.ndarray:
    """60 vertices of the recording, five of them without data."""
    data = resting.any(axis=0)
    rng = np.random.default_rng(0)
    return resting[:, np.concatenate([rng.choice(np.flatnonzero(data), 55, replace=False), rng.choice(np.flatnonzero(~data), 5, replace=False)])]


def test_recording_is_standardised_bold_on_fsaverage5(resting: np.ndarray) -> None:
    assert resting.shape == (652, 20_484)
    assert resting.dtype == np.float32
    data = resting.any(axis=0)
    assert 0.08 < np.mean(~data) < 0.1  # the medial wall, and little more
    np.testing.assert_allclose(resting[:, data].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(resting[:, data].std(axis=0), 1, atol=1e-4)
    lag_one = np.einsum("ij,ij->j", resting[1:, data], resting[:-1, data]) / 652
    assert np.median(lag_one) > 0.9  # slow, as BOLD at rest is


@pytest.mark.parametrize("samples", [652, 651])
def test_surrogate_keeps_variance_covariance_and_autocovariance(some: np.ndarray, samples: int) -> None:
    x = some[:samples].astype(float)
    y = phase_randomised(some[:samples], np.random.default_rng(1)).astype(float)
    assert y.shape == x.shape
    np.testing.assert_allclose(y.mean(axis=0), x.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(y.std(axis=0), x.std(axis=0), atol=1e-4)
    for lag in (0, 1, 2, 5, 20, 100):  # circular, as the spectrum has it; between every two vertices
        covariance, expected = (z.T @ np.roll(z, lag, axis=0) / samples for z in (y - y.mean(axis=0), x - x.mean(axis=0)))
        np.testing.assert_allclose(covariance, expected, atol=1e-4)
    assert np.abs(expected).max() > 0.05  # there was something to keep
    assert not y[:, 55:].any()


def test_surrogate_is_another_course(some: np.ndarray) -> None:
    """Its correlation with the recording scatters around 0; two surrogates are as far from each other."""
    x = some[:, :55]
    surrogates = [phase_randomised(x, np.random.default_rng(seed)) for seed in range(40)]
    r = np.array([(x * y).mean() for y in surrogates])
    assert abs(r.mean()) < 4 * r.std() / np.sqrt(40)
    assert r.std() < 0.15
    assert abs((surrogates[0] * surrogates[1]).mean()) < 0.5


def test_same_seed_same_surrogate(some: np.ndarray) -> None:
    first, again, other = (phase_randomised(some, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first, other, atol=0.1)


def test_convolved_is_the_sum_of_responses_to_the_words() -> None:
    """Against responses at the exact onsets, filtered with the same filter in another form."""
    rng = np.random.default_rng(0)
    onset, value = np.sort(rng.uniform(0, 900, 400)), rng.exponential(size=400)
    found = convolved(onset, value, samples=652, tr_s=1.4)
    since = sample_times(652, 1.4)[:, None] - onset
    grid = np.arange(0, 32, 0.001)
    response = np.interp(since, grid, haemodynamic_response(grid), left=0, right=0)
    b, a = signal.butter(2, simulate.BAND_HZ, "bandpass", fs=1 / 1.4)
    expected = signal.filtfilt(b, a, response @ value)
    assert np.corrcoef(found, expected)[0, 1] > 0.999
    assert found.mean() == pytest.approx(0, abs=1e-9)
    assert found.std() == pytest.approx(1)


def test_convolved_lags_a_block_of_words_by_five_to_six_seconds() -> None:
    tr_s, samples = 0.5, 1800
    onset = np.concatenate([np.arange(start, start + 20, 0.4) for start in range(40, 840, 50)])
    course = convolved(onset, np.ones(len(onset)), samples=samples, tr_s=tr_s)
    block = np.histogram(onset, np.arange(samples + 1) * tr_s)[0].astype(float)
    lags = np.arange(-20, 40)
    r = [np.corrcoef(course[100:-100], np.roll(block, lag)[100:-100])[0, 1] for lag in lags]
    assert max(r) > 0.8
    assert 4.5 <= lags[int(np.argmax(r))] * tr_s <= 6.5


def test_convolved_of_nothing_is_zero() -> None:
    onset = np.arange(0.0, 800.0)
    assert not convolved(onset, np.zeros(800), samples=652, tr_s=1.4).any()
    assert not convolved(onset + 1000, np.ones(800), samples=652, tr_s=1.4).any()  # all after the end
    assert not convolved(np.zeros(0), np.zeros(0), samples=652, tr_s=1.4).any()


def test_strength_zero_is_the_noise_bit_for_bit(some: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    found = respond(some, rng.normal(size=(652, 3)), rng.exponential(size=(3, 60)).astype(np.float32), 0.0)
    assert found.dtype == np.float32
    assert found.tobytes() == some.tobytes()


def test_respond_adds_the_weighted_signals_where_there_is_data(some: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    signals, weights = rng.normal(size=(652, 3)), rng.exponential(size=(3, 60)).astype(np.float32)
    found = respond(some, signals, weights, 0.5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, :55], some[:, :55] + 0.5 * signals @ weights[:, :55], atol=1e-5)
    assert not found[:, 55:].any()


def test_weights_are_positive_inside_the_predicted_parcels_and_zero_outside() -> None:
    truth = plant(["a", "b"], ATLAS.labels, list(ATLAS.parcels), PREDICTED, np.random.default_rng(0))
    assert truth.signals == [*PREDICTED, "word rate", "surprisal"]
    assert truth.parcels == {**PREDICTED, "word rate": list(simulate.AUDITORY), "surprisal": list(simulate.FRONTAL_LANGUAGE)}
    for weights in truth.weights.values():
        for row, name in enumerate(truth.signals):
            inside = np.zeros(len(ATLAS.labels), bool)
            for parcel in truth.parcels[name]:
                inside |= ATLAS.mask("left", parcel) | ATLAS.mask("right", parcel)
            assert inside.sum() > 200
            assert (weights[row, inside] > 0).all()
            assert not weights[row, ~inside].any()
            assert np.median(weights[row, inside]) == pytest.approx(1, abs=0.3)


def test_weights_vary_between_subjects_parcels_and_vertices() -> None:
    truth = plant(["a", "b"], ATLAS.labels, list(ATLAS.parcels), PREDICTED, np.random.default_rng(0))
    a, b = (truth.weights[subject][0, ATLAS.mask("left", "precuneus")] for subject in "ab")
    assert a.std() > 0.1
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.2
    again = plant(["a", "b"], ATLAS.labels, list(ATLAS.parcels), PREDICTED, np.random.default_rng(0))
    for subject in "ab":
        np.testing.assert_array_equal(again.weights[subject], truth.weights[subject])


def test_missing_recording_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"'brainspace' is not installed; run: pip install --no-deps -r requirements-demo\.txt"):
        resting_bold()
