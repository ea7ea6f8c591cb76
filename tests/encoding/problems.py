"""Regression problems with known parts, and explicit designs to compare kernels with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import Ridge

from saebrain.encoding.kernels import Fir, finished, linear_kernel
from saebrain.encoding.layout import Fold, Layout
from saebrain.encoding.score import Shared, leave_one_run_out
from saebrain.scores import Scores

# Threads gain nothing on small problems, and on a busy machine they wait for one another.
torch.set_num_threads(1)

DELAYS = Fir((1, 2, 4))
ALPHAS = [0.1, 1.0, 10.0, 100.0, 1000.0]
UNEQUAL = [45, 30, 38]


def by_run(x: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
    return np.split(x, np.cumsum(lengths)[:-1])


def centred(x: np.ndarray, lengths: list[int]) -> np.ndarray:
    return np.concatenate([part - part.mean(axis=0) for part in by_run(x, lengths)])


def delayed_columns(x: np.ndarray, lengths: list[int], delays: tuple[int, ...]) -> np.ndarray:
    """Copies of every column, later by each delay within its run; float64."""
    shifted = [np.hstack([np.vstack([np.zeros((d, x.shape[1])), part])[: len(part)] for d in delays]) for part in by_run(x.astype(float), lengths)]
    return np.concatenate(shifted)


def unit_trace(design: np.ndarray) -> np.ndarray:
    """Scaled so that X X^T has a mean diagonal of 1."""
    return design / np.sqrt((design**2).sum() / len(design))


def delayed_design(x: np.ndarray, lengths: list[int], delays: tuple[int, ...] = DELAYS.delays) -> np.ndarray:
    """Delayed columns of every run, centred, of unit trace."""
    return unit_trace(centred(delayed_columns(x, lengths, delays), lengths))


@dataclass
class Problem:
    """Features, nuisance and responses of some runs; vertices differ in how much of the features' signal they have."""

    lengths: list[int]
    features: np.ndarray
    nuisance: np.ndarray
    y: np.ndarray

    @classmethod
    def make(cls, n_features: int, *, lengths: list[int], seed: int = 0, n_vertices: int = 8) -> Problem:
        rng = np.random.default_rng(seed)
        n = sum(lengths)
        features = centred(rng.normal(size=(n, n_features)), lengths).astype(np.float32)
        nuisance = centred(rng.normal(size=(n, 2)), lengths).astype(np.float32)
        signal = delayed_design(features, lengths) @ rng.normal(size=(n_features * len(DELAYS.delays), n_vertices))
        rate = delayed_design(nuisance, lengths) @ rng.normal(size=(2 * len(DELAYS.delays), n_vertices))
        y = np.linspace(0, 3, n_vertices) * signal + 0.5 * rate + rng.normal(size=(n, n_vertices))
        y = np.concatenate([part / part.std(axis=0) for part in by_run(centred(y, lengths), lengths)])
        return cls(lengths, features, nuisance, y.astype(np.float32))

    @property
    def layout(self) -> Layout:
        return Layout.by_run(self.lengths)

    @property
    def folds(self) -> tuple[Fold, ...]:
        return self.layout.folds

    @property
    def run(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def kernels(self) -> tuple[np.ndarray, np.ndarray]:
        features, nuisance = (finished(linear_kernel(x), self.layout, DELAYS) for x in (self.features, self.nuisance))
        return features, nuisance

    def designs(self) -> tuple[np.ndarray, np.ndarray]:
        return delayed_design(self.features, self.lengths), delayed_design(self.nuisance, self.lengths)

    def score(
        self, y: np.ndarray | None = None, *, parcels: np.ndarray | None = None, alphas: list[float] = ALPHAS, shared: Shared | None = None
    ) -> Scores:
        """By the code under test; each vertex for itself unless told otherwise."""
        y = self.y if y is None else y
        shared = shared or ("vertex" if parcels is None else "parcel")
        parcels = np.arange(y.shape[1]) if parcels is None else parcels
        return leave_one_run_out(*self.kernels(), [y], self.folds, parcels, alphas, shared=shared, device="cpu")[0]


def ridge_losses(X: np.ndarray, y: np.ndarray, folds: tuple[Fold, ...], held: int, alphas: list[float]) -> np.ndarray:
    """Mean squared errors of ridge regression within all folds but one, each left out in turn, summed: alphas x targets. By scikit-learn."""
    losses = np.zeros((len(alphas), y.shape[1]))
    for inner in (n for n in range(len(folds)) if n != held):
        train = np.setdiff1d(np.arange(len(y)), [*folds[held].out, *folds[inner].out])
        test = folds[inner].test
        for i, alpha in enumerate(alphas):
            model = Ridge(alpha=alpha, fit_intercept=False, solver="svd").fit(X[train], y[train])
            losses[i] += np.mean((model.predict(X[test]).reshape(len(test), -1) - y[test]) ** 2, axis=0)
    return losses


def ridge_predictions(X: np.ndarray, y: np.ndarray, fold: Fold, alphas: np.ndarray, own: int) -> tuple[np.ndarray, np.ndarray]:
    """Refitted without a fold, an alpha a target: prediction of it, and the share of the first ``own`` columns. By scikit-learn."""
    train = np.setdiff1d(np.arange(len(y)), fold.out)
    model = Ridge(alpha=alphas, fit_intercept=False, solver="svd").fit(X[train], y[train])
    weights = model.coef_.reshape(y.shape[1], -1).T
    return X[fold.test] @ weights, X[fold.test, :own] @ weights[:own]


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])


def nested_ridge(
    X: np.ndarray, own: int, y: np.ndarray, folds: tuple[Fold, ...], alphas: list[float], groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Explicit nested leave-one-fold-out: r, r of the first ``own`` columns' share, alpha per fold and target.

    ``groups``: targets that share an alpha; by default none do.
    """
    groups = np.arange(y.shape[1]) if groups is None else groups
    r, r_own, best = (np.zeros((len(folds), y.shape[1])) for _ in range(3))
    for held, fold in enumerate(folds):
        losses = ridge_losses(X, y, folds, held, alphas)
        for group in np.unique(groups):
            inside = groups == group
            best[held, inside] = alphas[int(losses[:, inside].sum(axis=1).argmin())]
        whole, part = ridge_predictions(X, y, fold, best[held], own)
        r[held], r_own[held] = correlations(whole, y[fold.test]), correlations(part, y[fold.test])
    return r.mean(axis=0), r_own.mean(axis=0), best
