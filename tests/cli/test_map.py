"""`python -m saebrain map`: every kind of file, and what is said to wrong requests."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from saebrain.__main__ import app
from saebrain.errors import InputError
from saebrain.pipeline.cortical import selection_map
from saebrain.study import Study
from saebrain.surface.mesh import HEMISPHERES, fsaverage5

RUN = CliRunner()


def best(study: Path) -> str:
    table = pd.read_parquet(Study.open(study).features / "parcels.parquet").dropna()
    return str(int(table.loc[table["parcel_r"].idxmax(), "feature"]))


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("html", b"<!doctype html>"), ("csv", b"vertex,")]
)
def test_feature_in_every_kind_of_file(demo_study: Path, tmp_path: Path, ending: str, start: bytes) -> None:
    output = tmp_path / f"map.{ending}"
    result = RUN.invoke(app, ["map", str(demo_study), "--feature", best(demo_study), "-o", str(output), "--outlines", "--threshold", "0.1"])
    assert result.exit_code == 0, result.output
    assert output.read_bytes().startswith(start) and output.stat().st_size > 50_000


def test_selection_as_gifti(demo_study: Path, tmp_path: Path) -> None:
    result = RUN.invoke(app, ["map", str(demo_study), "--selection", "semantic", "--subject", "sim-02", "-o", str(tmp_path / "map.gii")])
    assert result.exit_code == 0, result.output
    read = np.concatenate([nibabel.load(tmp_path / f"map_hemi-{side}.func.gii").darrays[0].data for side in "LR"])
    np.testing.assert_array_equal(read, selection_map(Study.open(demo_study), "semantic").of("sim-02"))


def test_only_what_is_significant(demo_study: Path, tmp_path: Path) -> None:
    for name, more in (("all", []), ("fdr", ["--fdr", "0.05"])):
        result = RUN.invoke(app, ["map", str(demo_study), "--feature", best(demo_study), "-o", str(tmp_path / f"{name}.csv"), *more])
        assert result.exit_code == 0, result.output
    everything, kept = (pd.read_csv(tmp_path / f"{name}.csv")["value"] for name in ("all", "fdr"))
    shown = kept.notna() & (kept != 0)
    assert 0 < shown.sum() < 0.5 * everything.notna().sum()
    assert np.array_equal(kept[shown], everything[shown]) and everything[shown].abs().min() > everything[~shown].abs().median()


def test_a_mesh_without_an_inflated_surface(tmp_path: Path) -> None:
    """What it has is drawn; what is asked for by name has to be there."""
    surfaces = fsaverage5()
    for side, hemisphere in zip(("lh", "rh"), HEMISPHERES, strict=True):
        inside = surfaces.vertices_of(hemisphere)
        faces = surfaces.mesh("white").faces_of(hemisphere) - inside.start
        nibabel.freesurfer.write_geometry(tmp_path / f"{side}.white", surfaces.mesh("white").coordinates[inside], faces)
    np.save(tmp_path / "x.npy", surfaces.curvature)
    command = ["map", "--values", str(tmp_path / "x.npy"), "--mesh", str(tmp_path), "-o", str(tmp_path / "map.png")]
    assert RUN.invoke(app, command).exit_code == 0
    refused = RUN.invoke(app, [*command, "--surface", "inflated"])
    assert isinstance(refused.exception, InputError) and "unknown surface 'inflated'" in str(refused.exception)


def test_values_from_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", fsaverage5().curvature)
    result = RUN.invoke(app, ["map", "--values", str(tmp_path / "x.npy"), "--label", "curvature (1/mm)", "-o", str(tmp_path / "map.svg")])
    assert result.exit_code == 0, result.output
    assert b"curvature (1/mm)" in (tmp_path / "map.svg").read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--feature", "1", "-o", "map.jpg"], "no known kind of file"),
        (["-o", "map.png"], "give one of --feature"),
        (["--feature", "1", "--selection", "all"], "give one of --feature"),
        (["--feature", "1", "--kind", "z"], "choose one of correlation"),
        (["--feature", "1", "--kind", "t", "--fdr", "0.05"], "goes with correlation"),
        (["--feature", "1", "--subject", "nobody"], "choose one of them"),
        (["--selection", "all", "--subject", "nobody"], "choose one of them"),
    ],
)
def test_wrong_requests_are_answered_in_a_line(demo_study: Path, options: list[str], said: str) -> None:
    result = RUN.invoke(app, ["map", str(demo_study), *options])
    assert result.exit_code != 0 and said in str(result.exception)
