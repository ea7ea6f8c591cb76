"""Do subcategories contribute where the codebook predicts it? Predicted against observed, subcategory x parcel.

Observed is the unique contribution in r (:mod:`saebrain.pipeline.contributions`), a mean over each parcel's points. Predicted is yes or no.
``rho`` is Spearman's rho over all cells of subcategories x parcels *that the codebook predicts for any subcategory*: whether they
respond to meaning is not the question, but which of them to which. Against a prediction of yes and no, rho cannot reach 1: ties bound
it at sqrt(3 s (1 - s)), s the share of yes (.74 here, .60 over the whole cortex). ``rho_max`` is that bound, and
``rank_biserial`` = rho / rho_max = 2 AUC - 1 is 1 when every predicted cell ranks above every other one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from saebrain.inference.multiple import p_values
from saebrain.inference.spin import parcel_permutations, partners
from saebrain.inference.topography import bilateral, overlap, spearman, specific, winners
from saebrain.pipeline.contributions import Contributions, unique_contributions
from saebrain.pipeline.filed import filed, opened, read_filed
from saebrain.pipeline.once import once
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.space import study_space, study_sphere
from saebrain.pipeline.spun import Grid, spin_test
from saebrain.progress import Report, silent
from saebrain.study import Study
from saebrain.surface.atlas import Atlas

VERSION = 1
DRAWS = 10_000
OVERALL = ("predicted parcels", "all parcels", "mean of subcategories", "less the parcel's mean")
"""rho over predicted parcels (the first is `rho`), over all, the mean of each subcategory's own over all, and over predicted parcels with
each parcel's mean over subcategories taken off."""
DEFINITION = (
    "observed: held-out r of nuisance and all subcategories less r without this one, mean over the parcel's points and over subjects; "
    "rho: Spearman's, over all cells of subcategories x parcels that the codebook predicts for any; "
    "p_spin: maps of vertices turned on the sphere, both hemispheres alike; p_parcel: parcels shuffled, namesakes together; "
    "p_hypergeom: predicted parcels among each subcategory's top, hemispheres averaged, summed over subcategories"
)
BINS = np.linspace(-1, 1, 81)


