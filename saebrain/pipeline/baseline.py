"""A selection against sets of other features, matched in number and activation variance (:mod:`saebrain.inference.matched`).

The score of a set is the held-out r of nuisance bands and set, averaged over subjects and over the parcels that the codebook predicts
for the selection (for one that is no label: for any subcategory). Every set, the selection too, gets the penalties that the model of
*all* features chooses, one for each held-out run: a rule that looks at no set, so that it favours none, while all kernels have
the same scale. Choosing anew for each set costs four times as much and changes little (docs/encoding.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from saebrain.encoding.kernels import finished, linear_kernel
from saebrain.encoding.scorer import Scorer
from saebrain.errors import InputError
from saebrain.inference.matched import CANDIDATES, TOLERANCE, compare, matched_sets
from saebrain.pipeline.parcelwise import Parcels, predicted_by, predicted_parcels
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.selection import ALL, canonical
from saebrain.progress import Report, silent

DEFINITION = (
    "sets of as many features from outside the selection, each in place of one of the selection's and drawn from the "
    f"{CANDIDATES} nearest to it in log variance of the course at the samples, before scaling; members are exchanged until the total variance is "
    f"within {TOLERANCE:.0%}; score: held-out r of nuisance and set, mean over subjects and over the parcels that the codebook predicts for the "
    "selection, with the penalties that all features choose"
)


def matched_baseline(problem: Problem, selection: str, parcels: Parcels, *, n: int, seed: int, report: Report = silent) -> dict[str, Any]:
    """Score ``n`` matched sets and the selection.

    Returns
    -------
    dict
        n, p, d, observed, null, definition, seed; max_deviation (of the total variance, relative), overlap (share of features that two
        sets have in common), widening, n_features (that vary), parcels: names of those scored. If no set can be drawn, n is 0, p
        and d are None and ``absent`` says why.
    """
    nothing: dict[str, Any] = {"n": 0, "p": None, "d": None, "observed": None, "null": [], "definition": DEFINITION, "seed": seed}
    try:
        features = problem.select(selection)
    except InputError as reason:
        return nothing | {"absent": str(reason)}
    if not len(features):
        return nothing | {"absent": "the selection has no feature of its own"}
    courses = problem.categories.courses(problem.labels.index.to_numpy()).T.copy()  # features x samples: a set is some rows
    try:
        sets = matched_sets(_variance(problem), features, n=n, seed=seed)
    except InputError as reason:
        return nothing | {"absent": str(reason)}
    region = region_of(problem, selection)
    score = _SetScore(problem, courses, np.ascontiguousarray(parcels.y[:, parcels.of_all(region)]))
    observed = score(sets.selection)
    null = np.empty(n)
    for row, chosen in enumerate(sets.sets):
        null[row] = score(chosen)
        report(row + 1, n)
    test = compare(np.array([observed]), null[:, None], overlap=sets.overlap)
    return nothing | {
        "n": n,
        "p": test.p[0],
        "d": test.d[0],
        "observed": observed,
        "null": null,
        "widening": test.widening,
        "overlap": sets.overlap,
        "max_deviation": sets.max_deviation,
        "n_features": len(sets.selection),
        "parcels": sorted({name for (_, name), inside in zip(problem.atlas.parcels, region.tolist(), strict=True) if inside}),
        "absent": None,
    }


def region_of(problem: Problem, selection: str) -> Bool[np.ndarray, " parcels"]:
    """Parcels that the codebook predicts for a selection; those of all subcategories if it predicts none for it."""
    name = canonical(selection, problem.codebook)
    own = name in problem.codebook.paths and bool(problem.codebook.predicted(name))
    return predicted_by(problem, name) if own else predicted_parcels(problem)


def shared_penalties(problem: Problem, y: Float[np.ndarray, "samples targets"]) -> Int[np.ndarray, " folds"]:
    """The alpha, as a row, of each held-out fold: with which all features predict the other folds of all targets best."""
    section, kernel = problem.study.config.encoding, problem.kernel(ALL)
    scorer = Scorer(kernel, problem.nuisance, problem.layout.folds, section.alphas, n_targets=y.shape[1], device=section.device)
    loss = scorer.losses([(y, np.arange(y.shape[1]))])
    return np.asarray(loss.sum(axis=2).argmin(axis=1))


class _SetScore:
    """r of nuisance and a set of features, mean over targets with data."""

    def __init__(self, problem: Problem, courses: Float[np.ndarray, "features samples"], y: Float[np.ndarray, "samples targets"]) -> None:
        self.problem, self.courses, self.y = problem, courses, y
        self.chosen = np.repeat(shared_penalties(problem, y)[:, None], y.shape[1], axis=1)

    def __call__(self, features: Int[np.ndarray, " size"]) -> float:
        problem, section = self.problem, self.problem.study.config.encoding
        kernel = finished(linear_kernel(self.courses[features].T), problem.layout, problem.response)
        kernel += problem.nuisance
        scorer = Scorer(None, kernel, problem.layout.folds, section.alphas, n_targets=self.y.shape[1], device=section.device)
        return float(np.nanmean(scorer.score(self.y, self.chosen).r.mean(axis=0)))


def _variance(problem: Problem) -> Float[np.ndarray, " features"]:
    """Of each feature's course at the samples, within runs, in squared units of activation."""
    unscaled = problem.stimulus.courses(None, unit=False)
    return np.asarray(np.einsum("ij,ij->j", unscaled, unscaled, dtype=np.float64) / len(unscaled))
