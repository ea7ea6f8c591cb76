"""The engine on the demo's kernels and responses: equal to other libraries refitted without the run, and fast enough to wait for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from saebrain.encoding.kernels import Fir, finished, linear_kernel
from saebrain.encoding.layout import Layout, slices
from saebrain.encoding.score import leave_one_run_out
from saebrain.pipeline.problem import Problem
from saebrain.study import Study
from tests.encoding.problems import correlations, delayed_design
from tests.studies import copy_study

VERTICES = 12
EQUAL, UNEQUAL = [652, 652, 652], [452, 300, 417]


@pytest.fixture(scope="module")
def problem(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return Problem.load(Study.open(copy_study(demo_study, tmp_path_factory.mktemp("studies") / "study")))


@pytest.fixture(scope="module")
def responses(problem: Problem) -> np.ndarray:
    """Some vertices with data of the first subject, as recorded, and one without."""
    study = problem.study
    first = problem.measured.subjects[0]
    y = np.concatenate([np.load(study.responses / first / f"{run}.npy", mmap_mode="r")[:, ::97] for run in study.run_names])
    with_data = np.flatnonzero(y.any(axis=0))[:: max(1, int(y.any(axis=0).sum()) // VERTICES)][:VERTICES]
    return np.column_stack([y[:, with_data], np.zeros(len(y), np.float32)])


@pytest.mark.parametrize(
    ("selection", "lengths"),
    [("all", EQUAL), ("all", UNEQUAL), ("semantic/place", UNEQUAL), ("features:{few}", EQUAL)],
    ids=[
        "more features than samples, equal runs",
        "more features than samples, unequal runs",
        "rank-deficient, unequal runs",
        "one feature, equal runs",
    ],
)
def test_r_equals_other_libraries_refitted_without_the_run(problem: Problem, responses: np.ndarray, selection: str, lengths: list[int]) -> None:
    stimulus, alphas = problem.stimulus, problem.study.config.encoding.alphas
    assert isinstance(problem.response, Fir)
    features = problem.select(selection.format(few=problem.select("semantic/place")[0]))
    rows = np.concatenate([np.arange(run.start, run.start + length) for run, length in zip(slices(stimulus.run_lengths), lengths, strict=True)])
    layout = Layout.by_run(lengths)
    courses, nuisance = stimulus.courses(features, unit=False)[rows], stimulus.nuisance[rows]
    own, bands = (finished(linear_kernel(x.astype(np.float32)), layout, problem.response) for x in (courses, nuisance))
    y = layout.standardise(responses[rows])
    found = leave_one_run_out(own, bands, [y], layout.folds, np.arange(y.shape[1]), alphas, shared="vertex", device="cpu")[0]
    assert np.isnan(found.r[-1]) and np.isfinite(found.r[:-1]).all()
    assert len(np.unique(found.alphas)) > 1

    set_backend("numpy")
    K, y = own + bands, y[:, :-1]
    X = None if len(features) > 500 else [delayed_design(x, lengths, problem.response.delays) for x in (courses, nuisance)]
    by_himalaya, whole, part = (np.zeros((3, y.shape[1])) for _ in range(3))
    for held, fold in enumerate(layout.folds):
        train = np.setdiff1d(np.arange(len(y)), fold.out)
        for alpha in np.unique(found.alphas[held]):
            at = found.alphas[held] == alpha
            model = KernelRidge(alpha=alpha, kernel="precomputed").fit(K[np.ix_(train, train)], y[train][:, at])
            by_himalaya[held, at] = correlations(model.predict(K[np.ix_(fold.test, train)]), y[fold.test][:, at])
        if X is not None:
            both, count = np.hstack(X), X[0].shape[1]
            weights = Ridge(alpha=found.alphas[held], fit_intercept=False).fit(both[train], y[train]).coef_.T
            whole[held] = correlations(both[fold.test] @ weights, y[fold.test])
            part[held] = correlations(both[fold.test, :count] @ weights[:count], y[fold.test])
    np.testing.assert_allclose(found.r[:-1], by_himalaya.mean(axis=0), atol=1e-3)
    if X is not None:
        np.testing.assert_allclose(found.r[:-1], whole.mean(axis=0), atol=1e-3)
        np.testing.assert_allclose(found.r_features[:-1], part.mean(axis=0), atol=1e-3)
