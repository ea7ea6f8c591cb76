"""Banded ridge regression: an alpha for every band of features, chosen together for each target.

With kernels K_k of bands k, ridge regression on K = sum_k g_k K_k with weights g on a simplex and a penalty a puts a penalty a / g_k
on band k (Nunez-Elizalde et al. 2019, NeuroImage 197:482; Dupre la Tour et al. 2022, NeuroImage 264:119728). Candidates for g are
drawn from Dirichlet distributions, the same for all targets, and each target takes the g and a that predict best when one fold at
a time is left out of those that train. himalaya fits; folds are those of the plain model.

r is split by the product measure: with p = sum_k p_k, r_k = cov(p_k, y) / (sd(p) sd(y)), so that r = sum_k r_k. A band that
hinders gets a negative share; bands that say the same share between them what both explain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from himalaya.backend import get_backend, set_backend
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from jaxtyping import Float

from saebrain.encoding.kernels import Kernel
from saebrain.encoding.layout import Fold
from saebrain.errors import InputError
from saebrain.progress import Report, silent


@dataclass(frozen=True)
class BandedScores:
    """Held-out accuracy; NaN where a target does not vary.

    r : of the whole prediction, mean over folds.
    shares : each band's part of it; they add up to r.
    alphas : penalty of each band, in the units of kernels of mean diagonal 1.
    """

    bands: tuple[str, ...]
    r: Float[np.ndarray, " targets"]
    shares: Float[np.ndarray, "bands targets"]
    alphas: Float[np.ndarray, "folds bands targets"]


def banded_ridge(
    bands: Mapping[str, Kernel],
    y: Float[np.ndarray, "samples targets"],
    folds: Sequence[Fold],
    alphas: Sequence[float],
    *,
    draws: int = 50,
    seed: int = 0,
    device: str = "cpu",
    report: Report = silent,
) -> BandedScores:
    """Score targets with an alpha a band; for parcels, or a few vertices: each draw costs as much as a plain model.

    Parameters
    ----------
    bands : mapping
        Kernels of mean diagonal 1 (:func:`saebrain.encoding.kernels.finished`) by name, such as nuisance and each category.
    y : float32 array
        Standardised within segments; columns that are constant or not finite score NaN.
    folds : sequence of Fold
        Outer folds; within those that train, each is left out in turn to choose.
    draws : int
        Candidates for the bands' weights; the first gives all bands the same.

    Raises
    ------
    InputError
        If there is no band.
    """
    if not bands:
        raise InputError("banded ridge: received no band; give at least the nuisance kernel and one category")
    kernels = np.stack([kernel.astype(np.float32, copy=False) for kernel in bands.values()])
    columns = np.flatnonzero(np.isfinite(y).all(axis=0) & (y.max(axis=0) > y.min(axis=0)))
    measured = y[:, columns].astype(np.float32)
    shares = np.full((len(folds), len(bands), y.shape[1]), np.nan, np.float32)
    chosen = shares.copy()
    with _backend("torch_cuda" if device == "cuda" else "torch") as backend:
        for number, fold in enumerate(folds):
            train = np.setdiff1d(np.arange(len(y)), fold.out)
            model = MultipleKernelRidgeCV(
                kernels="precomputed",
                solver="random_search",
                solver_params={"n_iter": draws, "alphas": np.asarray(alphas, np.float32), "progress_bar": False},
                cv=list(_inner(folds, fold, train)),
                random_state=seed,
            )
            model.fit(backend.asarray(kernels[:, train[:, None], train]), backend.asarray(measured[train]))
            parts = backend.to_numpy(model.predict(backend.asarray(kernels[:, fold.test[:, None], train]), split=True))
            shares[number, :, columns] = product_measure(parts, measured[fold.test]).T
            chosen[number, :, columns] = np.exp(-backend.to_numpy(model.deltas_)).T
            report(number + 1, len(folds))
    mean = shares.mean(axis=0)
    return BandedScores(tuple(bands), mean.sum(axis=0), mean, chosen)


def product_measure(parts: Float[np.ndarray, "bands samples targets"], y: Float[np.ndarray, "samples targets"]) -> Float[np.ndarray, "bands targets"]:
    """Each part's share of the correlation of their sum with y; NaN where y does not vary, 0 where the sum does not."""
    centred, b = parts - parts.mean(axis=1, keepdims=True), y - y.mean(axis=0)
    whole = centred.sum(axis=0)
    scale = np.sqrt((whole**2).sum(axis=0) * (b**2).sum(axis=0))
    shares = np.einsum("kij,ij->kj", centred, b)
    shares = np.divide(shares, scale, out=np.zeros_like(shares), where=scale > 0)
    return np.where((b**2).sum(axis=0) > 0, shares, np.nan)


def _inner(folds: Sequence[Fold], outer: Fold, train: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Splits of the training rows, as positions among them: every other fold left out in turn."""
    for fold in folds:
        if fold is not outer:
            test = np.flatnonzero(np.isin(train, fold.test))
            yield np.flatnonzero(~np.isin(train, fold.out)), test


@contextmanager
def _backend(name: str) -> Iterator[Any]:
    """himalaya's array library, which is global to it, for as long as the block runs."""
    before = get_backend()
    try:
        yield set_backend(name)
    finally:
        set_backend(before)
