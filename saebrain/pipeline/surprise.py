"""Exploratory: does it show how far a word's meaning is from what the words before announced?

For each category a word's activation (summed over the category's features) is predicted from those of the preceding words
(:mod:`saebrain.inference.prediction_error`). The absolute error is a band of its own, a column a category. It is tested for what it *adds* to
nuisance bands (surprisal among them), all features, and the categories' activations themselves: these correlate with their
errors, and would lend them their signal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from saebrain.design import standardise
from saebrain.encoding.kernels import Kernel, finished, linear_kernel
from saebrain.errors import InputError
from saebrain.inference.prediction_error import CONTEXT, PredictionError, prediction_error
from saebrain.labels import UNCLEAR
from saebrain.pipeline.filed import filed, opened, read_filed
from saebrain.pipeline.once import once
from saebrain.pipeline.parcelwise import Parcels, predicted_parcels
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.selection import ALL
from saebrain.pipeline.shifted import gain_test, mean_rows, parcel_rows, region
from saebrain.progress import Report, silent
from saebrain.study import Study

VERSION = 1
DRAWS = 499
NOTE = (
    "Exploratory. Whether the prediction error of categories adds to nuisance bands (surprisal among them), all features and the categories' own "
    "activations: gain in held-out r, responses turned within runs, all models fitted again. Turning takes the other bands' effects away as well, "
    "which makes the test conservative where they have some"
)


def compute(study: Study | Path, arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    """Prediction error of a study as a job: if not as usual ``n`` draws, ``seed``, ``layer``. What is there already is returned.

    Raises
    ------
    MissingStepError
        If what encoding needs is missing or out of date.
    InputError
        If no category has active features, or runs are too few or too short.
    """
    study = opened(study, arguments)
    n, seed = int(arguments.get("n", DRAWS)), int(arguments.get("seed", 0))
    return once(study, _path(study, n, seed), lambda problem: run_surprise(problem, n=n, seed=seed, report=report))


def read_surprise(study: Study, *, n: int = DRAWS, seed: int = 0) -> dict[str, Any] | None:
    """What was computed for the study as it is now; None if nothing was."""
    return read_filed(_path(study, n, seed))


def run_surprise(problem: Problem, *, n: int, seed: int, report: Report = silent) -> dict[str, Any]:
    """Predict, fit and test; nothing is written."""
    categories, words = category_activations(problem)
    lengths = [matrix.shape[0] for matrix in problem.stimulus.pooled.values()]
    error = prediction_error(words, lengths)
    own, band = (_kernel(problem, x) for x in (words, error.mismatch))
    features = problem.kernel(ALL)
    assert features is not None
    parcels = Parcels.of(problem)
    test = gain_test(problem, band, problem.nuisance + features + own, parcels, n=n, seed=seed, thin=False, report=report)
    return {
        "version": VERSION,
        "layer": problem.study.layer,
        "simulated": problem.study.simulated,
        "exploratory": True,
        "note": NOTE,
        "context": CONTEXT,
        "n": len(test.gain.null),
        "seed": seed,
        "smallest_p": test.gain.smallest_p,
        "subjects": parcels.subjects,
        "categories": _categories(categories, words, error),
        **region(parcels, test, predicted_parcels(problem)),
        "parcels": parcel_rows(parcels, test),
        "mean": mean_rows(parcels, test),
    }


def category_activations(problem: Problem) -> tuple[list[str], Float[np.ndarray, "words categories"]]:
    """Activation of every category at every word, summed over its features, run after run; categories that are never active are left out.

    Raises
    ------
    InputError
        If none is.
    """
    labels = problem.labels
    paths = [path for path in problem.codebook.paths if path != UNCLEAR and (labels == path).any()]
    columns = np.column_stack([(labels == path).to_numpy(np.float32) for path in paths]) if paths else np.zeros((len(labels), 0), np.float32)
    words = np.concatenate([np.asarray(pooled @ columns, float) for pooled in problem.stimulus.pooled.values()])
    active = np.asarray(words.any(axis=0))
    if not active.any():
        raise InputError("no category has a feature that is active in the stimulus; label some features, then run again")
    return [path for path, there in zip(paths, active.tolist(), strict=True) if there], words[:, active]


def _kernel(problem: Problem, words: Float[np.ndarray, "words columns"]) -> Kernel:
    """Finished kernel of a few columns of words, brought to samples and standardised like nuisance bands."""
    blocks, start = [], 0
    for matrix in problem.stimulus.downsampling.values():
        stop = start + matrix.shape[1]
        blocks.append(standardise(matrix @ words[start:stop], unit=True))
        start = stop
    return finished(linear_kernel(np.concatenate(blocks).astype(np.float32)), problem.layout, problem.response)


def _categories(paths: list[str], words: Float[np.ndarray, "words categories"], error: PredictionError) -> list[dict[str, Any]]:
    """How well the context announces each category, and how much its error goes with its activation."""
    rows = []
    for column, path in enumerate(paths):
        like = np.corrcoef(words[:, column], error.mismatch[:, column])[0, 1]
        rows.append({"path": path, "r_context": error.r[column], "r_with_activation": like})
    return rows


def _path(study: Study, n: int, seed: int) -> Path:
    return filed(study, "prediction-error", VERSION, n=n, seed=seed)
