"""From words and tokens to samples: pooling, downsampling, delays, standardising. Nothing crosses a run.

Time is in seconds from the start of a run; sample t is the volume acquired from t TR to (t + 1) TR, and stands for the
middle of that interval.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse

from saebrain.errors import InputError

LANCZOS_LOBES = 3
HRF_S = 32.0
"""Seconds after which the haemodynamic response is over."""
NUISANCE = ("word rate", "word length", "word frequency", "surprisal")


def sample_times(samples: int, tr_s: float) -> Float[np.ndarray, " samples"]:
    """Middle of every sample, in seconds."""
    return (np.arange(samples) + 0.5) * tr_s


def pool_tokens(
    feature: Int[np.ndarray, " codes"],
    token: Int[np.ndarray, " codes"],
    value: Float[np.ndarray, " codes"],
    word_of_token: Int[np.ndarray, " tokens"],
    *,
    n_words: int,
    n_features: int,
    how: Literal["sum", "mean", "max", "last"] = "sum",
) -> sparse.csr_array:
    """Sparse codes of tokens -> one value a word and feature, (n_words, n_features).

    ``word_of_token`` gives the word of each token; tokens of no word have -1 and are left out. ``last`` takes the
    word's last token, where a causal model has read all of it.
    """
    word = word_of_token[token]
    keep = word >= 0
    if how == "last":
        last = np.full(n_words, -1)
        last[word_of_token[word_of_token >= 0]] = np.flatnonzero(word_of_token >= 0)
        keep &= token == last[word]
    feature, value, word = feature[keep], value[keep].astype(np.float32), word[keep]
    shape = (n_words, n_features)
    if how == "max":
        order = np.lexsort((value, feature, word))
        cell = word[order].astype(np.int64) * n_features + feature[order]
        largest = np.append(cell[1:] != cell[:-1], True) if len(cell) else np.zeros(0, bool)
        chosen = order[largest]
        return sparse.csr_array((value[chosen], (word[chosen], feature[chosen])), shape=shape)
    pooled = sparse.csr_array((value, (word, feature)), shape=shape)  # entries of one cell are summed
    if how == "mean":
        tokens_of_word = np.maximum(np.bincount(word_of_token[word_of_token >= 0], minlength=n_words), 1)
        pooled = sparse.diags_array((1.0 / tokens_of_word).astype(np.float32)) @ pooled
    return pooled.tocsr()


def downsampling(
    onset_s: Float[np.ndarray, " words"], *, samples: int, tr_s: float, how: Literal["lanczos", "average", "sum"] = "lanczos"
) -> Float[np.ndarray, "samples words"]:
    """The matrix that takes one value a word to one value a sample.

    ``lanczos`` (Huth et al. 2016): a word at onset s weighs sinc(x) sinc(x / 3) in the sample at t, x = (t - s) / TR, for
    |x| < 3: a low-pass filter with cut-off 1 / TR that keeps the sum over words. ``sum`` and ``average`` put a word into
    the sample in which it starts.
    """
    if how == "lanczos":
        x = (sample_times(samples, tr_s)[:, None] - onset_s[None, :]) / tr_s
        near = np.abs(x) < LANCZOS_LOBES
        weights = np.zeros_like(x)
        weights[near] = np.sinc(x[near]) * np.sinc(x[near] / LANCZOS_LOBES)
        return weights
    weights = np.zeros((samples, len(onset_s)))
    sample = np.floor(onset_s / tr_s).astype(int)
    inside = sample < samples
    weights[sample[inside], np.flatnonzero(inside)] = 1.0
    if how == "average":
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    return weights


def haemodynamic_response(t_s: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """Double-gamma response with a peak at 5 s and an undershoot at 15 s (Glover 1999), of unit sum on the given grid."""
    response = t_s**5 * np.exp(-t_s) / math.gamma(6) - t_s**15 * np.exp(-t_s) / math.gamma(16) / 6
    return np.asarray(response / response.sum())


def haemodynamic_weights(tr_s: float) -> Float[np.ndarray, " lags"]:
    """The response at lags of whole samples, for `HRF_S` seconds."""
    return haemodynamic_response(np.arange(0, HRF_S, tr_s))


def delay_samples(delays_s: list[float], tr_s: float) -> list[int]:
    """Delays in seconds as whole samples, each once, ascending."""
    return sorted({round(delay / tr_s) for delay in delays_s})


def delayed(x: Float[np.ndarray, "samples columns"], delays: list[int]) -> Float[np.ndarray, "samples delayed_columns"]:
    """Copies of one run's columns, each shifted later by a delay in samples; zeros come in at the start."""
    out = np.zeros((len(x), len(delays) * x.shape[1]), dtype=x.dtype)
    for index, d in enumerate(delays):
        out[d:, index * x.shape[1] : (index + 1) * x.shape[1]] = x[: max(len(x) - d, 0)]
    return out


def standardise(x: Float[np.ndarray, "samples columns"], *, unit: bool, margin: float = 1e-6) -> Float[np.ndarray, "samples columns"]:
    """Centre the columns of one run; with ``unit`` divide by their standard deviation too. Constant columns become 0."""
    centred = x - x.mean(axis=0)
    if not unit:
        return centred
    deviation = centred.std(axis=0)
    constant = deviation <= margin * np.maximum(np.abs(x).max(axis=0), 1.0)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, deviation)).astype(x.dtype)


def nuisance(words: pd.DataFrame, surprisal_bits: Float[np.ndarray, " words"]) -> Float[np.ndarray, "words 4"]:
    """What any word carries whatever it means, one column per name in ``NUISANCE``.

    A constant (word rate after downsampling), the number of letters, the Zipf frequency (log10 of occurrences per
    billion words, from wordfreq) and the surprisal in bits.

    Raises
    ------
    InputError
        If wordfreq has no frequencies for a language (it would take those of another).
    """
    letters = words["word"].str.count(r"\w").to_numpy(float)
    return np.column_stack([np.ones(len(words)), letters, _zipf(words), surprisal_bits])


def _zipf(words: pd.DataFrame) -> Float[np.ndarray, " words"]:
    from wordfreq import available_languages, zipf_frequency  # slow to load, and only the encoding model needs it

    known = sorted(available_languages())
    for language in words["language"].unique():
        if language not in known:
            raise InputError(f"language {language!r}: no word frequencies; set `language` of the run in study.toml to one of: {', '.join(known)}")
    try:
        return np.array([zipf_frequency(word, language) for word, language in zip(words["word"], words["language"], strict=True)])
    except ModuleNotFoundError as error:
        raise InputError(f"word frequencies of Chinese, Japanese and Korean need {error.name}; run: pip install 'wordfreq[cjk]'") from error