def compute(study: Study | Path, arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    """Topography of a study as a job: if not as usual ``n`` spins, ``seed``, ``layer``. What is there already is returned.

    Raises
    ------
    MissingStepError
        If what encoding needs is missing or out of date.
    InputError
        If fewer than two subcategories have active features.
    """
    study = opened(study, arguments)
    n, seed = int(arguments.get("n", DRAWS)), int(arguments.get("seed", 0))
    return once(study, _path(study, n, seed), lambda problem: run_topography(problem, n=n, seed=seed, report=report))


def read_topography(study: Study, *, n: int = DRAWS, seed: int = 0) -> dict[str, Any] | None:
    """What was computed for the study as it is now; None if nothing was."""
    return read_filed(_path(study, n, seed))


def run_topography(problem: Problem, *, n: int, seed: int, report: Report = silent) -> dict[str, Any]:
    """Fit and test; nothing is written."""
    share = n // 20 + 1  # of the progress, for each fit
    points = Grid.of(study_sphere(problem.study), problem.atlas, study_space(problem.study).surfaces.n_left)
    found = unique_contributions(problem, points.vertices, lambda done, total: report(done * share, total * share + n))
    fitted = (len(found.paths) + 1) * share
    return {
        "version": VERSION,
        "layer": problem.study.layer,
        "simulated": problem.study.simulated,
        "definition": DEFINITION,
        **compare(problem, found, points, n=n, seed=seed, report=lambda done, total: report(fitted + done, fitted + total)),
    }


def compare(problem: Problem, found: Contributions, points: Grid, *, n: int, seed: int, report: Report = silent) -> dict[str, Any]:
    """Predicted against given contributions."""
    atlas, subjects = problem.atlas, found.subjects
    predicted = np.array([[name in problem.codebook.predicted(path) for _, name in atlas.parcels] for path in found.paths])
    maps = np.concatenate([found.r.mean(axis=0, keepdims=True), found.r])  # the mean over subjects, then each of them
    flat, shape = maps.reshape(-1, maps.shape[2]), maps.shape[:2]

    def statistic(means: Float[np.ndarray, "draws maps parcels"]) -> Float[np.ndarray, "draws statistics"]:
        return rhos(predicted, means.reshape(len(means), *shape, -1)).reshape(len(means), -1)

    observed, null = spin_test(flat, points, statistic, n=n, seed=seed, report=report)
    means = points.means(flat)[0].reshape(*shape, -1)
    shuffled = means[0][:, parcel_permutations(partners(atlas.parcels), n, seed=seed)].swapaxes(0, 1)
    rho, p_spin = (x.reshape(len(maps), -1) for x in (observed, p_values(observed, null)))
    p_parcel = p_values(rho[0], rhos(predicted, shuffled))
    bound = rhos(predicted, np.argsort(np.argsort(predicted, axis=None, kind="stable")).reshape(1, *predicted.shape).astype(float))[0]
    group = Figures(found.paths, atlas, predicted, means[0])
    overall = [
        {"rho": rho[0, i], "rho_max": None if i == 3 else bound[i], "p_spin": p_spin[0, i], "p_parcel": p_parcel[i]} for i in range(len(OVERALL))
    ]
    first = len(OVERALL)
    by_subcategory = [
        {"path": path, "rho": rho[0, first + i], "rho_max": bound[first + i], "p_spin": p_spin[0, first + i], "p_parcel": p_parcel[first + i], **row}
        for i, (path, row) in enumerate(zip(found.paths, group.overlaps, strict=True))
    ]
    counts, _ = np.histogram(null[:, 0], BINS)
    return {
        "n": n,
        "seed": seed,
        "subjects": subjects,
        "subcategories": found.paths,
        "absent": found.absent,
        "parcels": [{"hemisphere": hemisphere, "parcel": name} for hemisphere, name in atlas.parcels],
        **overall[0],
        "rank_biserial": rho[0, 0] / bound[0],
        "p_hypergeom": group.p_hypergeom,
        "predicted": predicted,
        "observed": means[0],
        "overall": dict(zip(OVERALL, overall, strict=True)),
        "by_subcategory": by_subcategory,
        **group.won,
        "null": {"edges": BINS, "counts": counts},
        "by_subject": {
            subject: {
                "rho": rho[row, 0],
                "rank_biserial": rho[row, 0] / bound[0],
                "p_spin": p_spin[row, 0],
                "p_hypergeom": Figures(found.paths, atlas, predicted, means[row]).p_hypergeom,
                "observed": means[row],
                **Figures(found.paths, atlas, predicted, means[row]).won,
            }
            for row, subject in enumerate(subjects, start=1)
        },
    }


def rhos(
    predicted: Bool[np.ndarray, "subcategories parcels"], observed: Float[np.ndarray, "*axes subcategories parcels"]
) -> Float[np.ndarray, "*axes statistics"]:
    """Spearman's rho in the ways of ``OVERALL``, then that of each subcategory over all parcels."""
    inside, prior = predicted.any(axis=0), predicted.astype(float)
    lead = observed.shape[:-2]
    here = observed[..., inside]
    centred = np.moveaxis(specific(np.moveaxis(here, -2, 0)), 0, -2)
    own = spearman(prior, observed)
    pooled = [spearman(prior[:, inside].ravel(), x.reshape(*lead, -1)) for x in (here, centred)]
    whole = spearman(prior.ravel(), observed.reshape(*lead, -1))
    return np.concatenate([np.stack([pooled[0], whole, own.mean(axis=-1), pooled[1]], axis=-1), own], axis=-1)


class Figures:
    """What is read off one map of contributions."""

    def __init__(
        self,
        paths: list[str],
        atlas: Atlas,
        predicted: Bool[np.ndarray, "subcategories parcels"],
        observed: Float[np.ndarray, "subcategories parcels"],
    ) -> None:
        self.paths, self.atlas, self.predicted, self.observed = paths, atlas, predicted, observed
        partner = partners(atlas.parcels)
        pairs, values = bilateral(predicted, partner) > 0, bilateral(observed, partner)
        names = np.array([name for number, (_, name) in enumerate(atlas.parcels) if number < partner[number]], dtype=object)
        self._overlaps = [overlap(a, b) for a, b in zip(pairs, values, strict=True)]
        self._top = [names[np.argsort(-b, kind="stable")[: o.k]].tolist() for b, o in zip(values, self._overlaps, strict=True)]

    @property
    def overlaps(self) -> list[dict[str, Any]]:
        """For each subcategory: how many of its top parcels were predicted, and the chance of as many."""
        return [{"overlap": vars(found), "top": top} for found, top in zip(self._overlaps, self._top, strict=True)]

    @property
    def p_hypergeom(self) -> float:
        """Chance of as many predicted parcels among the tops of all subcategories together, each hypergeometric by itself."""
        mass = np.ones(1)
        for found in self._overlaps:
            mass = np.convolve(mass, stats.hypergeom.pmf(np.arange(found.k + 1), found.parcels, found.predicted, found.k))
        return float(mass[sum(found.found for found in self._overlaps) :].sum())

    @property
    def won(self) -> dict[str, Any]:
        """The subcategory that contributes most to each parcel; how often it is a predicted one where any is, and how often chance would have it."""
        index, lead = winners(self.observed)
        rows = [
            {
                "hemisphere": hemisphere,
                "parcel": name,
                "winner": self.paths[i] if i >= 0 else None,
                "lead": by,
                "as_predicted": bool(i >= 0 and yes[i]),
            }
            for (hemisphere, name), i, by, yes in zip(self.atlas.parcels, index.tolist(), lead.tolist(), self.predicted.T.tolist(), strict=True)
        ]
        inside = np.asarray(self.predicted.any(axis=0))
        right = sum(bool(row["as_predicted"]) for row, asked in zip(rows, inside.tolist(), strict=True) if asked)
        return {"winners": rows, "hits": {"right": right, "of": int(inside.sum()), "expected": float(self.predicted[:, inside].mean(axis=0).sum())}}


def _path(study: Study, n: int, seed: int) -> Path:
    return filed(study, "topography", VERSION, n=n, seed=seed)
