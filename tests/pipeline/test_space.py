"""A study on a mesh and with an atlas of its own: from its responses to its pages."""

from __future__ import annotations

import tomllib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.spatial import ConvexHull
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from saebrain.__main__ import app
from saebrain.encoding.score import leave_one_run_out
from saebrain.errors import InputError
from saebrain.pipeline import steps, topography
from saebrain.pipeline.cortical import best_category, best_category_table, selection_map
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.selection import study_codebook
from saebrain.pipeline.space import n_vertices, study_space, study_sphere
from saebrain.pipeline.spun import Grid, grid
from saebrain.progress import silent
from saebrain.study import Study
from saebrain.surface.atlas import Atlas, desikan_killiany
from saebrain.surface.mesh import HEMISPHERES, fsaverage5
from saebrain.surface.sphere import fsaverage5_sphere
from saebrain.ui.frame import FILES
from tests.pages.conftest import viewers_of
from tests.studies import configure, copy_study, quiet, write_configuration

COARSE = 2562
"""Vertices of fsaverage4 in each hemisphere, the first of fsaverage5."""
ALPHA = 30.0
POINTS = np.concatenate([start + np.arange(COARSE) for start in (0, 10_242)])
ROOT = Path(__file__).parents[2]


def write_subject(folder: Path) -> None:
    """fsaverage4 as a FreeSurfer subject: every vertex from fsaverage5, triangles as the hull of the sphere has them."""
    (folder / "surf").mkdir(parents=True)
    (folder / "label").mkdir()
    surfaces, atlas = fsaverage5(), desikan_killiany()
    for side, hemisphere in zip(("lh", "rh"), HEMISPHERES, strict=True):
        points = surfaces.vertices_of(hemisphere).start + np.arange(COARSE)
        sphere = fsaverage5_sphere()[points]
        faces = ConvexHull(sphere).simplices
        a, b, c = (sphere[faces[:, corner]] for corner in range(3))
        inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a) < 0
        faces[inward] = faces[inward][:, ::-1]
        nibabel.freesurfer.write_geometry(folder / "surf" / f"{side}.sphere", sphere, faces)
        for name in ("pial", "white", "inflated"):
            nibabel.freesurfer.write_geometry(folder / "surf" / f"{side}.{name}", surfaces.mesh(name).coordinates[points], faces)
        nibabel.freesurfer.write_morph_data(folder / "surf" / f"{side}.curv", surfaces.curvature[points])
        names = ["unknown", *(parcel for own, parcel in atlas.parcels if own == hemisphere)]
        number = np.array([0 if label < 0 else names.index(atlas.parcels[label][1]) for label in atlas.labels[points]])
        colours = np.column_stack([np.arange(len(names) * 3).reshape(-1, 3), np.zeros(len(names), int), np.arange(len(names))])
        nibabel.freesurfer.write_annot(folder / "label" / f"{side}.aparc.annot", number, colours, names, fill_ctab=True)


def on_own_mesh(folder: Path) -> None:
    """Have study.toml name the subject's mesh and annotation; real responses."""
    values = tomllib.loads((folder / "study.toml").read_text())
    values.pop("simulation", None)
    values["responses"] |= {"space": "bert", "atlas": ["bert/label/lh.aparc.annot", "bert/label/rh.aparc.annot"]}
    write_configuration(folder, values)


