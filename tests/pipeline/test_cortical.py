"""Encoding results as maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from saebrain.errors import MissingStepError
from saebrain.pipeline.cortical import (
    available,
    best_category,
    best_category_table,
    has_parts,
    parcel_table,
    predicted_parcels,
    reach,
    selection_map,
)
from saebrain.pipeline.results import read_result, result_folder
from saebrain.study import Study


@pytest.fixture(scope="module")
def study(demo_study: Path) -> Study:
    return Study.open(demo_study)


def test_maps_are_the_results(study: Study) -> None:
    result = read_result(study, "semantic/place")
    np.testing.assert_array_equal(selection_map(study, "semantic/place").r, result.r)
    np.testing.assert_array_equal(selection_map(study, "semantic/place", "features").of("sim-02"), result.r_features[1])
    np.testing.assert_array_equal(selection_map(study, "semantic/place").of(None), result.r.mean(axis=0))


def test_difference_is_what_features_add(study: Study) -> None:
    expected = read_result(study, "all").r - read_result(study, "nuisance").r
    np.testing.assert_array_equal(selection_map(study, "all-minus-nuisance").r, expected)
    assert not has_parts("all-minus-nuisance") and not has_parts("nuisance") and has_parts("all")


def test_available_selections(study: Study) -> None:
    names = available(study)
    assert names[0] == "all" and len(names) == len(set(names))
    assert {"semantic", "semantic/social", "nuisance", "semantic-minus-nuisance"} <= set(names)
    assert ("syntactic" in names) == (result_folder(study, "syntactic") / "result.json").is_file()


def test_missing_result_is_told(study: Study) -> None:
    with pytest.raises(MissingStepError, match=r"encode .* --select positional-discourse"):
        selection_map(study, "positional-discourse")


def test_best_category_is_the_largest(study: Study) -> None:
    best = best_category(study, "sim-01", 0.1)
    r = np.stack([selection_map(study, path, "features").of("sim-01") for path in best.paths])
    for vertex in np.flatnonzero(best.index >= 0)[::1500]:
        assert best.index[vertex] == r[:, vertex].argmax() and best.r[vertex] == r[:, vertex].max() >= 0.1
    assert (best.index[~best.measured] == -1).all()
    assert (best_category(study, "sim-01", 2.0).index == -1).all()
    assert (best_category(study, "sim-01", 0.0).r[best_category(study, "sim-01", 0.0).index >= 0] > 0).all()


def test_best_category_table_counts(study: Study) -> None:
    best = best_category(study, None, 0.1)
    table = best_category_table(study, best)
    assert table["vertices"].sum() == (best.index >= 0).sum()
    assert table["in_predicted"].dropna().between(0, 1).all() and table["expected"].between(0, 1).all()


def test_parcels(study: Study) -> None:
    table = parcel_table(study, selection_map(study, "semantic/place").of(None), "semantic/place")
    assert len(table) == 68 and table["vertices"].sum() > 18_000
    assert set(table.loc[table["predicted"], "parcel"]) == predicted_parcels(study, "semantic/place")
    assert predicted_parcels(study, "nuisance") == set()
    assert predicted_parcels(study, "all") == predicted_parcels(study, "semantic") > predicted_parcels(study, "semantic/place")


def test_reach_is_rounded_up() -> None:
    assert reach(np.array([0.31, -0.2, np.nan]), percentile=100) == pytest.approx(0.4)
    assert reach(np.array([-0.3]), percentile=100) == pytest.approx(0.3)
    assert reach(np.array([np.nan])) == 0.1 and reach(np.zeros(3)) == 0.1
