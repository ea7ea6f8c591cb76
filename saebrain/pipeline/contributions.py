"""What each semantic subcategory contributes at every point of the cortex that none of the others does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from saebrain.encoding.score import leave_one_run_out
from saebrain.errors import InputError
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.selection import EmptySelection, subcategories
from saebrain.progress import Report, silent


@dataclass(frozen=True)
class Contributions:
    """Unique contributions, in r: of the model with all subcategories, less of the model without this one.

    r : NaN where there is no data. subjects : whose. paths : subcategories that have active features. absent : why the others have none.
    """

    subjects: list[str]
    paths: list[str]
    absent: dict[str, str]
    r: Float[np.ndarray, "subjects subcategories points"]


def unique_contributions(problem: Problem, points: Int[np.ndarray, " points"], report: Report = silent) -> Contributions:
    """Score all subcategories, and all but each, at some vertices; alphas are shared as the study says, chosen by these vertices.

    Raises
    ------
    InputError
        If fewer than two subcategories have active features.
    """
    paths, absent = present(problem)
    together = _r(problem, "+".join(paths), points)
    report(1, len(paths) + 1)
    unique = []
    for number, path in enumerate(paths):
        unique.append(together - _r(problem, "+".join(other for other in paths if other != path), points))
        report(number + 2, len(paths) + 1)
    return Contributions(list(problem.measured.vertices), paths, absent, np.stack(unique, axis=1))


def present(problem: Problem) -> tuple[list[str], dict[str, str]]:
    """Subcategories with active features, and why the others have none.

    Raises
    ------
    InputError
        If fewer than two have.
    """
    paths, absent = [], {}
    for path in subcategories(problem.codebook):
        try:
            problem.kernel(path)
            paths.append(path)
        except EmptySelection as reason:
            absent[path] = str(reason)
    if len(paths) < 2:
        raise InputError(f"{len(paths)} semantic subcategories have active features; label features of two or more, then run again")
    return paths, absent


def _r(problem: Problem, selection: str, points: Int[np.ndarray, " points"]) -> Float[np.ndarray, "subjects points"]:
    section, kernel = problem.study.config.encoding, problem.kernel(selection)
    scores = leave_one_run_out(
        None,  # the whole prediction is wanted, not the features' share of it
        problem.nuisance if kernel is None else problem.nuisance + kernel,
        [y[:, points] for y in problem.measured.vertices.values()],
        problem.layout.folds,
        problem.atlas.labels[points],
        section.alphas,
        shared=section.alpha,
        device=section.device,
    )
    return np.stack([score.r for score in scores])
