"""Kernel ridge regression from features to responses, leaving one run out at a time.

For a selection of features with delayed, centred design X_s and the nuisance design X_n the kernel is

    K = X_n X_n^T / c_n + X_s X_s^T / c_s,      c such that the mean diagonal of each part is 1.

Per held-out run the model is fitted to the other runs, with an alpha per parcel that leave-one-run-out *among those
other runs* chooses; the run that is scored never takes part in any choice. r is Pearson's correlation of prediction and
response within the held-out run, averaged over runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import linalg

from saebrain.errors import InputError
from saebrain.progress import Report, silent
from saebrain.scores import Scores

# Eigenvalues below this share of the largest are rounding noise in float32; dropping them makes low-rank kernels cheap.
RANK_TOLERANCE = 1e-6
VERTICES_PER_PARCEL = 12
VERTICES_AT_ONCE = 4096


def linear_kernel(x: Float[np.ndarray, "samples columns"]) -> Float[np.ndarray, "samples samples"]:
    """Undelayed kernel of a design whose columns are centred within runs."""
    return x @ x.T


def delayed_kernel(kernel: Float[np.ndarray, "samples samples"], run_lengths: list[int], delays: list[int]) -> Float[np.ndarray, "samples samples"]:
    """Kernel of the delayed design: K[t, t'] = sum_d K0[t - d, t' - d] within runs, 0 before a run's start.

    The result is centred within every run, as if each delayed column had been, and scaled to a mean diagonal of 1.

    Raises
    ------
    InputError
        If the kernel is zero: no feature of the selection is active.
    """
    runs = _runs(run_lengths)
    shifted = np.zeros_like(kernel)
    for a in runs:
        for b in runs:
            for d in delays:
                earlier = kernel[a.start : max(a.stop - d, a.start), b.start : max(b.stop - d, b.start)]
                shifted[a.start + d : a.stop, b.start + d : b.stop] += earlier
    for run in runs:
        shifted[run] -= shifted[run].mean(axis=0, keepdims=True)
    for run in runs:
        shifted[:, run] -= shifted[:, run].mean(axis=1, keepdims=True)
    scale = float(np.trace(shifted)) / len(shifted)
    if not scale > 0:
        raise InputError("the selection has no feature that is active in the stimulus; choose more categories or features")
    return (shifted / scale).astype(np.float32)


def leave_one_run_out(
    features: Float[np.ndarray, "samples samples"] | None,
    nuisance: Float[np.ndarray, "samples samples"],
    responses: Sequence[Float[np.ndarray, "samples vertices"]],
    run_lengths: list[int],
    parcels: Int[np.ndarray, " vertices"],
    alphas: list[float],
    *,
    seed: int = 0,
    report: Report = silent,
) -> list[Scores]:
    """Score a selection of features beside the nuisance bands, in several subjects who had the same stimulus.

    Parameters
    ----------
    features, nuisance : arrays
        Kernels from :func:`delayed_kernel`; ``features`` is None to score the nuisance bands alone.
    responses : sequence of float32 arrays
        One a subject, standardised within runs; all-zero columns are vertices without data.
    parcels : int array
        Parcel of each vertex, -1 for none (such vertices share one alpha).
    alphas : list of float
        Penalties to choose from.

    Raises
    ------
    InputError
        If there are fewer than three runs: alpha could not be chosen apart from the run that is scored.
    """
    if len(run_lengths) < 3:
        raise InputError(
            f"{len(run_lengths)} run(s): leaving one out and choosing alpha among the others needs at least 3; split long runs at pauses"
        )
    kernel = nuisance if features is None else features + nuisance
    runs = _runs(run_lengths)
    subjects = [_Subject.of(y, parcels, len(runs), seed) for y in responses]
    loss = _losses(kernel, np.concatenate([subject.y[:, subject.sample] for subject in subjects], axis=1), runs, alphas)
    best = np.asarray(alphas, np.float32)[loss.argmin(axis=1)]
    for subject, own in zip(subjects, np.split(best, np.cumsum([len(subject.sample) for subject in subjects])[:-1], axis=1), strict=True):
        subject.take_alphas(own)
    for held, test in enumerate(runs):
        basis = _Basis.of(kernel, [run for run in runs if run != test])
        tests = [basis.turned(part, test) for part in (kernel, features) if part is not None]
        for subject in subjects:
            subject.score(held, test, basis, tests)
        report(held + 1, len(runs))
    return [subject.scores() for subject in subjects]


def correlation(prediction: Float[np.ndarray, "samples vertices"], response: Float[np.ndarray, "samples vertices"]) -> Float[np.ndarray, " vertices"]:
    """Pearson's r of each column; NaN where the response does not vary, 0 where only the prediction does not: it explains nothing."""
    a = prediction - prediction.mean(axis=0)
    b = response - response.mean(axis=0)
    aa, bb, ab = (np.einsum("ij,ij->j", x, y) for x, y in ((a, a), (b, b), (a, b)))
    r = np.divide(ab, np.sqrt(aa * bb), out=np.zeros_like(ab), where=aa * bb > 0)
    return np.where(bb > 0, r, np.nan)


