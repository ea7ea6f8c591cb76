"""Parcels of all subjects side by side, as targets of one kernel: what all resampling works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from saebrain.encoding.kernels import Kernel
from saebrain.encoding.scorer import Scorer
from saebrain.inference.partition import r_squared
from saebrain.inference.runs import mean_correlation
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.selection import subcategories
from saebrain.surface.atlas import Atlas


@dataclass(frozen=True, eq=False)
class Parcels:
    """Mean responses of parcels, standardised within segments; a column with 0 in any segment has no data and scores NaN.

    y : columns are the parcels of the first subject, then those of the next.
    """

    subjects: list[str]
    atlas: Atlas
    y: Float[np.ndarray, "samples targets"]

    @classmethod
    def of(cls, problem: Problem) -> Parcels:
        """Those of all subjects of a problem."""
        means = problem.measured.parcels
        return cls(list(means), problem.atlas, np.concatenate(list(means.values()), axis=1))

    def apart(self, values: Float[np.ndarray, "*axes targets"]) -> Float[np.ndarray, "*axes subjects parcels"]:
        """Values of targets, subject by subject."""
        return values.reshape(*values.shape[:-1], len(self.subjects), len(self.atlas))

    def of_all(self, inside: Bool[np.ndarray, " parcels"]) -> Bool[np.ndarray, " targets"]:
        """Which targets are among some parcels, in every subject."""
        return np.tile(inside, len(self.subjects))


@dataclass(frozen=True)
class Accuracy:
    """Held-out accuracy of each target; NaN where it does not vary.

    r : Pearson's correlation within folds, averaged over them. r2 : 1 - SSE / SST over all folds.
    chosen : alpha, as a row of those to choose from.
    """

    r: Float[np.ndarray, " targets"]
    r2: Float[np.ndarray, " targets"]
    chosen: Int[np.ndarray, "folds targets"]


def accuracy(problem: Problem, kernel: Kernel, y: Float[np.ndarray, "samples targets"]) -> Accuracy:
    """Score targets with a kernel that has the nuisance bands in it, an alpha each."""
    section = problem.study.config.encoding
    folds, lengths = problem.layout.folds, segment_lengths(problem)
    scorer = Scorer(None, kernel, folds, section.alphas, n_targets=y.shape[1], device=section.device)
    chosen = scorer.losses([(y, np.arange(y.shape[1]))]).argmin(axis=1)
    prediction = scorer.predictions(y, chosen)[0]
    without = np.any([~y[segment].any(axis=0) for segment in problem.layout.segments], axis=0)
    r = np.where(without, np.nan, mean_correlation(prediction, y, lengths))
    return Accuracy(r, np.where(without, np.nan, r_squared(prediction, y, lengths)), chosen)


def segment_lengths(problem: Problem) -> list[int]:
    """Samples of each segment, which is what a fold holds out."""
    return [segment.stop - segment.start for segment in problem.layout.segments]


def run_lengths(problem: Problem) -> list[int]:
    """Samples of each run that count; a run may have several segments."""
    ends = np.cumsum(problem.layout.run_lengths)
    return np.bincount(np.searchsorted(ends, problem.layout.kept, side="right"), minlength=len(ends)).tolist()


def predicted_by(problem: Problem, path: str) -> Bool[np.ndarray, " parcels"]:
    """Parcels, of both hemispheres, that the codebook predicts for a label."""
    names = problem.codebook.predicted(path)
    return np.array([name in names for _, name in problem.atlas.parcels])


def predicted_parcels(problem: Problem) -> Bool[np.ndarray, " parcels"]:
    """Parcels that any semantic subcategory predicts: fixed by the codebook before any response was seen."""
    return np.any([predicted_by(problem, path) for path in subcategories(problem.codebook)], axis=0)
