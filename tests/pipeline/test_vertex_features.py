"""The features that go best with a vertex are those whose own maps are furthest from 0 there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from saebrain.pipeline.feature_map import FeatureMapper
from saebrain.pipeline.vertex_features import VertexFeatures
from saebrain.store import read_codes, read_table
from saebrain.study import Study


@pytest.mark.parametrize(("vertex", "subject"), [(700, None), (15_000, "sim-02")])
def test_best_features_have_the_best_maps(demo_study: Path, vertex: int, subject: str | None) -> None:
    study = Study.open(demo_study)
    mapper = FeatureMapper(study)
    table = read_table(study.features / "features.parquet", "")
    codes = read_codes(study.features / "codes.parquet", len(table))
    start = codes.start
    rows = [slice(None)] if subject is None else [mapper.subjects.index(subject)]

    def r_of(feature: int) -> float:
        a, b = start[feature : feature + 2]
        return float(np.mean(mapper.map(codes.token[a:b], codes.value[a:b].astype(np.float32))[rows[0], vertex]))

    best = VertexFeatures(study, mapper).best(vertex, subject)
    np.testing.assert_allclose(best["r"], [r_of(int(feature)) for feature in best["feature"]], atol=1e-4)
    others = np.random.default_rng(0).choice(table.loc[table["active"] > 0, "feature"], 40, replace=False)
    least = best["r"].abs().min()
    assert all(abs(r_of(int(feature))) <= least + 1e-4 for feature in others if feature not in set(best["feature"]))