def _runs(run_lengths: list[int]) -> list[slice]:
    return [slice(start, stop) for start, stop in pairwise(np.cumsum([0, *run_lengths]).tolist())]


@dataclass(frozen=True)
class _Basis:
    """The kernel among some runs, K = Q diag(w) Q^T."""

    runs: list[slice]
    w: Float[np.ndarray, " rank"]
    Q: Float[np.ndarray, "train rank"]

    @classmethod
    def of(cls, kernel: Float[np.ndarray, "samples samples"], runs: list[slice]) -> _Basis:
        """Decompose; in a direction where K is zero every summand of it is too, so that dropping it loses nothing."""
        among = np.block([[kernel[a, b] for b in runs] for a in runs])
        w, Q = linalg.eigh(among, driver="evd", overwrite_a=True, check_finite=False)
        keep = w > RANK_TOLERANCE * w[-1]
        return cls(runs, w[keep], np.ascontiguousarray(Q[:, keep]))

    def turned(self, kernel: Float[np.ndarray, "samples samples"], test: slice) -> Float[np.ndarray, "test rank"]:
        """Rows of a kernel for a run outside, times Q."""
        return np.hstack([kernel[test, run] for run in self.runs]) @ self.Q

    def project(self, y: Float[np.ndarray, "samples columns"]) -> Float[np.ndarray, "rank columns"]:
        """Q^T Y, without a copy of Y's rows."""
        z = np.zeros((len(self.w), y.shape[1]), np.float32)
        row = 0
        for run in self.runs:
            part = y[run]
            z += self.Q[row : row + len(part)].T @ part
            row += len(part)
        return z


def _losses(
    kernel: Float[np.ndarray, "samples samples"], y: Float[np.ndarray, "samples targets"], runs: list[slice], alphas: list[float]
) -> Float[np.ndarray, "runs alphas targets"]:
    """Squared error of leave-one-run-out among all runs but one, for each run that is left out of it altogether.

    A model without runs a and b predicts b for the choice that a's score rests on, and a for b's: one decomposition a pair.
    """
    loss = np.zeros((len(runs), len(alphas), y.shape[1]), np.float32)
    for a, b in combinations(range(len(runs)), 2):
        basis = _Basis.of(kernel, [run for n, run in enumerate(runs) if n not in (a, b)])
        z = basis.project(y)
        for held, test in ((a, b), (b, a)):
            turned = basis.turned(kernel, runs[test])
            for row, alpha in enumerate(alphas):
                error = y[runs[test]] - (turned / (basis.w + np.float32(alpha))) @ z
                loss[held, row] += np.einsum("ij,ij->j", error, error) / len(error)
    return loss


@dataclass
class _Subject:
    """One subject's responses, and what has been found about them so far. ``sample``: the vertices that choose alphas."""

    data: Bool[np.ndarray, " vertices"]
    y: Float[np.ndarray, "samples vertices"]
    group: Int[np.ndarray, " vertices"]
    sample: Int[np.ndarray, " sampled"]
    alphas: Float[np.ndarray, "runs groups"]
    r: Float[np.ndarray, "runs vertices"]
    r_features: Float[np.ndarray, "runs vertices"]

    @classmethod
    def of(cls, responses: Float[np.ndarray, "samples vertices"], parcels: Int[np.ndarray, " vertices"], n_runs: int, seed: int) -> _Subject:
        data = np.asarray(responses.any(axis=0))
        if not data.any():
            raise InputError("responses: every vertex is constant; check the files under responses/")
        # Vertices without data may go with any parcel: they are predicted to be the 0 that they are, and score NaN.
        group = np.unique(np.where(data, parcels, parcels[data][0]), return_inverse=True)[1]
        rng = np.random.default_rng(seed)
        picks = [rng.permutation(np.flatnonzero(data & (group == g)))[:VERTICES_PER_PARCEL] for g in range(group.max() + 1)]
        empty = np.full((n_runs, len(group)), np.nan, np.float32)
        return cls(data, responses, group, np.sort(np.concatenate(picks)), np.zeros((n_runs, len(picks)), np.float32), empty, empty.copy())

    def take_alphas(self, best: Float[np.ndarray, "runs sampled"]) -> None:
        """A parcel's alpha is the median of its sampled vertices' best."""
        of = self.group[self.sample]
        for g in range(self.alphas.shape[1]):
            self.alphas[:, g] = np.quantile(best[:, of == g], 0.5, axis=1, method="nearest")

    def score(self, held: int, test: slice, basis: _Basis, tests: list[Float[np.ndarray, "test rank"]]) -> None:
        """Predict a run, K_test (K + alpha I)^-1 Y, for each of the test kernels, a block of vertices at a time."""
        alpha = self.alphas[held][self.group]
        for start in range(0, self.y.shape[1], VERTICES_AT_ONCE):
            block = slice(start, start + VERTICES_AT_ONCE)
            z = basis.project(self.y[:, block])
            z /= basis.w[:, None] + alpha[block]
            for found, turned in zip((self.r, self.r_features), tests, strict=False):
                found[held, block] = correlation(turned @ z, self.y[test, block])

    def scores(self) -> Scores:
        return Scores(self.r.mean(axis=0), self.r_features.mean(axis=0), self.alphas)
