"""Alphas chosen without the run that is scored, and r of every target within the run that was left out.

For a selection of features with kernel K_s and nuisance bands with kernel K_n (both of mean diagonal 1) the model's kernel is

    K = K_n + K_s,     prediction of run F:   p_F = K_FR (K_RR + a I)^-1 Y_R,   R the other runs

and the share of the features in it is the K_s summand of K_FR. Alpha is what makes the squared error smallest when one run at a
time is left out *of those other runs*, summed over these and over the targets that share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int

from saebrain.encoding.kernels import Kernel
from saebrain.encoding.layout import Fold
from saebrain.encoding.scorer import Scorer
from saebrain.errors import InputError
from saebrain.progress import Report, silent
from saebrain.scores import Scores

Shared = Literal["vertex", "parcel", "global"]
"""Which vertices have one alpha."""

VERTICES_PER_PARCEL = 12
"""Vertices of each parcel, drawn at random, that choose for all where an alpha is shared."""


def leave_one_run_out(
    features: Kernel | None,
    nuisance: Kernel,
    responses: Sequence[Float[np.ndarray, "samples vertices"]],
    folds: Sequence[Fold],
    parcels: Int[np.ndarray, " vertices"],
    alphas: Sequence[float],
    *,
    shared: Shared = "parcel",
    seed: int = 0,
    device: str = "auto",
    dtype: torch.dtype = torch.float32,
    report: Report = silent,
) -> list[Scores]:
    """Score a selection of features beside the nuisance bands at every vertex, in several subjects who had the same stimulus.

    Parameters
    ----------
    features, nuisance : arrays
        Kernels from :func:`saebrain.encoding.kernels.finished`; ``features`` is None to score the nuisance bands alone.
    responses : sequence of float32 arrays
        One a subject, standardised within segments (:meth:`saebrain.encoding.layout.Layout.standardise`). A vertex that is
        constant, or not finite, in any of them has no data and scores NaN.
    parcels : int array
        Parcel of each vertex, -1 for none (such vertices are a parcel of their own).
    alphas : sequence of float
        Penalties to choose from.
    shared : str
        Which vertices have one alpha. Where several do, twelve of each parcel choose.

    Raises
    ------
    InputError
        If subjects differ in vertices or samples, or one has no data at all.
    """
    _check(responses, len(nuisance), len(parcels))
    subjects = [_Subject.of(y, parcels, len(folds), shared, seed) for y in responses]
    n_targets = sum(len(subject.columns) for subject in subjects)
    scorer = Scorer(features, nuisance, folds, alphas, n_targets=n_targets, device=device, dtype=dtype)
    n_choosing = len(alphas) if len(alphas) > 1 else 0
    loss = scorer.losses([(s.y, s.columns[s.choosing]) for s in subjects], report=lambda done, _: report(done, n_choosing + len(folds)))
    for subject, own in zip(subjects, _split(loss, [len(s.choosing) for s in subjects]), strict=True):
        subject.choose(own)
    targets = [(s.y, s.columns) for s in subjects]
    for fold in range(len(folds)):
        r = scorer.fold_r(targets, fold, np.concatenate([s.chosen[fold][s.group] for s in subjects]))
        for subject, own in zip(subjects, _split(r, [len(s.columns) for s in subjects]), strict=True):
            subject.r[: len(own), fold] = own
        report(n_choosing + fold + 1, n_choosing + len(folds))
    return [subject.scores(alphas) for subject in subjects]


def _split(values: Float[np.ndarray, "*axes targets"], counts: Sequence[int]) -> list[Float[np.ndarray, "*axes own"]]:
    """Each subject's targets."""
    return np.split(values, np.cumsum(counts)[:-1], axis=-1)


def _check(responses: Sequence[Float[np.ndarray, "samples vertices"]], samples: int, vertices: int) -> None:
    for number, y in enumerate(responses):
        if y.shape != (samples, vertices):
            raise InputError(
                f"responses of subject number {number + 1}: shape {y.shape}, but the stimulus has {samples} samples and the parcels {vertices} "
                "vertices; bring all subjects to one space and the same runs"
            )


@dataclass
class _Subject:
    """One subject's responses, and what has been found about them so far.

    columns : vertices with data. group : which alpha each of those has. choosing : those among them that choose.
    """

    y: Float[np.ndarray, "samples vertices"]
    columns: Int[np.ndarray, " targets"]
    group: Int[np.ndarray, " targets"]
    choosing: Int[np.ndarray, " choosing"]
    r: Float[np.ndarray, "2 folds targets"]
    chosen: Int[np.ndarray, "folds groups"]

    @classmethod
    def of(cls, y: Float[np.ndarray, "samples vertices"], parcels: Int[np.ndarray, " vertices"], n_folds: int, shared: Shared, seed: int) -> _Subject:
        # min and max of columns: a NaN anywhere makes both NaN, and equal ones are a constant
        low, high = y.min(axis=0), y.max(axis=0)
        columns = np.flatnonzero(np.isfinite(low) & np.isfinite(high) & (high > low))
        if not len(columns):
            raise InputError("responses: every vertex is constant or not finite; check the files under responses/")
        parcel = parcels[columns]
        group = np.arange(len(columns)) if shared == "vertex" else np.unique(parcel, return_inverse=True)[1]
        choosing = np.arange(len(columns))
        if shared != "vertex":
            rng = np.random.default_rng(seed)
            drawn = [rng.permutation(np.flatnonzero(group == g))[:VERTICES_PER_PARCEL] for g in range(group.max() + 1)]
            choosing = np.sort(np.concatenate(drawn))
        if shared == "global":
            group = np.zeros_like(group)
        r = np.full((2, n_folds, len(columns)), np.nan, np.float32)
        return cls(y, columns, group, choosing, r, np.zeros((n_folds, group.max() + 1), int))

    def choose(self, loss: Float[np.ndarray, "folds alphas choosing"]) -> None:
        """The alpha of every group: the least loss, summed over those of its vertices that choose."""
        of = self.group[self.choosing]
        order = np.argsort(of, kind="stable")
        first = np.searchsorted(of[order], np.arange(self.chosen.shape[1]))
        self.chosen = np.add.reduceat(loss[:, :, order], first, axis=2).argmin(axis=1)

    def scores(self, alphas: Sequence[float]) -> Scores:
        r, r_features = np.full((2, self.y.shape[1]), np.nan, np.float32)
        r[self.columns], r_features[self.columns] = self.r.mean(axis=1)
        return Scores(r, r_features, np.asarray(alphas, np.float32)[self.chosen])
