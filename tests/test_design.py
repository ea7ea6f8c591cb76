"""From words to samples, against sums written out by hand."""

from __future__ import annotations

import importlib.util
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from wordfreq import zipf_frequency

from saebrain import design
from saebrain.design import (
    delay_samples,
    delayed,
    downsampling,
    haemodynamic_response,
    haemodynamic_weights,
    nuisance,
    pool_tokens,
    sample_times,
    standardise,
)
from saebrain.errors import InputError

TR_S = 1.4
Pooling = Literal["sum", "mean", "max", "last"]


def word_rows(*words: str, language: str = "en") -> pd.DataFrame:
    return pd.DataFrame({"word": list(words), "language": [language] * len(words)})


def pooled_by_hand(dense: np.ndarray, word_of_token: np.ndarray, n_words: int, how: Pooling) -> np.ndarray:
    """Pool tokens x features over words, one word after the other."""
    rule = {"sum": lambda x: x.sum(axis=0), "mean": lambda x: x.mean(axis=0), "max": lambda x: x.max(axis=0), "last": lambda x: x[-1]}[how]
    rows = [dense[word_of_token == word] for word in range(n_words)]
    return np.stack([rule(row) if len(row) else np.zeros(dense.shape[1]) for row in rows])


@pytest.mark.parametrize("how", ["sum", "mean", "max", "last"])
def test_pooling_agrees_with_a_loop_over_words(how: Pooling) -> None:
    rng = np.random.default_rng(0)
    n_tokens, n_words, n_features = 60, 25, 7
    word_of_token = np.sort(rng.integers(0, n_words, n_tokens))  # some words have no token, some several
    assert len(np.unique(word_of_token)) < n_words
    word_of_token[rng.random(n_tokens) < 0.15] = -1  # tokens of no word
    dense = np.where(rng.random((n_tokens, n_features)) < 0.3, rng.exponential(size=(n_tokens, n_features)), 0).astype(np.float32)
    feature, token = np.nonzero(dense.T)  # by feature, then token: as codes are stored
    found = pool_tokens(feature, token, dense[token, feature], word_of_token, n_words=n_words, n_features=n_features, how=how)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), pooled_by_hand(dense, word_of_token, n_words, how), rtol=1e-6)


@pytest.mark.parametrize("how", ["sum", "mean", "max", "last"])
def test_pooling_of_no_codes_is_zero(how: Pooling) -> None:
    none = np.zeros(0, int)
    found = pool_tokens(none, none, np.zeros(0, np.float16), np.array([0, 0, 1]), n_words=2, n_features=3, how=how)
    assert found.shape == (2, 3)
    assert found.nnz == 0


def test_last_takes_nothing_from_earlier_tokens() -> None:
    """The feature is active at the first of a word's two tokens only: the last one has not got it."""
    word = np.array([0, 0, 1])
    found = pool_tokens(np.array([0, 0]), np.array([0, 2]), np.array([3.0, 5.0]), word, n_words=2, n_features=1, how="last")
    assert found.toarray().ravel().tolist() == [0, 5]


def test_lanczos_weights_are_the_formula() -> None:
    onset = np.array([0.0, 2.17, 9.8, 10.5])
    matrix = downsampling(onset, samples=12, tr_s=TR_S)
    for t in range(12):
        for word, s in enumerate(onset):
            x = ((t + 0.5) * TR_S - s) / TR_S
            a, b = np.pi * x, np.pi * x / 3
            expected = 0.0 if abs(x) >= 3 else 1.0 if x == 0 else np.sin(a) / a * np.sin(b) / b
            assert matrix[t, word] == pytest.approx(expected, abs=1e-12)


def test_lanczos_of_a_constant_rate_is_flat_away_from_the_edges() -> None:
    samples, per_sample = 40, 5
    onset = (np.arange(samples * per_sample) + 0.5) * TR_S / per_sample
    rate = downsampling(onset, samples=samples, tr_s=TR_S).sum(axis=1)
    inner = rate[4:-4]
    assert np.ptp(inner) < 1e-9
    assert inner.mean() == pytest.approx(per_sample, rel=0.02)
    assert abs(rate[0] - per_sample) > 0.1  # the kernel reaches over the edge, where there are no words


def test_lanczos_keeps_the_sum_over_words() -> None:
    rng = np.random.default_rng(0)
    onset = rng.uniform(10, 90, 200)
    np.testing.assert_allclose(downsampling(onset, samples=80, tr_s=TR_S).sum(axis=0), 1, atol=0.02)


def test_lanczos_lets_no_fast_rhythm_through() -> None:
    """A rate that rises and falls twice a sample lies above the cut-off: what is left of it is a hundredth, not an alias."""
    samples = 60
    onset = np.arange(0, samples * TR_S, 0.05)
    fast = 1 + np.cos(2 * np.pi * onset / (TR_S / 2))
    course = downsampling(onset, samples=samples, tr_s=TR_S) @ fast
    assert course[5:-5].std() / course[5:-5].mean() < 0.01


