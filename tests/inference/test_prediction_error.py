"""Prediction error against scikit-learn's ridge, and on words that announce each other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from saebrain.errors import InputError
from saebrain.inference.prediction_error import prediction_error
from saebrain.inference.runs import run_slices

RUNS = [120, 90, 100, 80]
PENALTIES = (0.01, 0.1, 1.0, 10.0)


def words(seed: int = 0, runs: list[int] | None = None) -> np.ndarray:
    """Three categories: the first comes 2 words after the second, the third is at random."""
    rng = np.random.default_rng(seed)
    parts = []
    for n in runs or RUNS:
        x = rng.exponential(size=(n + 2, 3))
        parts.append(np.column_stack([x[:-2, 1] + 0.3 * x[2:, 0], x[2:, 1], x[2:, 2]]) * [2.0, 1.0, 5.0])
    return np.concatenate(parts)


def design(part: np.ndarray, context: int) -> np.ndarray:
    return np.hstack([np.vstack([np.zeros((k, part.shape[1])), part[:-k]]) for k in range(1, context + 1)])


def by_scikit_learn(x: np.ndarray, context: int) -> np.ndarray:
    """Residuals by nested leave-one-run-out, one category and run after the other."""
    runs, residual = run_slices(RUNS), np.empty(x.shape)

    def fitted(training: list[slice], z: np.ndarray, category: int, a: float) -> Ridge:
        X = np.vstack([design(z[run], context) for run in training])
        scale = np.sum(X**2) / X.shape[1]
        return Ridge(a * scale, fit_intercept=False).fit(X, np.concatenate([z[run, category] for run in training]))

    for test in runs:
        training = [run for run in runs if run != test]
        among = np.concatenate([x[run] for run in training])
        z = (x - among.mean(axis=0)) / among.std(axis=0)
        for category in range(x.shape[1]):
            losses = []
            for a in PENALTIES:
                loss = 0.0
                for inner in training:
                    model = fitted([run for run in training if run != inner], z, category, a)
                    loss += np.sum((z[inner, category] - model.predict(design(z[inner], context))) ** 2)
                losses.append(loss)
            model = fitted(training, z, category, PENALTIES[int(np.argmin(losses))])
            residual[test, category] = z[test, category] - model.predict(design(z[test], context))
    return residual


def test_residuals_agree_with_scikit_learn() -> None:
    x = words()
    found = prediction_error(x, RUNS, context=4, penalties=PENALTIES)
    np.testing.assert_allclose(found.residual, by_scikit_learn(x, 4), atol=1e-8)
    np.testing.assert_array_equal(found.mismatch, np.abs(found.residual))


def test_what_is_announced_is_predicted_and_nothing_else() -> None:
    found = prediction_error(words(runs=[400, 300, 300]), [400, 300, 300])
    assert found.r[0] > 0.9
    assert np.abs(found.r[1:]).max() < 0.1
    assert found.mismatch[:, 0].mean() < 0.5 * found.mismatch[:, 2].mean()
    assert (found.penalty[:, 0] < found.penalty[:, 2]).all()


def test_a_word_against_expectation_stands_out() -> None:
    x = words(runs=[400, 300, 300])
    x[550, 0] = 0.0
    x[548, 1] = 5.0
    before = prediction_error(words(runs=[400, 300, 300]), [400, 300, 300]).mismatch
    after = prediction_error(x, [400, 300, 300]).mismatch
    assert after[550, 0] > before[550, 0] + 2
    assert after[550, 0] > np.quantile(after[:, 0], 0.99)


def test_nothing_comes_from_the_future_or_from_other_runs() -> None:
    """Changing later words of the held-out run leaves the earlier ones' residuals as they were (weights come from other runs)."""
    x = words()
    changed = x.copy()
    changed[60:120] = np.random.default_rng(9).exponential(size=(60, 3))
    first, second = (prediction_error(z, RUNS).residual for z in (x, changed))
    np.testing.assert_allclose(first[:60], second[:60])
    assert not np.allclose(first[61:120], second[61:120])


def test_units_do_not_matter() -> None:
    x = words()
    np.testing.assert_allclose(prediction_error(x * [1e3, 1e-3, 7] + 4, RUNS).residual, prediction_error(x, RUNS).residual, atol=1e-6)


def test_a_category_that_never_varies_has_no_error() -> None:
    x = words()
    x[:, 1] = 0
    found = prediction_error(x, RUNS)
    assert not found.mismatch[:, 1].any()
    assert found.r[1] == 0
    assert np.isfinite(found.residual).all()


def test_two_runs_take_the_middle_penalty() -> None:
    found = prediction_error(words(runs=[100, 100]), [100, 100], penalties=(0.1, 1.0, 10.0))
    assert (found.penalty == 1.0).all()


@pytest.mark.parametrize(("runs", "context"), [([390], 8), ([382, 8], 8), ([200, 190], 0)])
def test_too_little_text_says_so(runs: list[int], context: int) -> None:
    with pytest.raises(InputError, match="bring two or more runs, each longer than the context"):
        prediction_error(words(), runs, context=context)
