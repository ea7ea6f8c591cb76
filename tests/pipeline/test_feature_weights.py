"""What the fitted model does with single features, held against a ridge regression on the explicit design."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from saebrain.pipeline.feature_weights import FeatureWeights
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.results import read_result
from saebrain.pipeline.selection import ALL
from saebrain.study import Study

SOME = [3, 900, 5000, 12345, 20000]
"""Vertices that are compared."""


@pytest.fixture(scope="module")
def study(demo_study: Path) -> Study:
    return Study.open(demo_study)


@pytest.fixture(scope="module")
def problem(study: Study) -> Problem:
    return Problem.load(study)


@pytest.fixture(scope="module")
def model(study: Study) -> FeatureWeights:
    return FeatureWeights(study)


def delayed(courses: np.ndarray, problem: Problem) -> np.ndarray:
    """Samples x delays x columns: shifted within runs, cut, centred within segments."""
    blocks = []
    for delay in problem.response.delays:  # type: ignore[union-attr]  # the demo's response is a FIR
        moved = np.zeros_like(courses)
        for a, b in pairwise(np.cumsum([0, *problem.stimulus.run_lengths])):
            moved[a + delay : b] = courses[a : b - delay]
        moved = moved[problem.layout.kept]
        for segment in problem.layout.segments:
            moved[segment] -= moved[segment].mean(axis=0)
        blocks.append(moved)
    return np.stack(blocks, axis=1)


def test_weights_and_shares_are_those_of_a_ridge_on_the_design(study: Study, problem: Problem, model: FeatureWeights) -> None:
    subject = problem.measured.subjects[1]
    courses = problem.stimulus.courses(None, unit=study.config.encoding.scaling == "unit")
    features = np.flatnonzero(courses.any(axis=0))
    parts = [delayed(part, problem).astype(np.float64) for part in (courses[:, features], problem.stimulus.nuisance)]
    parts = [part / np.sqrt((part**2).sum() / len(part)) for part in parts]  # kernels of mean diagonal 1
    X = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    y = problem.measured.vertices[subject][:, SOME].astype(np.float64)
    alpha = float(np.median(read_result(study, ALL).info["alphas"][subject]))
    ridge = Ridge(alpha, fit_intercept=False, solver="cholesky").fit(X, y)
    design, coefficients = parts[0], ridge.coef_[:, : parts[0][0].size].reshape(len(SOME), *parts[0].shape[1:])
    scale = np.sqrt((delayed(courses[:, features], problem).astype(np.float64) ** 2).sum() / len(y))
    powers = (y**2).sum(axis=0)
    for column in np.linspace(0, len(features) - 1, 6).astype(int):
        feature, own = int(features[column]), coefficients[:, :, column]
        np.testing.assert_allclose(model.weight(feature, subject)[SOME], own.sum(axis=1) / scale, rtol=1e-2, atol=1e-6)
        share = ((design[:, :, column] @ own.T) * y).sum(axis=0) / powers
        np.testing.assert_allclose(model.contribution(feature, subject)[SOME], share, rtol=1e-2, atol=1e-6)


def test_a_feature_that_is_never_active_weighs_nothing(study: Study, problem: Problem, model: FeatureWeights) -> None:
    dead = int(np.flatnonzero(~problem.stimulus.courses(None, unit=True).any(axis=0))[0])
    for found in (model.weight(dead, problem.measured.subjects[0]), model.contribution(dead, problem.measured.subjects[0])):
        known = np.isfinite(found)
        assert known.sum() > 18_000 and (found[known] == 0).all()