@pytest.fixture(scope="module")
def study(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The demo's first subject, at the vertices of fsaverage4; one penalty, so that none is chosen by other vertices."""
    folder = copy_study(demo_study, tmp_path_factory.mktemp("studies") / "study", without=("responses", "truth", "encoding", "summary.json"))
    write_subject(folder / "bert")
    on_own_mesh(folder)
    configure(folder, encoding={"alphas": [ALPHA]})
    opened = Study.open(folder)
    (opened.responses / "sub-01").mkdir(parents=True)
    for run in opened.run_names:
        np.save(opened.responses / "sub-01" / f"{run}.npy", np.load(demo_study / "responses" / "sim-01" / f"{run}.npy")[:, POINTS])
    for name in ("responses", "encode", "summary"):
        assert steps.run(opened, STEPS[name], STEPS, quiet)
    return opened


def test_mesh_and_atlas_come_from_the_files(study: Study) -> None:
    space, atlas = study_space(study), desikan_killiany()
    assert space is study_space(Study.open(study.folder))
    assert (space.surfaces.name, n_vertices(study), space.surfaces.n_left) == ("bert", 2 * COARSE, COARSE)
    assert sorted(space.atlas.parcels) == sorted(atlas.parcels)
    for index, parcel in enumerate(atlas.parcels):
        np.testing.assert_array_equal(space.atlas.mask(*parcel), (atlas.labels == index)[POINTS])
    np.testing.assert_allclose(study_sphere(study), fsaverage5_sphere()[POINTS], atol=1e-3)
    assert (space.surfaces.shown("flat"), space.surfaces.shown("pial")) == ("inflated", "pial")


def test_r_is_that_of_the_same_vertices_of_a_finer_mesh(study: Study, demo_problem: Problem) -> None:
    fine = demo_problem.measured.vertices["sim-01"][:, POINTS]
    kernel, labels = demo_problem.kernel("semantic/place"), demo_problem.atlas.labels[POINTS]
    (expected,) = leave_one_run_out(kernel, demo_problem.nuisance, [fine], demo_problem.layout.folds, labels, [ALPHA])
    np.testing.assert_allclose(selection_map(study, "semantic/place").of("sub-01"), expected.r, atol=1e-5)
    assert np.isnan(expected.r).sum() > 100


def test_what_was_planted_is_found_in_its_parcels(study: Study) -> None:
    found = topography.compute(study, {"n": 199}, silent)
    assert found["p_spin"] == 1 / 200 and found["rho"] > 0.6
    best = best_category(study, None, 0.05)
    table = best_category_table(study, best)
    assert (table["in_predicted"] > table["expected"]).all() and table["vertices"].sum() < len(best.index) == 2 * COARSE


def test_points_of_a_mesh_without_a_family(study: Study) -> None:
    """A sphere whose vertices lie nowhere near fsaverage's: every point once, as even as that mesh allows."""
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(2 * 8000, 3))
    cloud *= 100 / np.linalg.norm(cloud, axis=1, keepdims=True)
    points = grid(cloud, 8000)
    assert len(set(points.tolist())) == len(points) > 0.7 * 2 * COARSE
    assert (np.diff(points) > 0).all() and 0.4 < (points < 8000).mean() < 0.6
    np.testing.assert_array_equal(grid(study_sphere(study), COARSE), np.arange(2 * COARSE))
    np.testing.assert_array_equal(grid(), POINTS)
    labels = study_space(study).atlas.labels
    one_vertex = Atlas("tiny", (("left", "a"), ("left", "b")), np.where(np.arange(len(labels)) > 5, 0, -1).astype(np.int16))
    with pytest.raises(InputError, match="atlas tiny: parcels too small to be turned, such as left b"):
        Grid.of(study_sphere(study), one_vertex, COARSE)


