"""Randomisation tests of an encoding model's scores.

**Shift the responses and fit again.** Under the null hypothesis the responses have nothing to do with the stimulus, and the
whole chain from responses to score (choice of alpha, weights, held-out r) is one function of them. Its value for the true
order is then as likely as for any turned order, if the chain is run again for each. :func:`shift_responses` does that; as only
responses change, a kernel model reuses its decompositions. Shifting the stimulus features instead
(:func:`shift_features`) asks the same question and costs a decomposition each.

**Predictions must not be kept fixed in cross-validation.** With runs 1 and 2, run 1's prediction is X_1 X_2' y_2 (for a
heavy penalty) and run 2's is X_2 X_1' y_1: both scores hold the same number y_1' X_1 X_2' y_2. Scores of folds rise and fall
together, and their mean scatters about sqrt(2) times as much as when predictions are kept and responses shifted run by run.
On resting BOLD this gave false-positive rates of .12 to .15 at .05 where the refit gave .05 (docs/inference.md).
:func:`held_out_test` keeps predictions and is right for a test set that took part in no fit of any of its predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from saebrain.errors import InputError
from saebrain.inference.multiple import Sided, max_statistic, p_values
from saebrain.inference.runs import check_samples, run_slices, unit
from saebrain.progress import Report, silent

ScoreMany = Callable[[Sequence[Float[np.ndarray, "samples targets"]]], Float[np.ndarray, "draws targets"]]
"""Scores several versions of the responses with everything that looked at them done again: one row a version."""
ScoreOrder = Callable[[Int[np.ndarray, " samples"]], Float[np.ndarray, " targets"]]
"""Scores the model whose stimulus features (of samples) are taken in a given order."""


@dataclass(frozen=True)
class NullTest:
    """A statistic, its values under the null hypothesis, and p for each target.

    observed : NaN where a target has no data.
    null : one row a draw, all targets from the same order of samples.
    p : (1 + b) / (1 + n); not corrected for the number of targets.
    sided : the alternative.
    """

    observed: Float[np.ndarray, " targets"]
    null: Float[np.ndarray, "draws targets"]
    p: Float[np.ndarray, " targets"]
    sided: Sided

    @classmethod
    def of(cls, observed: Float[np.ndarray, " targets"], null: Float[np.ndarray, "draws targets"], sided: Sided) -> NullTest:
        return cls(observed, null, p_values(observed, null, sided), sided)

    @property
    def smallest_p(self) -> float:
        """No target can have less, with this number of draws."""
        return min((2 if self.sided == "two" else 1) / (1 + len(self.null)), 1.0)

    def familywise(self, *, step_down: bool = True, standardise: bool = False) -> Float[np.ndarray, " targets"]:
        """p corrected for all targets by the maximum statistic (:func:`saebrain.inference.multiple.max_statistic`)."""
        return max_statistic(self.observed, self.null, self.sided, step_down=step_down, standardise=standardise)


def shift_responses(
    score: ScoreMany,
    responses: Float[np.ndarray, "samples targets"],
    orders: Int[np.ndarray, "draws samples"],
    *,
    fitted: Float[np.ndarray, "samples targets"] | None = None,
    sided: Sided = "greater",
    batch: int = 16,
    report: Report = silent,
) -> NullTest:
    """Test any score of a model that is fitted again for each draw. Recommended.

    Parameters
    ----------
    score : function
        Of a list of responses to one row of statistics each. It must choose penalties, fit and score within.
    orders : int array
        From :mod:`saebrain.inference.orders`.
    fitted : array, optional
        What the nuisance regressors alone explain of the responses (:func:`least_squares_fit`). Then a draw is
        ``fitted + (responses - fitted)[order]``: the null hypothesis is that the features add nothing to the nuisance
        (Freedman and Lane 1983; Winkler et al. 2014). Two conditions. The score must be about the addition, such as r of the
        joint model less r of the nuisance alone: r of the features' part depends on the nuisance's strength, which draws do not have
        exactly (.10 false positives at .05). And the nuisance must have few columns against the effective number of samples
        (:func:`saebrain.inference.autocorrelation.effective_samples`): with 4 of 52 the test held its level, with 20 of 52 it
        gave .07 to .09. Without ``fitted`` the null hypothesis is that neither of them has anything to do with the responses; a
        gain is then tested conservatively where the nuisance does (.01), anything else may come out as significant for the
        nuisance's sake.
    batch : int
        Draws given to ``score`` at once.
    report : callable
        Called with (draws done, draws in all).
    """
    _check_orders(orders, len(responses))
    base = np.zeros_like(responses) if fitted is None else fitted
    rest = responses - base
    observed = score([responses])[0]
    null = np.empty((len(orders), len(observed)), observed.dtype)
    for start in range(0, len(orders), batch):
        part = orders[start : start + batch]
        null[start : start + len(part)] = score([base + rest[order] for order in part])
        report(start + len(part), len(orders))
    return NullTest.of(observed, null, sided)


def shift_features(
    score: ScoreOrder, n_samples: int, orders: Int[np.ndarray, "draws samples"], *, sided: Sided = "greater", report: Report = silent
) -> NullTest:
    """The same question with the stimulus moved: ``score(order)`` takes the undelayed features of samples in that order and fits again.

    Responses keep their place, and so does all that ``score`` does not move (nuisance regressors, other features): the
    hypothesis is about the moved features alone, given that they are independent of those that stay.
    """
    _check_orders(orders, n_samples)
    observed = score(np.arange(n_samples))
    null = np.empty((len(orders), len(observed)), observed.dtype)
    for row, order in enumerate(orders):
        null[row] = score(order)
        report(row + 1, len(orders))
    return NullTest.of(observed, null, sided)


def held_out_test(
    prediction: Float[np.ndarray, "samples targets"],
    responses: Float[np.ndarray, "samples targets"],
    run_lengths: list[int],
    orders: Int[np.ndarray, "draws samples"],
    *,
    sided: Sided = "greater",
    report: Report = silent,
) -> NullTest:
    """Test the mean over runs of r between predictions that stay and responses that shift; nothing is fitted again.

    Only for runs that took part in no fit and no choice of any of these predictions: a test set of its own. Predictions of
    cross-validation do not qualify, see the head of this module. Targets that do not vary get NaN.
    """
    check_samples(len(responses), run_lengths, "responses")
    _check_orders(orders, len(responses))
    p, y = unit(prediction, run_lengths), unit(responses, run_lengths)
    flat = ~responses.any(axis=0) | ~y.any(axis=0)
    observed = np.einsum("ij,ij->j", p, y) / len(run_lengths)
    null = np.empty((len(orders), y.shape[1]), y.dtype)
    for row, order in enumerate(orders):
        null[row] = np.einsum("ij,ij->j", p, y[order]) / len(run_lengths)
        report(row + 1, len(orders))
    return NullTest.of(np.where(flat, np.nan, observed), null, sided)


def one_by_one(score: Callable[[Float[np.ndarray, "samples targets"]], Float[np.ndarray, " targets"]]) -> ScoreMany:
    """A function that scores one version of the responses, made into one for several."""
    return lambda versions: np.stack([score(y) for y in versions])


def least_squares_fit(
    design: Float[np.ndarray, "samples columns"], responses: Float[np.ndarray, "samples targets"], run_lengths: list[int]
) -> Float[np.ndarray, "samples targets"]:
    """What delayed nuisance columns explain of the responses by ordinary least squares, with a constant per run (which is in the fit)."""
    check_samples(len(responses), run_lengths, "responses")
    constants = np.zeros((len(responses), len(run_lengths)))
    for index, run in enumerate(run_slices(run_lengths)):
        constants[run, index] = 1
    full = np.hstack([design, constants])
    return np.asarray(full @ np.linalg.lstsq(full, responses, rcond=None)[0], dtype=responses.dtype)


def _check_orders(orders: Int[np.ndarray, "draws samples"], n_samples: int) -> None:
    if orders.ndim != 2 or orders.shape[1] != n_samples or not len(orders):
        raise InputError(f"orders of shape {orders.shape} for {n_samples} samples: give one row per draw, made with the same run lengths")
