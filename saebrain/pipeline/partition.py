"""Whose variance is it? All subsets of the semantic subcategories scored in parcels, and what each explains alone or together.

The score is R^2 of held-out predictions, which adds up (:mod:`saebrain.inference.partition`); the unique contribution in r stands
beside it. Every subset is the model that `encode` fits for it: nuisance bands beside it, its kernel scaled to a mean diagonal of 1,
an alpha for each parcel chosen for this subset.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from saebrain.encoding.kernels import Kernel
from saebrain.inference.partition import Partition, partition, subsets
from saebrain.pipeline.contributions import present
from saebrain.pipeline.filed import filed, opened, read_filed
from saebrain.pipeline.once import once
from saebrain.pipeline.parcelwise import Parcels, accuracy, predicted_by, predicted_parcels
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.selection import NUISANCE
from saebrain.progress import Report, silent
from saebrain.study import Study

VERSION = 1
NOTE = (
    "score: R^2 = 1 - SSE / SST of held-out predictions; unique: all less all without it; shared: alone, less nuisance, less unique; shapley: mean "
    "gain over all orders of adding; unique_r: the same difference in r. Parts may be negative: estimation noise, or suppression. No tests: those of "
    "where subcategories contribute are with the topography"
)


def compute(study: Study | Path, arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    """Variance partitioning of a study as a job: ``layer`` if not its main one. What is there already is returned.

    Raises
    ------
    MissingStepError
        If what encoding needs is missing or out of date.
    InputError
        If fewer than two subcategories have active features.
    """
    study = opened(study, arguments)
    return once(study, _path(study), lambda problem: run_partition(problem, report))


def read_partition(study: Study) -> dict[str, Any] | None:
    """What was computed for the study as it is now; None if nothing was."""
    return read_filed(_path(study))


def run_partition(problem: Problem, report: Report = silent) -> dict[str, Any]:
    """Score all subsets and split; nothing is written.

    Returns
    -------
    dict
        subcategories; subsets: paths and score of each; parts: unique, shared, shapley, unique_r and total, in all predicted parcels;
        own: the same of each subcategory in the parcels it predicts; by_subject; parcels: a row a parcel, mean over subjects.
    """
    paths, absent = present(problem)
    parcels, inside = Parcels.of(problem), predicted_parcels(problem)
    r, r2 = _scores(problem, parcels, paths, report)
    split = partition(parcels.apart(r2))
    unique_r = np.stack([parcels.apart(r[-1] - r[-1 - (1 << i)]) for i in range(len(paths))])
    here = _Parts(paths, split, unique_r)
    values = parcels.apart(r2)
    names = subsets(paths)
    return {
        "version": VERSION,
        "layer": problem.study.layer,
        "simulated": problem.study.simulated,
        "note": NOTE,
        "subjects": parcels.subjects,
        "subcategories": paths,
        "absent": absent,
        "subsets": [
            {"paths": list(chosen), "r2": np.nanmean(v[:, inside]), "component": np.nanmean(c[:, inside])}
            for chosen, v, c in zip(names, values, split.components, strict=True)
        ],
        "parts": here.mean(inside, None),
        "own": {path: here.mean(predicted_by(problem, path), None)["by_subcategory"][path] for path in paths},
        "by_subject": {subject: here.mean(inside, row) for row, subject in enumerate(parcels.subjects)},
        "parcels": [
            {"hemisphere": hemisphere, "parcel": name, **here.mean(np.arange(len(problem.atlas)) == number, None)}
            for number, (hemisphere, name) in enumerate(problem.atlas.parcels)
        ],
    }


def _scores(problem: Problem, parcels: Parcels, paths: list[str], report: Report) -> tuple[np.ndarray, np.ndarray]:
    """r and R^2 of every subset: (subsets, targets)."""
    chosen = subsets(paths)
    found = []
    for number, some in enumerate(chosen):
        found.append(accuracy(problem, _kernel(problem, some), parcels.y))
        report(number + 1, len(chosen))
    return np.stack([each.r for each in found]), np.stack([each.r2 for each in found])


def _kernel(problem: Problem, paths: tuple[str, ...]) -> Kernel:
    own = problem.kernel("+".join(paths) or NUISANCE)
    return problem.nuisance if own is None else problem.nuisance + own


class _Parts:
    """Parts of (subcategories, subjects, parcels), to be averaged over parcels and subjects."""

    def __init__(self, paths: list[str], split: Partition, unique_r: Float[np.ndarray, "subcategories subjects parcels"]) -> None:
        self.paths, self.total = paths, split.total
        self.parts = {"unique": split.unique, "shared": split.shared, "shapley": split.shapley, "unique_r": unique_r}

    def mean(self, inside: Bool[np.ndarray, " parcels"], subject: int | None) -> dict[str, Any]:
        """Over some parcels, of one subject or all."""
        who = slice(None) if subject is None else slice(subject, subject + 1)
        rows = {path: {part: _mean(values[i, who][:, inside]) for part, values in self.parts.items()} for i, path in enumerate(self.paths)}
        return {"total": _mean(self.total[who][:, inside]), "by_subcategory": rows}


def _mean(values: Float[np.ndarray, "subjects parcels"]) -> float:
    """NaN left out; NaN if there is nothing else."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _path(study: Study) -> Path:
    return filed(study, "partition", VERSION)
