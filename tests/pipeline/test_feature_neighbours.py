"""What is near a feature, against plain matrix products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from saebrain.codes import CodesFile
from saebrain.pipeline import feature_neighbours
from saebrain.pipeline.feature_neighbours import FEWEST_SHARED, activity, coactive, nearest, neighbours
from saebrain.store import FeatureStore
from saebrain.study import Study
from tests import sparse
from tests.studies import copy_study


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_neighbours, "ROWS_AT_ONCE", 7)


def expected(cosine: np.ndarray, count: int, floor: float) -> list[tuple[int, int]]:
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :count]
    return [(row, int(other)) for row in range(len(cosine)) for other in order[row] if cosine[row, other] > floor]


def test_nearest_directions() -> None:
    directions = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32) * np.arange(1, 41)[:, None]
    found = nearest(directions, count=4)
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    assert list(zip(found["feature"].astype(int), found["other"].astype(int), strict=True)) == expected(cosine, 4, -1)
    values = cosine[found["feature"].astype(int), found["other"].astype(int)]
    np.testing.assert_allclose(found["similarity"], values, atol=1e-6)


@pytest.mark.parametrize("same", [True, False])
def test_activity_at_the_same_tokens(tmp_path: Path, same: bool) -> None:
    rng = np.random.default_rng(1)
    dense = [rng.random((200, 30)) < 0.15, rng.random((180, 20)) < 0.2]
    files = []
    for number, on in enumerate(dense):
        token, feature = np.nonzero(on)
        path = tmp_path / f"{number}.parquet"
        sparse.write(path, sparse.arrange(feature, token, np.ones(len(token)), on.shape[1]))
        files.append(activity(CodesFile(path, ""), 1))
    ours, theirs = dense[0], dense[0] if same else np.vstack([dense[1], np.zeros((20, 20), bool)])
    found = coactive(files[0], files[0 if same else 1], same=same, count=3)
    shared = ours.T.astype(float) @ theirs
    cosine = np.where(shared >= FEWEST_SHARED, shared / np.sqrt(ours.sum(0)[:, None] * np.maximum(theirs.sum(0), 1)), 0)
    if same:
        np.fill_diagonal(cosine, 0)
    for feature, rows in found.groupby("feature"):
        best = np.sort(cosine[int(feature)])[::-1][: len(rows)]
        np.testing.assert_allclose(rows["similarity"], best, atol=1e-6)
        assert (rows["other"] != feature).all() or not same
    assert set(found["feature"].astype(int)) == set(np.flatnonzero(cosine.max(axis=1) > 0))


def test_of_a_long_text_every_nth_token_counts(tmp_path: Path) -> None:
    token, feature = np.nonzero(np.random.default_rng(2).random((100, 5)) < 0.5)
    sparse.write(tmp_path / "codes.parquet", sparse.arrange(feature, token, np.ones(len(token)), 5))
    found = activity(CodesFile(tmp_path / "codes.parquet", ""), 4)
    assert found.shape[0] == 5 and found.shape[1] <= 25 and found.nnz == (token % 4 == 0).sum()


def test_step_finds_neighbours_of_the_demo_in_three_ways(demo_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_neighbours, "ROWS_AT_ONCE", 512)
    study = Study.open(copy_study(demo_study, tmp_path / "study", without=()))
    (study.features / "neighbours.parquet").unlink(missing_ok=True)
    seen: list[tuple[int, int]] = []
    neighbours(study, lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] and [done for done, _ in seen] == sorted(done for done, _ in seen)
    table = pd.read_parquet(study.features / "neighbours.parquet")
    assert set(table["kind"]) == {"decoder", "coactive", "layer"}
    assert set(table.loc[table["kind"] == "layer", "layer"]) == set(study.layers) - {study.layer}
    store = FeatureStore(study.features, study.tokens, study.labels)
    near = store.neighbours(int(table["feature"].iloc[0]))
    assert near.columns.tolist() == ["kind", "layer", "other", "similarity"]
    assert all(group["similarity"].is_monotonic_decreasing for _, group in near.groupby("kind"))