@pytest.mark.parametrize("page", ["overview", "features", "cortex", "encoding", "topography"])
def test_pages_draw_the_study_s_own_mesh(study: Study, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setenv("SAEBRAIN_STUDY", str(study.folder))
    dashboard = AppTest.from_file(ROOT / "app.py", default_timeout=120)
    if page != "overview":
        dashboard.switch_page(FILES[page])
    dashboard.query_params.update({"surface": "flat", "vertex": str(COARSE), "pick": "semantic/place"})
    dashboard.run()
    assert not dashboard.exception and not dashboard.error
    if page in ("features", "cortex"):
        (viewer,) = viewers_of(dashboard)
        assert {shown["vertices"] for shown in viewer["maps"]} == {2 * COARSE}
        assert any("Pinned: right" in text.value and "vertex 0." in text.value for text in dashboard.markdown)


def test_maps_are_written_on_the_study_s_own_mesh(study: Study, tmp_path: Path) -> None:
    for ending in ("png", "html", "csv", "gii"):
        result = CliRunner().invoke(app, ["map", str(study.folder), "--selection", "all", "--outlines", "-o", str(tmp_path / f"map.{ending}")])
        assert result.exit_code == 0, result.output
    halves = [nibabel.load(tmp_path / f"map_hemi-{side}.func.gii").darrays[0].data for side in "LR"]
    np.testing.assert_array_equal(np.concatenate(halves), selection_map(study, "all").of(None))
    assert (tmp_path / "map.csv").read_text().count("\n") == 2 * COARSE + 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "fsaverage6"}, r"fsaverage6: no such folder; name one with lh\.pial"),
        ({"space": "fsaverage5"}, r"lh\.aparc\.annot: labels of 2,562 vertices, fsaverage5 has 10,242 on the left"),
        ({"atlas": "desikan-killiany"}, r"responses: .*ships for fsaverage5 alone; give two files of labels on this mesh: atlas = \[LEFT, RIGHT\]"),
        ({"atlas": ["bert/label/lh.aparc.annot"]}, r"responses\.atlas: .*neither 'desikan-killiany' nor two files of labels, left first"),
        ({"atlas": ["bert/label/rh.aparc.annot", "bert/label/lh.aparc.annot"]}, r"rh\.aparc\.annot: by its name of the other hemisphere"),
        ({"atlas": ["bert/lh.annot", "bert/rh.annot"]}, r"lh\.annot: no such file; check the path"),
    ],
)
def test_spaces_that_do_not_fit(study: Study, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    folder = copy_study(study.folder, tmp_path / "study")
    values = tomllib.loads((folder / "study.toml").read_text())
    values["responses"] |= changes
    write_configuration(folder, values)
    with pytest.raises(InputError, match=message):
        study_space(Study.open(folder))


def test_responses_of_another_mesh_are_refused(study: Study, tmp_path: Path) -> None:
    folder = copy_study(study.folder, tmp_path / "study", without=("responses",))
    (folder / "responses" / "sub-01").mkdir(parents=True)
    for run in study.run_names:
        np.save(folder / "responses" / "sub-01" / f"{run}.npy", np.zeros((652, 20_484), np.float32))
    with pytest.raises(InputError, match=r"received shape \(652, 20484\), expected \(652, 5124\)"):
        steps.run(Study.open(folder), STEPS["responses"], STEPS, quiet)


def test_simulated_responses_stay_on_their_mesh(demo_study: Path, tmp_path: Path) -> None:
    folder = copy_study(demo_study, tmp_path / "study")
    write_subject(folder / "bert")
    simulation = tomllib.loads((folder / "study.toml").read_text())["simulation"]
    on_own_mesh(folder)
    write_configuration(folder, {**tomllib.loads((folder / "study.toml").read_text()), "simulation": simulation})
    with pytest.raises(InputError, match="responses are simulated on fsaverage5 with desikan-killiany alone"):
        Study.open(folder)


def test_parcels_that_the_codebook_does_not_know(study: Study, tmp_path: Path) -> None:
    folder = copy_study(study.folder, tmp_path / "study")
    for side in ("lh", "rh"):
        path = folder / "bert" / "label" / f"{side}.aparc.annot"
        number, colours, names = nibabel.freesurfer.read_annot(path)
        path.unlink()  # a link to the other study's
        nibabel.freesurfer.write_annot(path, number, colours, [name.replace(b"insula", b"island") for name in names], fill_ctab=True)
    with pytest.raises(InputError, match="no such parcel: 'insula' of 'semantic/emotion'"):
        study_codebook(Study.open(folder))


def test_without_spheres_nothing_can_be_turned(study: Study, tmp_path: Path) -> None:
    folder = copy_study(study.folder, tmp_path / "study")
    (folder / "bert" / "surf" / "rh.sphere").unlink()
    with pytest.raises(InputError, match="no spheres of both hemispheres; maps are turned on them"):
        study_sphere(Study.open(folder))
