"""The figures of the demo study, recomputed from the arrays on disk."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saebrain.errors import MissingStepError
from saebrain.pipeline.results import result_folder
from saebrain.pipeline.summary import compute, encoding_figures, in_parcels, predicted_cortex
from saebrain.store import read_table
from saebrain.study import SHIPPED, Study
from saebrain.surface.atlas import desikan_killiany
from saebrain.surface.mesh import HEMISPHERES
from tests.studies import copy_study

SUBCATEGORIES = ("social", "place", "action", "emotion", "quantity")
ATLAS = desikan_killiany()


@pytest.fixture(scope="module")
def study(demo_study: Path) -> Study:
    return Study.open(demo_study)


@pytest.fixture(scope="module")
def figures(study: Study) -> dict[str, Any]:
    return compute(study)


@pytest.fixture(scope="module")
def predicted() -> dict[str, np.ndarray]:
    """Vertices that each subcategory predicts, read from the codebook's file."""
    content = tomllib.loads((SHIPPED / "codebook.toml").read_text(encoding="utf-8"))
    named = {entry["path"]: entry.get("predicted_parcels", []) for entry in content["category"]}
    parcel_of_vertex = np.array([*(name for _, name in ATLAS.parcels), ""])[ATLAS.labels]
    return {name: np.isin(parcel_of_vertex, named[f"semantic/{name}"]) for name in SUBCATEGORIES}


def means(study: Study, selection: str, array: str, where: np.ndarray) -> np.ndarray:
    """Mean over vertices with data, a value a subject."""
    r = np.load(result_folder(study, selection) / f"{array}.npy").astype(float)[:, where]
    return np.array([row[~np.isnan(row)].mean() for row in r])


def test_written_summary_is_what_is_computed(study: Study, figures: dict[str, Any]) -> None:
    assert json.loads((study.folder / "summary.json").read_text(encoding="utf-8")) == figures


def test_sizes(study: Study, figures: dict[str, Any]) -> None:
    arrays = sorted(study.responses.glob("*/*.npy"))
    shapes = [np.load(path, mmap_mode="r").shape for path in arrays]
    subjects = sorted({path.parent.name for path in arrays})
    assert figures["subjects"] == subjects
    assert figures["n_subjects"] == len(subjects) == 3
    assert figures["n_runs"] == len(arrays) / len(subjects) == 3
    assert figures["n_samples"] == sum(samples for samples, _ in shapes) / len(subjects)
    assert figures["n_vertices"] == shapes[0][1] == 20_484
    assert figures["n_vertices_scored"] == np.load(arrays[0]).any(axis=0).sum()
    assert figures["n_words"] == len(read_table(study.words, ""))
    assert figures["n_tokens"] == len(read_table(study.tokens, ""))
    assert figures["simulated"] is True


def test_r_is_the_mean_over_predicted_cortex(study: Study, figures: dict[str, Any], predicted: dict[str, np.ndarray]) -> None:
    cortex = np.any(list(predicted.values()), axis=0)
    np.testing.assert_array_equal(predicted_cortex(study), cortex)
    assert 0.4 < cortex.mean() < 0.8
    for name in ("all", "semantic", "nuisance"):
        expected = means(study, name, "r", cortex)
        assert figures[f"r_{name}"] == pytest.approx(expected.mean())
        assert list(figures["r_by_subject"][name].values()) == pytest.approx(expected)
    assert figures["fraction_of_peak"] == pytest.approx(figures["r_semantic"] / figures["r_all"])
    assert figures["r_nuisance"] < figures["r_all"] < figures["r_best_vertices"]


def test_subcategories_are_scored_inside_and_outside_their_parcels(study: Study, figures: dict[str, Any], predicted: dict[str, np.ndarray]) -> None:
    assert tuple(figures["subcategories"]) == SUBCATEGORIES
    for name, row in figures["subcategories"].items():
        inside = means(study, f"semantic/{name}", "r_features", predicted[name])
        outside = means(study, f"semantic/{name}", "r_features", (ATLAS.labels >= 0) & ~predicted[name])
        assert row["r_predicted"] == pytest.approx(inside.mean())
        assert row["r_other"] == pytest.approx(outside.mean())
        for subject, a, b in zip(figures["subjects"], inside, outside, strict=True):
            assert row["by_subject"][subject] == pytest.approx({"r_predicted": a, "r_other": b})


def test_labels_and_kappa(study: Study, figures: dict[str, Any]) -> None:
    table = read_table(study.labels, "").pivot(index="feature", columns="annotator", values="label")
    assert sum(figures["n_labelled"].values()) == len(table) == figures["n_features"]
    for name, row in figures["subcategories"].items():
        both = (table == f"semantic/{name}").all(axis=1).sum()
        assert row["n_features"] == figures["n_labelled"][f"semantic/{name}"] == both
    a, b = table[(table != "unclear").all(axis=1)].to_numpy().T
    observed, by_chance = (a == b).mean(), sum((a == label).mean() * (b == label).mean() for label in {*a, *b})
    assert figures["machine_kappa"] == pytest.approx((observed - by_chance) / (1 - by_chance))


def test_in_parcels_takes_both_hemispheres() -> None:
    found = in_parcels(ATLAS, ("insula", "cuneus"))
    expected = np.any([ATLAS.mask(side, name) for side in HEMISPHERES for name in ("insula", "cuneus")], axis=0)
    np.testing.assert_array_equal(found, expected)


def test_encoding_figures_agree_with_the_summary(study: Study, figures: dict[str, Any]) -> None:
    found = encoding_figures(study)
    assert list(found["selections"]) == ["nuisance", "all", "semantic", *(f"semantic/{name}" for name in SUBCATEGORIES)]
    for name in ("all", "semantic", "nuisance"):
        assert found["selections"][name]["r"] == pytest.approx(figures[f"r_{name}"])
    assert found["selections"]["nuisance"]["r_features"] is None
    assert found["selections"]["all"]["n_features"] == figures["n_features"]
    one = encoding_figures(study, ["semantic/place"])["selections"]
    assert one == {"semantic/place": found["selections"]["semantic/place"]}


def test_parcel_table_is_the_mean_over_its_vertices(study: Study) -> None:
    folder = result_folder(study, "semantic/place")
    table, r = read_table(folder / "parcels.parquet", ""), np.load(folder / "r_features.npy")
    assert len(table) == 3 * 68
    chosen = table[(table["subject"] == "sim-02") & (table["parcel"] == "precuneus") & (table["hemisphere"] == "right")]
    assert chosen["r_features"].item() == pytest.approx(np.nanmean(r[1, ATLAS.mask("right", "precuneus")]), abs=1e-5)


def test_missing_result_names_the_command(demo_study: Path, tmp_path: Path) -> None:
    study = Study.open(copy_study(demo_study, tmp_path / "study"))
    shutil.rmtree(result_folder(study, "semantic/place"))
    with pytest.raises(MissingStepError, match=rf"'semantic/place' not found; run: python -m saebrain encode {study.folder} --select semantic/place"):
        compute(study)


def test_damaged_result_counts_as_missing(demo_study: Path, tmp_path: Path) -> None:
    study = Study.open(copy_study(demo_study, tmp_path / "study"))
    path = result_folder(study, "all") / "r.npy"
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:1000])
    with pytest.raises(MissingStepError, match="'all' not found"):
        compute(study)
