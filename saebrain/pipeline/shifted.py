"""Does a selection add to the nuisance bands? Responses of parcels turned round within runs, and everything fitted again.

The statistic is the gain g = r(nuisance and selection) - r(nuisance), held out. A draw turns the responses of every run by a random
shift, the same for all parcels and subjects; then both models choose their penalty anew, fit and score. What the nuisance
bands explain by least squares stays in place (Freedman and Lane 1983) if they have few columns for the samples there are;
otherwise it is turned with the rest, which makes the test conservative (docs/inference.md).

All parcels share one penalty for each held-out run, chosen by twelve predicted parcels of each subject on the other runs: a quarter of the
work of a penalty for each parcel, and in the demo a little more accurate (docs/encoding.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int

from saebrain.encoding.kernels import Kernel, factor
from saebrain.encoding.layout import Fold
from saebrain.encoding.scorer import Scorer, Targets, TargetScores, correlation
from saebrain.errors import InputError
from saebrain.inference.autocorrelation import effective_samples
from saebrain.inference.multiple import fdr, p_values
from saebrain.inference.orders import circular_shifts
from saebrain.inference.permutation import NullTest, ScoreMany, least_squares_fit, shift_responses
from saebrain.pipeline.parcelwise import Parcels, predicted_parcels, run_lengths, segment_lengths
from saebrain.pipeline.problem import Problem
from saebrain.progress import Report, silent

MOST_COLUMNS = 0.08
"""Columns of the nuisance that may stay in place, as a share of the effective samples: 4 of 52 held the level, 20 of 52 did not."""
CHOOSING = 12
"""Parcels of each subject that choose the penalty for all."""
VERSIONS_AT_ONCE = 16


@dataclass(frozen=True)
class GainTest:
    """Test of a gain in every target.

    gain : observed and null. r : of the whole model. fitted : whether the nuisance's fit stayed in place.
    """

    gain: NullTest
    r: Float[np.ndarray, " targets"]
    fitted: bool


def gain_test(problem: Problem, added: Kernel, base: Kernel, parcels: Parcels, *, n: int, seed: int, thin: bool, report: Report = silent) -> GainTest:
    """Test what a kernel adds to another, both of mean diagonal 1, in parcels.

    Parameters
    ----------
    thin : bool
        Whether ``base`` has few dimensions, as the nuisance bands have: it is scored from its columns, and what they explain may
        stay in place.
    """
    y, chooses = parcels.y, choosing(problem, parcels)
    section, folds, lengths = problem.study.config.encoding, problem.layout.folds, segment_lengths(problem)
    columns = factor(base).astype(np.float32) if thin else None

    def scored(kernel: Kernel) -> ScoreMany:
        scorer = Scorer(None, kernel, folds, section.alphas, n_targets=(n + 1) * y.shape[1], keep=True, device=section.device)
        return Shared(scorer, chooses).r

    both = scored(base + added)
    alone = scored(base) if columns is None else Shared(ThinScorer(columns, folds, section.alphas), chooses).r

    def gain(versions: Sequence[Float[np.ndarray, "samples targets"]]) -> Float[np.ndarray, "versions targets"]:
        again = [problem.layout.standardise_kept(version.copy()) for version in versions]
        return both(again) - alone(again)

    fitted = None
    if columns is not None and columns.shape[1] <= MOST_COLUMNS * effective_samples(y, run_lengths(problem)):
        fitted = least_squares_fit(columns, y, lengths)
    orders = circular_shifts(run_lengths(problem), n, seed=seed)
    test = shift_responses(gain, y, orders, fitted=fitted, batch=VERSIONS_AT_ONCE, report=report)
    return GainTest(test, both([y])[0], fitted is not None)


def parcel_rows(parcels: Parcels, test: GainTest) -> list[dict[str, object]]:
    """A row a subject and parcel: r, gain, p; q and p_max among the parcels of the subject."""
    gain, r = parcels.apart(test.gain.observed), parcels.apart(test.r)
    p = parcels.apart(test.gain.p)
    null = parcels.apart(test.gain.null)
    frames = []
    for row, subject in enumerate(parcels.subjects):
        own = NullTest(gain[row], null[:, row], p[row], "greater")
        frames.append(_frame(parcels, r[row], own).assign(subject=subject))
    return list(pd.concat(frames)[["subject", "hemisphere", "parcel", "r", "gain", "p", "q", "p_max"]].to_dict("records"))


def mean_rows(parcels: Parcels, test: GainTest) -> list[dict[str, object]]:
    """A row a parcel: the mean over subjects against the mean of the same draws."""
    own = NullTest.of(parcels.apart(test.gain.observed).mean(axis=0), parcels.apart(test.gain.null).mean(axis=1), "greater")
    return list(_frame(parcels, parcels.apart(test.r).mean(axis=0), own).to_dict("records"))


def region(parcels: Parcels, test: GainTest, inside: Bool[np.ndarray, " parcels"]) -> dict[str, object]:
    """The mean gain over some parcels: of the mean over subjects, and of each subject."""
    observed = np.nanmean(parcels.apart(test.gain.observed)[:, inside], axis=1)
    null = np.nanmean(parcels.apart(test.gain.null)[:, :, inside], axis=2)
    by_subject = {s: {"gain": g, "p": p} for s, g, p in zip(parcels.subjects, observed, p_values(observed, null), strict=True)}
    return {"gain": observed.mean(), "p": float(p_values(observed.mean(), null.mean(axis=1))), "by_subject": by_subject}


def _frame(parcels: Parcels, r: Float[np.ndarray, " parcels"], test: NullTest) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "hemisphere": [hemisphere for hemisphere, _ in parcels.atlas.parcels],
            "parcel": [name for _, name in parcels.atlas.parcels],
            "r": r,
            "gain": test.observed,
            "p": test.p,
            "q": fdr(test.p),
            "p_max": test.familywise(),
        }
    )


def choosing(problem: Problem, parcels: Parcels) -> Int[np.ndarray, " targets"]:
    """Targets that choose the penalty for all: of each subject ``CHOOSING`` parcels with data, spread evenly over the predicted ones."""
    with_data = np.logical_and.reduce([parcels.y[segment].any(axis=0) for segment in problem.layout.segments])
    inside = parcels.apart(with_data & parcels.of_all(predicted_parcels(problem)))
    if not inside.any():
        raise InputError("no predicted parcel has data in every run; check the files under responses/")
    chosen = []
    for subject, row in enumerate(inside):
        own = np.flatnonzero(row)
        chosen.append(subject * len(row) + own[np.linspace(0, len(own) - 1, min(CHOOSING, len(own))).round().astype(int)])
    return np.concatenate(chosen)


class Scoring(Protocol):
    """What scores targets, given their penalties, and says how well each penalty does on the other folds."""

    def losses(self, targets: Sequence[Targets]) -> Float[np.ndarray, "folds alphas targets"]: ...

    def score(self, y: Float[np.ndarray, "samples targets"], chosen: Int[np.ndarray, "folds targets"]) -> TargetScores: ...


@dataclass(frozen=True)
class Shared:
    """A model whose targets share one penalty for each held-out fold. chooses : the targets that choose it."""

    model: Scoring
    chooses: Int[np.ndarray, " targets"]

    def r(self, versions: Sequence[Float[np.ndarray, "samples targets"]]) -> Float[np.ndarray, "versions targets"]:
        """Mean r over folds of versions of the same targets; each version chooses for itself."""
        y = np.concatenate(versions, axis=1)
        count, each = len(versions), versions[0].shape[1]
        columns = (np.arange(count)[:, None] * each + self.chooses).ravel()
        loss = self.model.losses([(y, columns)])
        chosen = loss.reshape(*loss.shape[:2], count, -1).sum(axis=3).argmin(axis=1)
        return np.asarray(self.model.score(y, np.repeat(chosen, each, axis=1)).r.mean(axis=0).reshape(count, each))


class ThinScorer:
    """What :class:`saebrain.encoding.scorer.Scorer` does, for a kernel of few dimensions, from its columns: a hundredth of the work.

    w = (Z_R^T Z_R + a I)^-1 Z_R^T Y_R predicts Z_F w.
    """

    def __init__(self, Z: Float[np.ndarray, "samples rank"], folds: Sequence[Fold], alphas: Sequence[float]) -> None:
        self.Z, self.folds, self.alphas = Z, list(folds), np.asarray(alphas, float)

    def losses(self, targets: Sequence[Targets]) -> Float[np.ndarray, "folds alphas targets"]:
        """Mean squared error when folds other than a given one are left out in turn, summed over them."""
        y = np.concatenate([y[:, columns] for y, columns in targets], axis=1)
        loss = np.zeros((len(self.folds), len(self.alphas), y.shape[1]))
        for f, v in permutations(range(len(self.folds)), 2):
            test, weights = self.folds[v].test, self._without(y, np.union1d(self.folds[f].out, self.folds[v].out))
            for row, alpha in enumerate(self.alphas):
                e = y[test] - self.Z[test] @ weights(alpha)
                loss[f, row] += np.einsum("ij,ij->j", e, e) / len(test)
        return loss

    def score(self, y: Float[np.ndarray, "samples targets"], chosen: Int[np.ndarray, "folds targets"]) -> TargetScores:
        """r within each held-out fold, given alphas; NaN where a target does not vary."""
        r = []
        for fold, rows in zip(self.folds, chosen, strict=True):
            prediction = self.Z[fold.test] @ self._without(y, fold.out)(self.alphas[rows])
            r.append(correlation(torch.from_numpy(prediction), torch.from_numpy(y[fold.test])).numpy())
        return TargetScores(np.stack(r), np.full(chosen.shape, np.nan), chosen)

    def _without(
        self, y: Float[np.ndarray, "samples targets"], out: Int[np.ndarray, " out"]
    ) -> Callable[[Float[np.ndarray, "*targets"]], Float[np.ndarray, "rank targets"]]:
        """From alphas, one or one a target, to weights fitted without some rows."""
        rows = np.setdiff1d(np.arange(len(y)), out)
        Z = self.Z[rows]
        w, V = np.linalg.eigh(Z.T.astype(float) @ Z)
        c = V.T @ (Z.T @ y[rows])
        return lambda alpha: (V @ (c / (np.maximum(w, 0)[:, None] + alpha))).astype(np.float32)
