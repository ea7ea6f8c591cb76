"""Parcels as targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from saebrain.encoding.layout import Layout
from saebrain.pipeline.parcelwise import Parcels, accuracy, predicted_by, predicted_parcels, run_lengths, segment_lengths
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.summary import in_parcels


def test_accuracy_is_that_of_the_parcel_scores(demo_problem: Problem) -> None:
    kernel = demo_problem.kernel("semantic/place")
    assert kernel is not None
    y = Parcels.of(demo_problem).y.copy()
    y[:700, 5] = 0  # no data in the first run
    found = accuracy(demo_problem, demo_problem.nuisance + kernel, y)
    expected = demo_problem.score_parcels("semantic/place")["r"].to_numpy().copy()
    expected[5] = np.nan
    np.testing.assert_allclose(found.r, expected, atol=1e-4)
    assert np.isnan(found.r2[5]) and (found.r2[np.isfinite(found.r2)] < 1).all()
    assert np.corrcoef(np.delete(found.r, 5), np.delete(found.r2, 5))[0, 1] > 0.8


def test_targets_go_back_to_subjects(demo_problem: Problem) -> None:
    parcels = Parcels.of(demo_problem)
    second = parcels.apart(parcels.y)[:, 1]
    np.testing.assert_array_equal(second, demo_problem.measured.parcels["sim-02"])
    inside = np.arange(68) == 7
    assert np.flatnonzero(parcels.of_all(inside)).tolist() == [7, 75, 143]


def test_runs_and_segments(demo_problem: Problem) -> None:
    assert run_lengths(demo_problem) == segment_lengths(demo_problem) == [652, 652, 652]
    cut = replace(demo_problem, layout=Layout.contiguous([652, 400], 5, gap=5, trim=(2, 3)))
    assert run_lengths(cut) == [647, 395]
    assert sum(segment_lengths(cut)) == 647 + 395 and len(segment_lengths(cut)) == 5


def test_predicted_parcels_are_those_of_the_codebook(demo_problem: Problem) -> None:
    atlas = demo_problem.atlas
    place = predicted_by(demo_problem, "semantic/place")
    assert {name for (_, name), inside in zip(atlas.parcels, place, strict=True) if inside} == set(demo_problem.codebook.predicted("semantic/place"))
    assert place.sum() == 8 and (predicted_parcels(demo_problem) >= place).all()
    vertices = in_parcels(atlas, demo_problem.codebook.predicted("semantic"))
    np.testing.assert_array_equal(np.isin(atlas.labels, np.flatnonzero(predicted_parcels(demo_problem))), vertices)
