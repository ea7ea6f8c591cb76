"""Ridge regression from items to targets: each fold predicted from the others, penalty and kernel chosen among those others.

With C = I - 11^T / n, which centres the n training items T, and K = X X^T, held-out items F get

    prediction_F = mean(y_T) + K'_FT (C K_TT C + a I)^-1 (y_T - mean(y_T)),    K'_FT the kernel centred on T's mean features,

which is ridge regression with an intercept that is not penalised. The choice among penalties a and kernels rests on
squared errors of inner folds within T. None of those is fitted anew: with M = a (C K_TT C + a I)^-1 - 11^T / n, the
matrix that turns y_T into residuals, the residuals of an inner fold G when it is left out of T are exactly

    e_G = (M_GG)^-1 (M y_T)_G,

as ridge regression with an intercept is a linear smoother with a fixed penalty (Cook and Weisberg 1982, for blocks of
observations; Golub, Heath and Wahba 1979, for ridge regression).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import linalg

PENALTIES = tuple(float(a) for a in np.logspace(-3, 4, 15))
"""Penalties to choose from, as multiples of the mean of the diagonal of C K_TT C."""

# Eigenvalues that are rounding noise, as a share of their sum; the smallest penalty is far above.
RANK_TOLERANCE = 1e-12

KernelOf = Callable[[Bool[np.ndarray, " items"]], Float[np.ndarray, "items items"]]
"""Kernel among all items; it may depend on which of them are in training (to scale features by), not on any target."""


@dataclass(frozen=True)
class Predictions:
    """Every item predicted from the folds it is not in.

    values : prediction.
    baseline : mean of the training folds, which is the prediction of a model without features.
    kernel : which of the kernels was chosen, per fold and target.
    penalty : which penalty, as a multiple of the kernel's scale.
    """

    values: Float[np.ndarray, "items targets"]
    baseline: Float[np.ndarray, "items targets"]
    kernel: Int[np.ndarray, "folds targets"]
    penalty: Float[np.ndarray, "folds targets"]


def predict(
    kernels: Sequence[KernelOf],
    y: Float[np.ndarray, "items targets"],
    folds: Int[np.ndarray, " items"],
    inner: Sequence[Int[np.ndarray, " training"]],
    *,
    penalties: Sequence[float] = PENALTIES,
) -> Predictions:
    """Predict every fold from the others.

    Parameters
    ----------
    kernels : sequence of functions
        Candidates, usually one a way of pooling; each fold and target gets the best of them.
    folds : int array
        Outer fold of each item, from 0.
    inner : sequence of int arrays
        For each outer fold, the inner fold of each item outside it, in the order of the items.
    """
    n_folds = len(inner)
    values, baseline = np.zeros_like(y), np.zeros_like(y)
    kernel, penalty = np.zeros((n_folds, y.shape[1]), int), np.zeros((n_folds, y.shape[1]))
    for fold in range(n_folds):
        test = folds == fold
        mean = y[~test].mean(axis=0)
        loss = np.full(y.shape[1], np.inf)
        baseline[test] = values[test] = mean
        for number, kernel_of in enumerate(kernels):
            fit = _Fit.of(kernel_of(~test), y, ~test)
            errors = np.stack([fit.squared_error(a, inner[fold]) for a in penalties])
            best, lowest = errors.argmin(axis=0), errors.min(axis=0)
            for target in np.flatnonzero(lowest < loss):
                kernel[fold, target], penalty[fold, target] = number, penalties[best[target]]
                values[test, target] = mean[target] + fit.predict(penalties[best[target]])[:, target]
            loss = np.minimum(loss, lowest)
    return Predictions(values, baseline, kernel, penalty)


def mean_square(kernel: Float[np.ndarray, "training training"]) -> float:
    """Mean of the diagonal of C K C; 0 where it is mere rounding noise, which features that do not vary leave."""
    diagonal = float(np.trace(kernel)) / len(kernel)
    centred = diagonal - float(kernel.mean())
    return centred if centred > 1e-12 * diagonal else 0.0


@dataclass(frozen=True)
class _Fit:
    """One kernel on one training set: C K_TT C = Q diag(w) Q^T, divided by the mean of its diagonal, without what is 0 in w."""

    w: Float[np.ndarray, " rank"]
    Q: Float[np.ndarray, "training rank"]
    turned: Float[np.ndarray, "test rank"]
    z: Float[np.ndarray, "rank targets"]
    y: Float[np.ndarray, "training targets"]

    @classmethod
    def of(cls, kernel: Float[np.ndarray, "items items"], y: Float[np.ndarray, "items targets"], training: Bool[np.ndarray, " items"]) -> _Fit:
        rows = kernel[:, training]
        rows = rows - rows[training].mean(axis=0)  # features centred on the training mean: first those of one side,
        rows -= rows.mean(axis=1, keepdims=True)  # then those of the other
        scale = mean_square(kernel[np.ix_(training, training)])
        rows = rows / scale if scale else np.zeros_like(rows)
        w, Q = linalg.eigh(rows[training], driver="evr", subset_by_value=(RANK_TOLERANCE * len(rows), np.inf), check_finite=False)
        centred = y[training] - y[training].mean(axis=0)
        return cls(w, Q, rows[~training] @ Q, Q.T @ centred, centred)

    def predict(self, a: float) -> Float[np.ndarray, "test targets"]:
        """Of the held-out items, as differences from the training mean."""
        return self.turned @ (self.z / (self.w + a)[:, None])

    def squared_error(self, a: float, inner: Int[np.ndarray, " training"]) -> Float[np.ndarray, " targets"]:
        """Summed over the inner folds, each left out once."""
        fit = self.w / (self.w + a)
        residual = self.y - self.Q @ (fit[:, None] * self.z)
        total = np.zeros(self.z.shape[1])
        for fold in range(inner.max() + 1):
            out = inner == fold
            Q = self.Q[out]
            M = np.eye(len(Q)) - (Q * fit) @ Q.T - 1 / len(inner)
            error = linalg.solve(M, residual[out], assume_a="pos", check_finite=False)
            total += np.square(error).sum(axis=0)
        return total
