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

import numpy as np
from himalaya.backend import set_backend
from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search
from himalaya.scoring import l2_neg_loss
from jaxtyping import Bool, Float, Int
from scipy import linalg
from sklearn.model_selection import PredefinedSplit

from saebrain.errors import InputError
from saebrain.progress import Report, silent
from saebrain.scores import Scores

# Eigenvalues below this share of the largest are rounding noise in float32; dropping them makes low-rank kernels cheap.
RANK_TOLERANCE = 1e-6
VERTICES_PER_PARCEL = 12


def linear_kernel(x: Float[np.ndarray, "samples columns"]) -> Float[np.ndarray, "samples samples"]:
    """Undelayed kernel of a design whose columns are centred within runs."""
    return x @ x.T


def delayed_kernel(
    kernel: Float[np.ndarray, "samples samples"], run_lengths: list[int], delays: list[int]
) -> Float[np.ndarray, "samples samples"]:
    """Kernel of the delayed design: K[t, t'] = sum_d K0[t - d, t' - d] within runs, 0 before a run's start.

    The result is centred within every run, as if each delayed column had been, and scaled to a mean diagonal of 1.

    Raises
    ------
    InputError
        If the kernel is zero: no feature of the selection is active.
    """
    starts = np.concatenate([[0], np.cumsum(run_lengths)])
    shifted = np.zeros_like(kernel)
    for a, a_end in zip(starts[:-1], starts[1:], strict=True):
        for b, b_end in zip(starts[:-1], starts[1:], strict=True):
            for d in delays:
                shifted[a + d : a_end, b + d : b_end] += kernel[a : a_end - d, b : b_end - d]
    for a, a_end in zip(starts[:-1], starts[1:], strict=True):
        shifted[a:a_end] -= shifted[a:a_end].mean(axis=0, keepdims=True)
    for a, a_end in zip(starts[:-1], starts[1:], strict=True):
        shifted[:, a:a_end] -= shifted[:, a:a_end].mean(axis=1, keepdims=True)
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
        raise InputError(f"{len(run_lengths)} run(s): leaving one out and choosing alpha among the others needs at least 3; split long runs at pauses")
    kernel = nuisance if features is None else features + nuisance
    run = np.repeat(np.arange(len(run_lengths)), run_lengths)
    subjects = [_Subject.of(y, parcels, len(run_lengths), seed) for y in responses]
    sampled = np.concatenate([subject.y[:, subject.sample] for subject in subjects], axis=1)
    for held in range(len(run_lengths)):
        train, test = run != held, run == held
        best = _best_alphas(kernel[np.ix_(train, train)], sampled[train], run[train], alphas)
        basis = _Basis.of(kernel[np.ix_(train, train)], [kernel[np.ix_(test, train)], *([] if features is None else [features[np.ix_(test, train)]])])
        for subject in subjects:
            subject.take_alphas(held, best[: len(subject.sample)])
            best = best[len(subject.sample) :]
            whole, *part = basis.predict(subject.y[train], subject.alphas[held][subject.group])
            subject.r[held] = correlation(whole, subject.y[test])
            if part:
                subject.r_features[held] = correlation(part[0], subject.y[test])
        report(held + 1, len(run_lengths))
    return [subject.scores() for subject in subjects]


