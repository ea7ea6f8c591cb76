"""The encode step: selected features against the responses of every subject."""

from __future__ import annotations

import numpy as np
import pandas as pd

from saebrain.maps import haemodynamic
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.results import Result, read_result, result_folder, write_absent, write_result
from saebrain.pipeline.selection import ALL, EmptySelection, by_layer, canonical, standard_selections, study_codebook
from saebrain.pipeline.steps import require
from saebrain.progress import Report, silent
from saebrain.store import write_table
from saebrain.study import Study


def encode(study: Study, report: Report) -> None:
    """Fit and score the standard selections, and find the best parcel of every feature.

    A category without features, or with none that is active, is reported as absent; the others are scored all the same.
    """
    names = standard_selections(study_codebook(study))
    problem = Problem.load(study)
    for number, name in enumerate(names):
        if not is_scored(study, name):
            try:
                score(problem, name)
            except EmptySelection as reason:
                if name == ALL:
                    raise
                write_absent(study, name, str(reason), problem.measured.subjects, problem.codebook, problem.atlas)
        report(number + 1, len(names) + 1)
    write_table(study.features / "parcels.parquet", best_parcels(problem))
    report(len(names) + 1, len(names) + 1)


def encode_one(study: Study, selection: str, report: Report = silent) -> Result:
    """Score one selection, or return the result that is already there.

    Raises
    ------
    MissingStepError
        If what the encode step needs is missing or out of date.
    InputError
        If the selection is not understood, or has no active feature.
    """
    # The result is filed under the records of these steps, so what it is computed from must be theirs.
    name = canonical(selection, study_codebook(study))  # before anything is read, which takes seconds
    require_for(study, name)
    if not is_scored(study, name):
        score(Problem.load(study), name, report)
    result = read_result(study, name)
    if result.absent is not None:
        raise EmptySelection(result.absent)
    return result


def require_for(study: Study, selection: str) -> None:
    """Check that what scoring a selection needs, of all its layers, is there and up to date (MissingStepError if not)."""
    for layer in {study.layer, *by_layer(selection, study.layer)}:
        require(study.at(layer), STEPS["encode"], STEPS)


def is_scored(study: Study, selection: str) -> bool:
    """Whether the result of a selection is there, for the study as it is now."""
    return (result_folder(study, selection) / "result.json").is_file()


def score(problem: Problem, selection: str, report: Report = silent) -> None:
    """Score a selection in every subject and write the result folder."""
    scores = problem.score(selection, report)
    name = canonical(selection, problem.codebook)
    write_result(problem.study, name, problem.count(name), scores, problem.codebook, problem.atlas)


def best_parcels(problem: Problem) -> pd.DataFrame:
    """The parcel that each feature's haemodynamic course correlates with most: feature, parcel, parcel_r.

    Correlations are averaged over segments and subjects. The largest of many is chosen, so parcel_r is a description, no test.
    """
    stimulus, layout, atlas = problem.stimulus, problem.layout, problem.atlas
    courses = haemodynamic(stimulus.courses(None, unit=False), stimulus.run_lengths, problem.study.config.responses.tr_s)
    active = courses.any(axis=0)
    x = layout.standardise(courses)
    r = np.zeros((courses.shape[1], len(atlas)))
    for y in problem.measured.parcels.values():
        for segment in layout.segments:
            r += (x[segment].T @ y[segment]) / ((segment.stop - segment.start) * len(layout.segments) * len(problem.measured.subjects))
    best = r.argmax(axis=1)
    names = np.array([f"{hemisphere} {name}" for hemisphere, name in atlas.parcels], dtype=object)
    return pd.DataFrame(
        {
            "feature": np.arange(len(r), dtype=np.int32),
            "parcel": np.where(active, names[best], None),
            "parcel_r": np.where(active, r[np.arange(len(r)), best], np.nan).astype(np.float32),
        }
    )
