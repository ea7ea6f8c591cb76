"""JSON results by content, and the study of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from saebrain.errors import InputError
from saebrain.pipeline.filed import filed, opened, plain, read_filed, write_filed
from saebrain.study import Study
from tests.studies import configure, copy_study, relabel


def test_all_becomes_json(tmp_path: Path) -> None:
    inner = {"d": np.bool_(True), "e": None}
    value: dict[Any, Any] = {"a": np.array([1.0, np.nan]), "b": (np.float32(0.123456789), np.int64(3)), "c": float("inf"), 5: inner}
    expected = {"a": [1.0, None], "b": [0.123457, 3], "c": None, "5": {"d": True, "e": None}}
    assert plain(value) == expected
    path = tmp_path / "x" / "result.json"
    assert write_filed(path, value) == expected == read_filed(path)


def test_missing_and_damaged_are_none(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert read_filed(path) is None
    path.write_text("{", encoding="utf-8")
    assert read_filed(path) is None
    path.write_text("[]", encoding="utf-8")
    assert read_filed(path) is None


def test_place_depends_on_all_that_the_result_does(demo_study: Path, tmp_path: Path) -> None:
    folder = copy_study(demo_study, tmp_path / "study")
    study = Study.open(folder)
    base = filed(study, "topography", 1, n=99)
    assert base.parent.parent == study.encoding and base.name == "topography.json"
    others = [filed(study, "topography", 1, n=98), filed(study, "topography", 2, n=99), filed(study.at(5), "topography", 1, n=99)]
    configure(folder, encoding={"alphas": [1.0]})
    others.append(filed(Study.open(folder), "topography", 1, n=99))
    assert len({base, *others}) == 5
    assert filed(study, "topography", 1, n=99) == base


def test_a_job_gets_the_study_at_its_layer(demo_study: Path) -> None:
    assert opened(demo_study, {}).layer == 15
    assert opened(demo_study, {"layer": 25}).layer == 25
    study = Study.open(demo_study)
    assert opened(study, {"selection": "all"}) is study
    with pytest.raises(InputError, match="layer 7"):
        opened(study, {"layer": 7})


def test_place_depends_on_published_labels_of_people(demo_study: Path, tmp_path: Path) -> None:
    study = Study.open(copy_study(demo_study, tmp_path / "study"))
    before = filed(study, "topography", 1, n=10)
    labels = pd.read_parquet(study.labels)
    feature = int(labels.loc[labels["label"].str.startswith("lexical"), "feature"].iloc[0])
    relabel(study.folder, study.layer, {feature: "semantic/place"})
    assert filed(study, "topography", 1, n=10) != before
