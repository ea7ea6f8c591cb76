"""A problem with other responses in place of the measured ones."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from saebrain import simulate
from saebrain.pipeline.problem import Problem
from saebrain.study import Study
from saebrain.surface.atlas import parcel_means


def with_vertices(problem: Problem, vertices: dict[str, np.ndarray]) -> Problem:
    """The same problem with these vertices' responses, by subject, standardised here."""
    measured = copy.copy(problem.measured)
    measured.__dict__["vertices"] = {name: problem.layout.standardise(y) for name, y in vertices.items()}
    measured.__dict__.pop("parcels", None)
    return replace(problem, measured=measured)


def with_parcels(problem: Problem, parcels: dict[str, np.ndarray]) -> Problem:
    """The same problem with these parcels' responses, by subject, standardised here."""
    measured = copy.copy(problem.measured)
    measured.__dict__["parcels"] = {name: problem.layout.standardise(y) for name, y in parcels.items()}
    return replace(problem, measured=measured)


def with_penalties(problem: Problem, alphas: list[float]) -> Problem:
    """The same problem with other penalties to choose from; one makes models many times faster."""
    study = problem.study
    config = study.config.model_copy(update={"encoding": study.config.encoding.model_copy(update={"alphas": alphas})})
    return replace(problem, study=Study(study.folder, config, study.main_layer))


def resting_parcels(problem: Problem, rng: np.random.Generator) -> np.ndarray:
    """Real resting BOLD of every parcel in runs made as the demo's were, with nothing planted: (samples, parcels)."""
    bold = simulate.resting_bold()
    means = parcel_means(np.where(bold.any(axis=0), bold, np.float32(np.nan)), problem.atlas)
    return np.concatenate([simulate.phase_randomised(means, rng) for _ in problem.layout.segments])
