"""Meshes, labels and maps from files of several programs, and what is said when they do not fit."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiMetaData

from saebrain.errors import InputError
from saebrain.surface.atlas import desikan_killiany
from saebrain.surface.files import _atlas_name, read_atlas, read_map, read_surfaces
from saebrain.surface.gifti import write_func_gii
from saebrain.surface.mesh import HEMISPHERES, Hemisphere, fsaverage5

SURFACES, ATLAS = fsaverage5(), desikan_killiany()
SIDES: dict[Hemisphere, tuple[str, str]] = {"left": ("lh", "L"), "right": ("rh", "R")}


def halves(name: str) -> dict[Hemisphere, tuple[np.ndarray, np.ndarray]]:
    mesh = SURFACES.mesh(name)
    out: dict[Hemisphere, tuple[np.ndarray, np.ndarray]] = {}
    for hemisphere in HEMISPHERES:
        inside = SURFACES.vertices_of(hemisphere)
        out[hemisphere] = mesh.coordinates[inside], mesh.faces_of(hemisphere) - inside.start
    return out


@pytest.fixture
def freesurfer(tmp_path: Path) -> Path:
    """fsaverage5 as FreeSurfer would have it, with its annotation."""
    folder = tmp_path / "bert"
    (folder / "surf").mkdir(parents=True)
    (folder / "label").mkdir()
    for name in ("pial", "inflated"):
        for hemisphere, (xyz, faces) in halves(name).items():
            nibabel.freesurfer.write_geometry(folder / "surf" / f"{SIDES[hemisphere][0]}.{name}", xyz, faces)
    for hemisphere in HEMISPHERES:
        inside, short = SURFACES.vertices_of(hemisphere), SIDES[hemisphere][0]
        nibabel.freesurfer.write_morph_data(folder / "surf" / f"{short}.curv", SURFACES.curvature[inside])
        own = ATLAS.labels[inside]
        first = int(own[own >= 0].min())
        names = ["unknown", *(parcel for side, parcel in ATLAS.parcels if side == hemisphere)]
        colours = np.column_stack([np.arange(len(names) * 3).reshape(-1, 3), np.zeros(len(names), int), np.arange(len(names))])
        nibabel.freesurfer.write_annot(
            folder / "label" / f"{short}.aparc.annot", np.where(own < 0, 0, own - first + 1), colours, names, fill_ctab=True
        )
    return folder


def test_freesurfer_subject_with_its_own_annotation(freesurfer: Path) -> None:
    read = read_surfaces(freesurfer)
    assert (read.name, list(read.meshes), read.n_left, read.n_vertices) == ("bert", ["pial", "inflated"], 10_242, 20_484)
    np.testing.assert_allclose(read.mesh("pial").coordinates, SURFACES.mesh("pial").coordinates, atol=1e-3)
    np.testing.assert_array_equal(read.mesh("pial").faces, SURFACES.mesh("pial").faces)
    np.testing.assert_allclose(read.curvature, SURFACES.curvature, atol=1e-6)
    atlas = read_atlas(freesurfer / "label" / "lh.aparc.annot", freesurfer / "label" / "rh.aparc.annot", read)
    assert atlas.name == "aparc" and set(atlas.parcels) == set(ATLAS.parcels)
    for parcel in ("fusiform", "insula"):
        for hemisphere in HEMISPHERES:
            np.testing.assert_array_equal(atlas.mask(hemisphere, parcel), ATLAS.mask(hemisphere, parcel))


def label_file(path: Path, names: dict[int, str], keys: np.ndarray) -> Path:
    image = GiftiImage(darrays=[GiftiDataArray(keys.astype(np.int32), intent="NIFTI_INTENT_LABEL", datatype="NIFTI_TYPE_INT32")])
    for key, name in names.items():
        label = GiftiLabel(key=key, red=1.0)
        label.label = name
        image.labeltable.labels.append(label)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("L_V1_ROI", "R_V1_ROI"), ("V1_ROI", "V1_ROI")),
        (("7Networks_LH_Vis_1", "7Networks_RH_Vis_1"), ("7Networks_Vis_1", "7Networks_Vis_1")),
        (("lh.insula", "rh.insula"), ("insula", "insula")),
        (("S_temporal_sup", "S_temporal_sup"), ("S_temporal_sup", "S_temporal_sup")),
        (("L_V1", "V1"), ("L_V1", "V1")),
        (("R_V1", "L_V1"), ("R_V1", "L_V1")),
    ],
)
def test_hemispheres_are_taken_off_the_names_where_all_have_them(tmp_path: Path, names: tuple[str, str], expected: tuple[str, str]) -> None:
    keys = np.ones(10_242, int)
    keys[:100] = 0
    left, right = (label_file(tmp_path / f"glasser.{side}.label.gii", {0: "???", 1: name}, keys) for side, name in zip("LR", names, strict=True))
    atlas = read_atlas(left, right, SURFACES)
    assert (atlas.name, atlas.parcels) == ("glasser", (("left", expected[0]), ("right", expected[1])))
    assert (atlas.labels == -1).sum() == 200


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lh.aparc.a2009s.annot", "aparc.a2009s"),
        ("left.aparc.a2009s.annot", "aparc.a2009s"),
        ("S1200.L.aparc.32k_fs_LR.label.gii", "S1200.aparc.32k_fs_LR"),
        ("tpl-fsLR_hemi-L_desc-MMP_dseg.label.gii", "tpl-fsLR_desc-MMP_dseg"),
    ],
)
def test_atlases_are_called_as_their_files(name: str, expected: str) -> None:
    assert _atlas_name(Path(name)) == expected


def gifti_folder(folder: Path, *, swapped: bool = False) -> Path:
    """As the Human Connectome Project names its files."""
    folder.mkdir()
    for hemisphere, (xyz, faces) in halves("pial").items():
        other = HEMISPHERES[(HEMISPHERES.index(hemisphere) + swapped) % 2]
        arrays = [
            GiftiDataArray(xyz, intent="NIFTI_INTENT_POINTSET", datatype="NIFTI_TYPE_FLOAT32"),
            GiftiDataArray(faces.astype(np.int32), intent="NIFTI_INTENT_TRIANGLE", datatype="NIFTI_TYPE_INT32"),
        ]
        nibabel.save(GiftiImage(darrays=arrays), folder / f"S1200.{SIDES[other][1]}.pial.32k_fs_LR.surf.gii")
    return folder


def test_gifti_names_of_the_connectome_project(tmp_path: Path) -> None:
    read = read_surfaces(gifti_folder(tmp_path / "fsLR"), "fsLR")
    assert list(read.meshes) == ["pial"] and not read.curvature.any()
    np.testing.assert_array_equal(read.mesh("pial").coordinates, SURFACES.mesh("pial").coordinates)


def test_nilearns_own_files(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("nilearn")
    assert spec is not None and spec.origin is not None
    read = read_surfaces(Path(spec.origin).parent / "datasets" / "data" / "fsaverage5")
    for name in ("pial", "white", "inflated", "flat"):
        np.testing.assert_array_equal(read.mesh(name).coordinates, SURFACES.mesh(name).coordinates)
    np.testing.assert_array_equal(read.curvature, SURFACES.curvature)


def test_swapped_hemispheres_are_noticed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"left and right are swapped"):
        read_surfaces(gifti_folder(tmp_path / "swapped", swapped=True))
    left, right = write_func_gii(np.zeros(20_484), tmp_path / "map")
    with pytest.raises(InputError, match=r"says that it is CortexRight, but was taken for the left"):
        read_map([right, left], SURFACES)


def test_swapped_annotations_are_noticed(freesurfer: Path) -> None:
    with pytest.raises(InputError, match="other hemisphere"):
        read_atlas(freesurfer / "label" / "rh.aparc.annot", freesurfer / "label" / "lh.aparc.annot", SURFACES)


def test_missing_hemisphere_and_other_mesh(freesurfer: Path) -> None:
    (freesurfer / "surf" / "rh.inflated").unlink()
    with pytest.raises(InputError, match=r"inflated has no file of the right hemisphere"):
        read_surfaces(freesurfer)
    xyz, faces = np.random.default_rng(0).normal(size=(50, 3)), np.array([[0, 1, 2]])
    nibabel.freesurfer.write_geometry(freesurfer / "surf" / "rh.inflated", xyz, faces)
    with pytest.raises(InputError, match=r"different vertices .*inflated 10,242 \+ 50"):
        read_surfaces(freesurfer)


@pytest.mark.parametrize("name", ["lh.pial", "lh.curv"])
def test_damaged_files_are_named(freesurfer: Path, name: str) -> None:
    (freesurfer / "surf" / name).write_bytes(b"no surface at all")
    with pytest.raises(InputError, match=name):
        read_surfaces(freesurfer)


def test_triangles_beyond_the_vertices(freesurfer: Path) -> None:
    xyz, faces = halves("pial")["left"]
    nibabel.freesurfer.write_geometry(freesurfer / "surf" / "lh.pial", xyz, np.vstack([faces, [[0, 1, 99_999]]]))
    with pytest.raises(InputError, match=r"beyond the 10,242"):
        read_surfaces(freesurfer)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no surfaces in it"):
        read_surfaces(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_surfaces(tmp_path / "elsewhere")


def test_maps_survive_their_files(tmp_path: Path) -> None:
    values = np.where(ATLAS.labels >= 0, np.random.default_rng(0).normal(size=20_484), np.nan).astype(np.float32)
    np.testing.assert_array_equal(read_map(write_func_gii(values, tmp_path / "map"), SURFACES), values)
    np.save(tmp_path / "map.npy", values)
    np.testing.assert_array_equal(read_map([tmp_path / "map.npy"], SURFACES), values)
    np.save(tmp_path / "short.npy", values[:100])
    with pytest.raises(InputError, match=r"shape \(100,\); fsaverage5 has 20,484"):
        read_map([tmp_path / "short.npy"], SURFACES)
    np.save(tmp_path / "words.npy", values.astype(str))
    with pytest.raises(InputError, match=r"words\.npy: received <U32 values, expected numbers"):
        read_map([tmp_path / "words.npy"], SURFACES)
    (tmp_path / "map.npy").write_bytes((tmp_path / "map.npy").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"map\.npy: not a readable \.npy array"):
        read_map([tmp_path / "map.npy"], SURFACES)


def test_atlas_of_another_mesh(freesurfer: Path, tmp_path: Path) -> None:
    shutil.copy(freesurfer / "label" / "rh.aparc.annot", tmp_path / "rh.small.annot")
    nibabel.freesurfer.write_annot(tmp_path / "lh.small.annot", np.array([0, 1, 1]), np.array([[0, 0, 0, 0, 0], [1, 1, 1, 0, 1]]), ["unknown", "a"])
    with pytest.raises(InputError, match=r"labels of 3 vertices, fsaverage5 has 10,242 on the left"):
        read_atlas(tmp_path / "lh.small.annot", tmp_path / "rh.small.annot", SURFACES)


def test_structure_in_the_file_wins_over_its_name(tmp_path: Path) -> None:
    folder = gifti_folder(tmp_path / "named")
    path = folder / "S1200.L.pial.32k_fs_LR.surf.gii"
    image = nibabel.load(path)
    image.meta = GiftiMetaData({"AnatomicalStructurePrimary": "CortexRight"})
    nibabel.save(image, path)
    with pytest.raises(InputError, match="left and right are swapped"):
        read_surfaces(folder)