def test_sum_and_average_put_a_word_where_it_starts() -> None:
    onset = np.array([0.0, 1.39, 1.4, 5.0, 7.0])  # the last word starts as the five samples end
    value = np.array([1.0, 3.0, 10.0, 7.0, 100.0])
    summed = downsampling(onset, samples=5, tr_s=TR_S, how="sum") @ value
    mean = downsampling(onset, samples=5, tr_s=TR_S, how="average") @ value
    assert summed.tolist() == [4, 10, 0, 7, 0]
    assert mean.tolist() == [2, 10, 0, 7, 0]


def test_samples_stand_for_the_middle_of_their_interval() -> None:
    np.testing.assert_allclose(sample_times(3, 2.0), [1, 3, 5])


def test_delays_are_rounded_to_samples_once_each() -> None:
    assert delay_samples([7.0, 2.8, 4.2, 4.3, 5.6], TR_S) == [2, 3, 4, 5]
    assert delay_samples([0.0], TR_S) == [0]


def test_delayed_columns_are_shifted_copies() -> None:
    x = np.arange(1.0, 11.0).reshape(5, 2)
    found = delayed(x, [0, 2])
    np.testing.assert_array_equal(found[:, :2], x)
    np.testing.assert_array_equal(found[:, 2:], np.vstack([np.zeros((2, 2)), x[:3]]))


@pytest.mark.parametrize("delay", [3, 4, 9])
def test_delay_as_long_as_the_run_leaves_nothing(delay: int) -> None:
    assert not delayed(np.ones((3, 2)), [delay]).any()


@pytest.mark.parametrize("unit", [False, True])
def test_standardise(unit: bool) -> None:
    x = np.random.default_rng(0).normal(5, 3, (50, 4)).astype(np.float32)
    x[:, 1] = 0
    found = standardise(x, unit=unit)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    assert not found[:, 1].any()
    expected = stats.zscore(x[:, [0, 2, 3]]) if unit else x[:, [0, 2, 3]] - x[:, [0, 2, 3]].mean(axis=0)
    np.testing.assert_allclose(found[:, [0, 2, 3]], expected, atol=1e-5)


def test_unit_scaling_turns_a_constant_column_into_zeros() -> None:
    assert not standardise(np.full((30, 1), 1234.567, np.float32), unit=True).any()


def test_nuisance_bands_are_rate_letters_frequency_surprisal() -> None:
    words = word_rows("The", "lighthouse-keeper's", "“Oh!”", "42")
    surprisal = np.array([1.0, 9.5, 3.0, 0.25])
    found = nuisance(words, surprisal)
    assert found.shape == (4, len(design.NUISANCE))
    np.testing.assert_array_equal(found[:, 0], 1)
    np.testing.assert_array_equal(found[:, 1], [3, 17, 2, 2])
    np.testing.assert_allclose(found[:, 2], [zipf_frequency(word, "en") for word in words["word"]])
    np.testing.assert_array_equal(found[:, 3], surprisal)
    assert found[0, 2] > 7 > found[1, 2]  # "the" is the commonest word of all: 10 ** 7.7 a billion


def test_frequencies_are_those_of_the_words_language() -> None:
    found = nuisance(pd.concat([word_rows("und"), word_rows("und", language="de")]), np.zeros(2))[:, 2]
    assert found[1] > 7 > found[0] + 2


@pytest.mark.parametrize("language", ["cy", "xx", "eng"])
def test_language_without_frequencies_is_refused(language: str) -> None:
    """wordfreq would take those of the nearest language: for Welsh, English."""
    with pytest.raises(InputError, match=rf"language '{language}': no word frequencies; set `language`.* de, .*en, "):
        nuisance(word_rows("ar", language=language), np.zeros(1))


@pytest.mark.skipif(importlib.util.find_spec("jieba") is not None, reason="the Chinese dictionary is installed")
def test_language_that_needs_a_dictionary_names_the_package() -> None:
    with pytest.raises(InputError, match=r"need jieba; run: pip install"):
        nuisance(word_rows("家", language="zh"), np.zeros(1))


def test_haemodynamic_response_is_the_double_gamma_with_its_peak_at_5_s() -> None:
    t = np.arange(0, 32, 0.01)
    found = haemodynamic_response(t)
    expected = stats.gamma.pdf(t, 6) - stats.gamma.pdf(t, 16) / 6
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-12)
    assert found.sum() == pytest.approx(1)
    assert t[found.argmax()] == pytest.approx(5, abs=0.05)
    assert t[found.argmin()] == pytest.approx(15.5, abs=1)
    assert found.min() < 0


@pytest.mark.parametrize("tr_s", [0.5, 1.4, 2.0])
def test_haemodynamic_weights_sample_the_response_for_32_s(tr_s: float) -> None:
    weights = haemodynamic_weights(tr_s)
    assert len(weights) == np.ceil(32 / tr_s)
    t = np.arange(len(weights)) * tr_s
    expected = stats.gamma.pdf(t, 6) - stats.gamma.pdf(t, 16) / 6
    np.testing.assert_allclose(weights, expected / expected.sum(), atol=1e-12)