def correlation(a: Float[np.ndarray, "samples vertices"], b: Float[np.ndarray, "samples vertices"]) -> Float[np.ndarray, " vertices"]:
    """Pearson's r of each column; NaN where either does not vary."""
    a = a - a.mean(axis=0)
    b = b - b.mean(axis=0)
    norm = np.sqrt(np.einsum("ij,ij->j", a, a) * np.einsum("ij,ij->j", b, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norm > 0, np.einsum("ij,ij->j", a, b) / norm, np.nan)


@dataclass(frozen=True)
class _Basis:
    """Training kernel K = Q diag(w) Q^T, with each test kernel already turned into that basis."""

    w: Float[np.ndarray, " rank"]
    Q: Float[np.ndarray, "train rank"]
    tests: list[Float[np.ndarray, "test rank"]]

    @classmethod
    def of(cls, kernel: Float[np.ndarray, "train train"], tests: list[Float[np.ndarray, "test train"]]) -> _Basis:
        """Decompose; in a direction where K is zero every summand of it is too, so that dropping it loses nothing."""
        w, Q = linalg.eigh(kernel, check_finite=False)
        keep = w > RANK_TOLERANCE * w[-1]
        Q = np.ascontiguousarray(Q[:, keep])
        return cls(w[keep], Q, [test @ Q for test in tests])

    def predict(self, y: Float[np.ndarray, "train vertices"], alpha: Float[np.ndarray, " vertices"]) -> list[Float[np.ndarray, "test vertices"]]:
        """K_test (K + alpha I)^-1 Y with one alpha a vertex, for each of the test kernels."""
        z = self.Q.T @ y
        z /= self.w[:, None] + alpha[None, :]
        return [test @ z for test in self.tests]


@dataclass
class _Subject:
    """One subject's vertices with data, and what has been found about them so far."""

    data: Bool[np.ndarray, " vertices"]
    y: Float[np.ndarray, "samples kept"]
    group: Int[np.ndarray, " kept"]
    sample: Int[np.ndarray, " sampled"]
    alphas: Float[np.ndarray, "runs groups"]
    r: Float[np.ndarray, "runs kept"]
    r_features: Float[np.ndarray, "runs kept"]

    @classmethod
    def of(cls, responses: Float[np.ndarray, "samples vertices"], parcels: Int[np.ndarray, " vertices"], n_runs: int, seed: int) -> _Subject:
        data = responses.any(axis=0)
        if not data.any():
            raise InputError("responses: every vertex is constant; check the files under responses/")
        group = np.unique(parcels[data], return_inverse=True)[1]
        rng = np.random.default_rng(seed)
        picks = [rng.permutation(np.flatnonzero(group == g))[:VERTICES_PER_PARCEL] for g in range(group.max() + 1)]
        empty = np.full((n_runs, len(group)), np.nan, np.float32)
        return cls(
            data, responses[:, data], group, np.sort(np.concatenate(picks)), np.zeros((n_runs, len(picks)), np.float32), empty, empty.copy()
        )

    def take_alphas(self, held: int, best: Float[np.ndarray, " sampled"]) -> None:
        """A parcel's alpha is the median of its sampled vertices' best."""
        of = self.group[self.sample]
        self.alphas[held] = [np.quantile(best[of == g], 0.5, method="nearest") for g in range(self.alphas.shape[1])]

    def scores(self) -> Scores:
        def spread(values: Float[np.ndarray, " kept"]) -> Float[np.ndarray, " vertices"]:
            out = np.full(len(self.data), np.nan, np.float32)
            out[self.data] = values
            return out

        return Scores(spread(self.r.mean(axis=0)), spread(self.r_features.mean(axis=0)), self.alphas)


def _best_alphas(
    kernel: Float[np.ndarray, "train train"], y: Float[np.ndarray, "train sampled"], run: Int[np.ndarray, " train"], alphas: list[float]
) -> Float[np.ndarray, " sampled"]:
    """The alpha with the least squared error in leave-one-run-out among the training runs, for every sampled vertex."""
    set_backend("numpy", on_error="raise")
    deltas, _, _ = solve_multiple_kernel_ridge_random_search(
        Ks=kernel[None],
        Y=y,
        n_iter=np.ones((1, 1), np.float32),  # the one way to mix one kernel
        alphas=np.asarray(alphas, np.float32),
        cv=PredefinedSplit(run),
        score_func=l2_neg_loss,
        jitter_alphas=False,
        progress_bar=False,
    )
    # himalaya returns log(mixture / alpha) a target
    return np.exp(-deltas[0]).astype(np.float32)
