"""The benchmark of the store does what it says, at a size that takes seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.store import L0, build, draw, measure
from saebrain.codes import CodesFile
from saebrain.features import Statistics

SIZES = ["n_features", "n_tokens", "n_codes", "codes_per_s", "bytes_per_code"]
TIMES = ["feature_page_ms", "feature_page_cold_ms", "list_ms"]


def test_codes_are_as_dense_as_told() -> None:
    feature, token, value = (np.concatenate(parts) for parts in zip(*draw(20_000, 512), strict=True))
    assert abs(len(feature) / 20_000 - L0) < 8 and (value > 0).all()
    assert len(np.unique(token.astype(np.int64) * 512 + feature)) == len(feature) and (np.diff(token) >= 0).all()
    density = np.bincount(feature, minlength=512) / 20_000
    assert np.log(density[density > 0]).std() > 1


def test_report_has_the_keys_that_are_asked_for(tmp_path: Path) -> None:
    found = measure(tmp_path / "study", 3000, 128, pages=5)
    assert list(found) == [*SIZES, *TIMES, "rss_mb"]
    assert found["n_tokens"] == 3000 and found["n_features"] == 128
    for name in TIMES:
        times = found[name]
        assert isinstance(times, dict) and set(times) == {"p50", "p95"} and 0 < times["p50"] <= times["p95"]


def test_store_that_was_built_holds_the_codes_drawn(tmp_path: Path) -> None:
    n_codes, speed, size = build(tmp_path / "study", 2000, 64)
    assert n_codes == sum(len(feature) for feature, _, _ in draw(2000, 64)) and speed > 0 and size > 0
    codes = CodesFile(next((tmp_path / "study").rglob("codes.parquet")), "")
    statistics = Statistics(codes.index, 2000)
    for part in codes.parts():
        statistics.update(part)
    assert statistics.table()["active"].sum() == n_codes
