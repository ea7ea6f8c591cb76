"""Prediction error of meaning, word by word: how far a word's features are from what the preceding words announced.

An exploratory regressor beside surprisal, which says how unexpected the *word* is: this says how unexpected is how much it has of each
*category*. Whether it adds anything is tested like any other regressor, against shifted responses
(:func:`saebrain.inference.permutation.shift_responses`, with what the other regressors explain kept in place).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from saebrain.errors import InputError
from saebrain.inference.runs import check_samples, mean_correlation, run_slices

PENALTIES = tuple(float(a) for a in np.logspace(-3, 3, 7))
CONTEXT = 8


@dataclass(frozen=True)
class PredictionError:
    """What the words before announced, and what came.

    residual : feature less its prediction, in standard deviations of the category over the training runs.
    mismatch : its absolute value, the regressor: a word a row, to be brought to samples like any feature.
    r : correlation of prediction and feature in held-out runs, averaged over runs; about 0 says that the context announces nothing
        of this category, and that ``mismatch`` is no more than the distance from its mean.
    penalty : chosen penalty per held-out run and category, as a multiple of the mean diagonal of X'X.
    """

    residual: Float[np.ndarray, "words categories"]
    mismatch: Float[np.ndarray, "words categories"]
    r: Float[np.ndarray, " categories"]
    penalty: Float[np.ndarray, "runs categories"]


def prediction_error(
    words: Float[np.ndarray, "words categories"], run_lengths: list[int], *, context: int = CONTEXT, penalties: tuple[float, ...] = PENALTIES
) -> PredictionError:
    """Predict each word's category features from those of the ``context`` words before it, by ridge regression, one run held out at a time.

    F_w ~ sum over k = 1..context of F_{w-k} B_k; before a run's start there is nothing (zeros, after standardising). With
    three or more runs the penalty is chosen, per category, by leaving out one run at a time among the training runs; with two it
    is the middle of ``penalties``.

    Parameters
    ----------
    words : array
        Activation of each category, summed over its features, a word a row; runs one after the other.
    run_lengths : list of int
        Words of each run, in *words*, not samples.

    Raises
    ------
    InputError
        If there is one run only, or a run is not longer than the context.
    """
    check_samples(len(words), run_lengths, "prediction error")
    if len(run_lengths) < 2 or min(run_lengths) <= context or context < 1:
        raise InputError(
            f"prediction error: {len(run_lengths)} run(s), the shortest of {min(run_lengths)} words, context {context}; "
            "bring two or more runs, each longer than the context"
        )
    runs = run_slices(run_lengths)
    n = words.shape[1]
    residual, prediction = np.empty(words.shape), np.empty(words.shape)
    penalty = np.empty((len(runs), n))
    for held, test in enumerate(runs):
        training = [run for run in runs if run != test]
        mean, deviation = _moments(words, training)
        z = (words - mean) / deviation
        before = {run.start: _before(z[run], context) for run in runs}
        penalty[held] = _chosen(z, before, training, penalties)
        prediction[test] = before[test.start] @ _weights(z, before, training, penalty[held])
        residual[test] = z[test] - prediction[test]
    return PredictionError(residual, np.abs(residual), mean_correlation(prediction, words, run_lengths), penalty)


def _moments(
    words: Float[np.ndarray, "words categories"], runs: list[slice]
) -> tuple[Float[np.ndarray, " categories"], Float[np.ndarray, " categories"]]:
    among = np.concatenate([words[run] for run in runs])
    deviation = among.std(axis=0)
    return among.mean(axis=0), np.where(deviation > 0, deviation, 1.0)


def _before(z: Float[np.ndarray, "words categories"], context: int) -> Float[np.ndarray, "words context_categories"]:
    """The features of the preceding words of one run side by side, nearest first; 0 before its start."""
    out = np.zeros((len(z), context * z.shape[1]))
    for k in range(1, context + 1):
        out[k:, (k - 1) * z.shape[1] : k * z.shape[1]] = z[:-k]
    return out


def _weights(
    z: Float[np.ndarray, "words categories"], before: dict[int, np.ndarray], runs: list[slice], penalty: Float[np.ndarray, " categories"]
) -> Float[np.ndarray, "context_categories categories"]:
    """B = V diag(1 / (w + a s)) V' X'F, X'X = V diag(w) V', s the mean of its diagonal."""
    gram = sum(before[run.start].T @ before[run.start] for run in runs)
    cross = sum(before[run.start].T @ z[run] for run in runs)
    w, V = np.linalg.eigh(gram)
    scale = max(float(np.trace(gram)) / len(gram), 1e-12)
    return V @ ((V.T @ cross) / (np.maximum(w, 0)[:, None] + penalty * scale))


def _chosen(
    z: Float[np.ndarray, "words categories"], before: dict[int, np.ndarray], training: list[slice], penalties: tuple[float, ...]
) -> Float[np.ndarray, " categories"]:
    if len(training) < 2:
        return np.full(z.shape[1], penalties[len(penalties) // 2])
    loss = np.zeros((len(penalties), z.shape[1]))
    for test in training:
        rest = [run for run in training if run != test]
        for row, a in enumerate(penalties):
            error = z[test] - before[test.start] @ _weights(z, before, rest, np.full(z.shape[1], a))
            loss[row] += np.einsum("ij,ij->j", error, error)
    return np.asarray(penalties)[loss.argmin(axis=0)]
