from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from nibabel.gifti import GiftiDataArray, GiftiImage

from saebrain.errors import InputError
from saebrain.surface import mesh
from saebrain.surface.mesh import HEMISPHERES, Hemisphere, check_map, fsaverage5

SURFACES = fsaverage5()


def test_left_vertices_come_first() -> None:
    assert SURFACES.n_vertices == 20_484
    assert SURFACES.n_left == 10_242
    for name in ("pial", "white"):
        x = SURFACES.mesh(name).coordinates[:, 0]
        assert x[SURFACES.vertices_of("left")].mean() < -20
        assert x[SURFACES.vertices_of("right")].mean() > 20


@pytest.mark.parametrize("name", ["pial", "white", "inflated"])
@pytest.mark.parametrize("hemisphere", HEMISPHERES)
def test_each_hemisphere_is_a_closed_sphere(name: str, hemisphere: Hemisphere) -> None:
    """Euler's formula, and no face that joins the hemispheres."""
    faces = SURFACES.mesh(name).faces_of(hemisphere)
    edges = np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    vertices = np.unique(faces)
    assert len(vertices) - len(edges) + len(faces) == 2
    assert vertices.tolist() == list(range(SURFACES.n_vertices)[SURFACES.vertices_of(hemisphere)])


def test_flat_surface_lies_in_a_plane_and_leaves_out_the_cut() -> None:
    flat = SURFACES.mesh("flat")
    used = np.unique(flat.faces)
    assert 18_000 < len(used) < SURFACES.n_vertices
    assert np.ptp(flat.coordinates[used, 2]) == 0


def test_normals_have_unit_length_and_point_outwards() -> None:
    inflated = SURFACES.mesh("inflated")
    normals = inflated.vertex_normals()
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=1e-5)
    outward = np.sum(normals * inflated.coordinates, axis=1) > 0  # inflated hemispheres are centred on 0
    assert outward.mean() > 0.97


def test_vertex_areas_add_up_to_the_surface() -> None:
    white = SURFACES.mesh("white")
    a, b, c = (white.coordinates[white.faces[:, corner]].astype(float) for corner in range(3))
    sides = np.stack([np.linalg.norm(a - b, axis=1), np.linalg.norm(b - c, axis=1), np.linalg.norm(c - a, axis=1)])
    half = sides.sum(axis=0) / 2
    heron = np.sqrt(half * np.prod(half - sides, axis=0)).sum()
    assert white.vertex_areas().sum() == pytest.approx(heron, rel=1e-5)
    assert 120_000 < heron < 140_000  # mm^2


def test_folding_is_positive_in_sulci() -> None:
    """Deep vertices are nearer to the centre of the hemisphere than the hull."""
    assert np.corrcoef(SURFACES.sulc, SURFACES.curvature)[0, 1] > 0.7
    left = SURFACES.vertices_of("left")
    pial = SURFACES.mesh("pial").coordinates[left]
    radius = np.linalg.norm(pial - pial.mean(axis=0), axis=1)
    assert np.corrcoef(radius, SURFACES.sulc[left])[0, 1] < -0.3


def test_template_is_read_once_and_cannot_be_changed() -> None:
    assert fsaverage5() is SURFACES
    with pytest.raises(ValueError, match="read-only"):
        SURFACES.mesh("pial").coordinates[0, 0] = 0


def test_unknown_surface_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'sphere'.*pial, white, inflated, flat"):
        SURFACES.mesh("sphere")


@pytest.mark.parametrize("values", [np.zeros(10_242), np.zeros((1, 20_484)), np.float64(1), np.zeros(20_484, complex), np.full(20_484, "a")])
def test_what_is_no_map_is_refused(values: np.ndarray) -> None:
    with pytest.raises(InputError, match="per vertex"):
        check_map(values, SURFACES)


def test_missing_nilearn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install nilearn"):
        fsaverage5.__wrapped__()


def test_files_of_another_resolution_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "datasets" / "data" / "fsaverage5"
    folder.mkdir(parents=True)
    monkeypatch.setattr(mesh, "_nilearn_folder", lambda: tmp_path)
    with pytest.raises(InputError, match=r"pial_left\.gii\.gz is not in"):
        fsaverage5.__wrapped__()
    arrays = [GiftiDataArray(np.zeros((642, 3), np.float32)), GiftiDataArray(np.zeros((1280, 3), np.int32))]
    nibabel.save(GiftiImage(darrays=arrays), folder / "pial_left.gii.gz")
    with pytest.raises(InputError, match=r"length 642; expected 2 and 10,242 vertices"):
        fsaverage5.__wrapped__()


def test_files_are_found_without_importing_nilearn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / name / "__init__.py")))
    assert mesh._nilearn_folder() == tmp_path / "nilearn"
