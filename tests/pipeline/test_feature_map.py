"""Maps of single features, against an independent computation from the responses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from saebrain.errors import MissingStepError
from saebrain.pipeline.feature_map import FeatureMapper
from saebrain.responses import open_responses
from saebrain.store import FeatureStore
from saebrain.study import Study
from saebrain.surface.atlas import desikan_killiany


@pytest.fixture(scope="module")
def study(demo_study: Path) -> Study:
    return Study.open(demo_study)


@pytest.fixture(scope="module")
def mapper(study: Study) -> FeatureMapper:
    return FeatureMapper(study)


@pytest.fixture(scope="module")
def best(study: Study) -> pd.Series:
    table = pd.read_parquet(study.features / "parcels.parquet").dropna()
    return table.loc[table["parcel_r"].idxmax()]


def codes(study: Study, feature: int) -> tuple[np.ndarray, np.ndarray]:
    return FeatureStore(study.features, study.tokens, study.labels).codes(feature)


def test_map_is_the_mean_correlation_over_runs(study: Study, mapper: FeatureMapper, best: pd.Series) -> None:
    code = codes(study, int(str(best["feature"])))
    found, courses = mapper.map(*code), mapper.courses(*code)
    response = study.config.responses
    opened = open_responses(study.responses, study.run_names, vertices=20_484, tr_s=response.tr_s, samples=None)
    vertices = np.flatnonzero(np.isfinite(found[0]))[::2000]
    for row, subject in enumerate(mapper.subjects):
        for vertex in vertices:
            expected = [stats.pearsonr(course, opened.read(subject, run)[:, vertex])[0] for run, course in zip(opened.runs, courses, strict=True)]
            assert found[row, vertex] == pytest.approx(np.mean(expected), abs=1e-4)


def test_map_is_strongest_where_the_encode_step_says(study: Study, mapper: FeatureMapper, best: pd.Series) -> None:
    values = mapper.map(*codes(study, int(str(best["feature"])))).mean(axis=0)
    atlas = desikan_killiany()
    inside = atlas.labels == [f"{hemisphere} {parcel}" for hemisphere, parcel in atlas.parcels].index(str(best["parcel"]))
    assert np.nanmean(values[inside]) > np.nanmean(np.abs(values[~inside])) + 0.1


def test_medial_wall_has_no_value(mapper: FeatureMapper, study: Study, best: pd.Series) -> None:
    found = mapper.map(*codes(study, int(str(best["feature"]))))
    empty = ~np.load(study.responses / mapper.subjects[0] / f"{study.run_names[0]}.npy", mmap_mode="r").any(axis=0)
    assert empty.any() and np.isnan(found[0, empty]).all() and np.isfinite(found[0, ~empty]).all()


def test_feature_that_is_never_active_has_no_map(mapper: FeatureMapper) -> None:
    assert np.isnan(mapper.map(np.zeros(0, np.int64), np.zeros(0, np.float32))).all()


def test_runs_without_the_feature_are_left_out(mapper: FeatureMapper, study: Study) -> None:
    first_run = pd.read_parquet(study.tokens)["run"].to_numpy() == study.run_names[0]
    token = np.flatnonzero(first_run)[50:60]
    found = mapper.map(token, np.ones(len(token), np.float32))
    assert [course.any() for course in mapper.courses(token, np.ones(len(token), np.float32))] == [True, False, False]
    assert np.isfinite(found).any() and np.nanmax(np.abs(found)) <= 1


def test_missing_responses_are_told(tmp_path: Path, study: Study) -> None:
    (tmp_path / "study.toml").write_text((study.folder / "study.toml").read_text())
    with pytest.raises(MissingStepError, match=r"saebrain simulate"):
        FeatureMapper(Study.open(tmp_path))


def test_maps_of_several_features_at_once_are_those_of_each(study: Study, mapper: FeatureMapper) -> None:
    store = FeatureStore(study.features, study.tokens, study.labels)
    codes = [store.codes(feature) for feature in (3, 12, 99)] + [(np.empty(0, int), np.empty(0, np.float32))]
    together = mapper.mean_maps(codes)
    for found, own in zip(together, codes, strict=True):
        np.testing.assert_allclose(found, mapper.map(*own).mean(axis=0), atol=2e-5)
    assert np.isnan(together[-1]).all()


def test_words_at_which_a_feature_fires(study: Study, mapper: FeatureMapper) -> None:
    store = FeatureStore(study.features, study.tokens, study.labels)
    tokens, (token, value) = pd.read_parquet(study.tokens), store.codes(12)
    for run in study.run_names:
        found = mapper.words(run, token, value)
        own = tokens.iloc[token].assign(value=value)
        expected = own[own["run"] == run].groupby("word")["value"].sum()
        assert found.index.tolist() == expected.index.tolist()
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_course_of_a_parcel_is_the_standardised_mean_of_its_vertices(study: Study, mapper: FeatureMapper) -> None:
    run, vertices = study.run_names[1], np.array([5, 6, 7, 900])
    found = mapper.parcel_courses(run, vertices)
    assert found.shape[0] == len(mapper.subjects)
    for subject, course in zip(mapper.subjects, found, strict=True):
        mean = np.load(study.responses / subject / f"{run}.npy")[:, vertices].mean(axis=1)
        np.testing.assert_allclose(course, (mean - mean.mean()) / mean.std(), atol=1e-3)
