"""Meshes, labels and maps from files: other templates (fsaverage6, fsaverage, fsLR-32k) and a subject's own surfaces.

Read are GIFTI files and FreeSurfer's binary ones. Files are known by their names, as FreeSurfer (``lh.pial``), the Human
Connectome Project (``S1200.L.inflated.32k_fs_LR.surf.gii``), TemplateFlow (``tpl-fsLR_den-32k_hemi-L_inflated.surf.gii``) and
nilearn (``infl_left.gii.gz``) write them. Left and right are checked against what the files say and against where they lie.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Float32, Int, Int16
from nibabel.filebasedimages import ImageFileError

from saebrain.arrays import read_brought
from saebrain.errors import InputError
from saebrain.surface.atlas import NOT_CORTEX, UNKNOWN, Atlas
from saebrain.surface.mesh import HEMISPHERES, Hemisphere, Mesh, Surfaces

_SIDE = re.compile(r"(?:^|[._/-])(?:hemi-)?(lh|rh|l|r|left|right)(?=[._-]|$)", re.IGNORECASE)
_SIDE_IN_NAME = re.compile(r"(?<![A-Za-z0-9])(lh|rh|l|r)[._-]", re.IGNORECASE)
_NAMES = {"pial": "pial", "white": "white", "smoothwm": "white", "midthickness": "white", "inflated": "inflated", "infl": "inflated", "flat": "flat"}
_SCALARS = {"curv": "curvature", "curvature": "curvature", "sulc": "sulc"}
_STRUCTURES = {"CortexLeft": "left", "CortexRight": "right"}
_ORDER = ("pial", "white", "inflated", "flat")


def read_surfaces(folder: Path, name: str | None = None) -> Surfaces:
    """All surfaces under a folder, such as a FreeSurfer subject (or its ``surf``), or a folder with GIFTI files of one template.

    Parameters
    ----------
    name : str, optional
        What to call the template; the folder's name if left out.

    Returns
    -------
    Surfaces
        Those of pial, white, inflated and flat that are there. Without a file of curvature the folds are left out (0).

    Raises
    ------
    InputError
        If a hemisphere is missing, left and right are mixed up, or files do not have the same vertices.
    """
    surf = folder / "surf" if (folder / "surf").is_dir() else folder
    if not surf.is_dir():
        raise InputError(f"{folder}: no such folder; name one with lh.pial and rh.pial, or with surf.gii files of both hemispheres")
    meshes, scalars = _known(surf)
    if not meshes:
        raise InputError(f"{surf}: no surfaces in it; looked for {', '.join(sorted(set(_NAMES)))} of both hemispheres, as FreeSurfer or GIFTI files")
    read = {key: _both(key, meshes[key]) for key in _ORDER if key in meshes}
    counts = {key: (mesh.n_left, mesh.n_vertices - mesh.n_left) for key, mesh in read.items()}
    if len(set(counts.values())) > 1:
        said = "; ".join(f"{key} {left:,} + {right:,}" for key, (left, right) in counts.items())
        raise InputError(f"{surf}: surfaces with different vertices ({said}); keep files of one template in the folder")
    any_mesh = next(iter(read.values()))
    for key in ("white", "pial"):
        if key in read:
            _check_sides(read[key], surf)
    found = {key: _scalar(paths, any_mesh) for key, paths in scalars.items()}
    nothing = np.zeros(any_mesh.n_vertices, np.float32)
    curvature = found.get("curvature", found.get("sulc", nothing))
    return Surfaces(name or folder.name, read, found.get("sulc", nothing), curvature, any_mesh.n_left)


def read_atlas(left: Path, right: Path, surfaces: Surfaces, name: str | None = None) -> Atlas:
    """An atlas from FreeSurfer ``.annot`` files or GIFTI ``.label.gii`` files, one per hemisphere.

    Where all names of parcels say their hemisphere, that is taken off.

    Raises
    ------
    InputError
        If a file is missing, is of the other hemisphere, or has another number of vertices than the mesh.
    """
    parcels: list[tuple[Hemisphere, str]] = []
    halves: list[Int16[np.ndarray, " vertices"]] = []
    for hemisphere, path in zip(HEMISPHERES, (left, right), strict=True):
        keys, names = _labels(path, hemisphere)
        inside = surfaces.vertices_of(hemisphere)
        if len(keys) != inside.stop - inside.start:
            raise InputError(f"{path}: labels of {len(keys):,} vertices, {surfaces.name} has {inside.stop - inside.start:,} on the {hemisphere}")
        half = np.full(len(keys), UNKNOWN, np.int16)
        for key, parcel in names.items():
            if parcel.lower() not in NOT_CORTEX and np.any(keys == key):
                half[keys == key] = len(parcels)
                parcels.append((hemisphere, parcel))
        halves.append(half)
    if not parcels:
        raise InputError(f"{left}: no parcels in it; choose a file with a label table")
    return Atlas(name or _atlas_name(left), _without_sides(parcels), np.concatenate(halves))


def _atlas_name(path: Path) -> str:
    """Of ``lh.aparc.a2009s.annot``: aparc.a2009s."""
    return _SIDE.sub("", re.sub(r"(\.annot|\.label\.gii|\.gii)(\.gz)?$", "", path.name)).strip("._-")


def _without_sides(parcels: Sequence[tuple[Hemisphere, str]]) -> tuple[tuple[Hemisphere, str], ...]:
    """Names without the hemisphere, if all have it (``L_V1_ROI``, ``7Networks_LH_Vis_1``): namesakes are looked for in the other one."""
    parts = [_SIDE_IN_NAME.search(name) for _, name in parcels]
    if not all(part and part[1].lower().startswith(side[0]) for part, (side, _) in zip(parts, parcels, strict=True)):
        return tuple(parcels)
    return tuple((side, _SIDE_IN_NAME.sub("", name, count=1)) for side, name in parcels)


def read_sphere(folder: Path, surfaces: Surfaces) -> Float32[np.ndarray, "vertices 3"]:
    """Where every vertex of a mesh lies once its hemisphere is blown up to a ball, from a folder as for `read_surfaces`.

    Raises
    ------
    InputError
        If there are no such files, they have other vertices than the mesh, or are no spheres around 0.
    """
    surf = folder / "surf" if (folder / "surf").is_dir() else folder
    paths: dict[Hemisphere, Path] = {}
    for path in sorted(surf.iterdir()) if surf.is_dir() else ():
        side = _SIDE.search(path.name)
        if side and path.is_file() and "sphere" in re.split(r"[._-]", path.name):
            paths.setdefault("left" if side[1].lower().startswith("l") else "right", path)
    if len(paths) < 2:
        raise InputError(f"{surf}: no spheres of both hemispheres; maps are turned on them, so add lh.sphere and rh.sphere, or sphere.surf.gii files")
    mesh = _both("sphere", paths)
    if (mesh.n_left, mesh.n_vertices) != (surfaces.n_left, surfaces.n_vertices):
        raise InputError(f"{paths['left']}: spheres of {mesh.n_vertices:,} vertices, {surfaces.name} has {surfaces.n_vertices:,}")
    radius = np.linalg.norm(mesh.coordinates, axis=1)
    if radius.min() < 0.9 * radius.max():
        raise InputError(f"{paths['left']}: not a sphere around 0 (radius from {radius.min():.0f} to {radius.max():.0f} mm); write it again")
    return mesh.coordinates


def read_map(paths: Iterable[Path], surfaces: Surfaces) -> Float32[np.ndarray, " vertices"]:
    """A map from a ``.npy`` file of both hemispheres, or two GIFTI or FreeSurfer files (``.func.gii``, ``.shape.gii``, ``.mgh``, ``lh.thickness``).

    Raises
    ------
    InputError
        If it does not fit the mesh.
    """
    paths = list(paths)
    if len(paths) == 1 and paths[0].suffix == ".npy":
        values = _array(paths[0])
        if values.shape != (surfaces.n_vertices,):
            raise InputError(f"{paths[0]}: shape {values.shape}; {surfaces.name} has {surfaces.n_vertices:,} vertices, left hemisphere first")
        return values.astype(np.float32, copy=False)
    if len(paths) != 2:
        raise InputError(f"{len(paths)} files: give one .npy of both hemispheres, or a file for the left and then one for the right")
    return _scalar(dict(zip(HEMISPHERES, paths, strict=True)), next(iter(surfaces.meshes.values())))


def _array(path: Path) -> np.ndarray:
    values = read_brought(_there(path))
    if values.dtype.kind not in "biuf":
        raise InputError(f"{path}: received {values.dtype} values, expected numbers, one per vertex; convert the array")
    return values


def _known(folder: Path) -> tuple[dict[str, dict[Hemisphere, Path]], dict[str, dict[Hemisphere, Path]]]:
    """Files of surfaces and of curvature and sulcal depth, by name and hemisphere."""
    meshes: dict[str, dict[Hemisphere, Path]] = {}
    scalars: dict[str, dict[Hemisphere, Path]] = {}
    for path in sorted(folder.iterdir()):
        side = _SIDE.search(path.name)
        words = re.split(r"[._-]", path.name)
        if side is None or not path.is_file():
            continue
        hemisphere: Hemisphere = "left" if side[1].lower().startswith("l") else "right"
        for names, found in ((_NAMES, meshes), (_SCALARS, scalars)):
            for word in words:
                if word in names:
                    found.setdefault(names[word], {}).setdefault(hemisphere, path)
    return meshes, scalars


def _both(name: str, paths: Mapping[Hemisphere, Path]) -> Mesh:
    """One surface of both hemispheres."""
    points: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for hemisphere in HEMISPHERES:
        if hemisphere not in paths:
            there = next(iter(paths.values()))
            raise InputError(f"{there.parent}: {name} has no file of the {hemisphere} hemisphere beside {there.name}; add it, or remove that one")
        xyz, triangles = _surface(paths[hemisphere], hemisphere)
        faces.append(triangles.astype(np.int32) + sum(len(each) for each in points))
        points.append(xyz)
    return Mesh(name, np.concatenate(points).astype(np.float32), np.concatenate(faces), len(points[0]))


def _surface(path: Path, hemisphere: Hemisphere) -> tuple[np.ndarray, Int[np.ndarray, "faces 3"]]:
    if _is_gifti(path):
        image = _gifti(path, hemisphere)
        arrays = {array.intent: array.data for array in image.darrays}
        xyz, triangles = arrays.get(1008), arrays.get(1009)  # NIFTI_INTENT_POINTSET, NIFTI_INTENT_TRIANGLE
        if xyz is None or triangles is None:
            raise InputError(f"{path}: holds no surface (points and triangles); choose a .surf.gii file")
    else:
        try:
            xyz, triangles = nibabel.freesurfer.read_geometry(_there(path))
        except (ValueError, OSError) as error:
            raise InputError(f"{path}: not a FreeSurfer surface ({error}); choose a file such as lh.pial") from error
    if not np.isfinite(xyz).all():
        raise InputError(f"{path}: coordinates that are not finite; write the surface again")
    if len(triangles) == 0 or triangles.min() < 0 or triangles.max() >= len(xyz):
        raise InputError(f"{path}: triangles that name vertices beyond the {len(xyz):,} there are; write the surface again")
    return np.asarray(xyz), np.asarray(triangles)


def _check_sides(mesh: Mesh, folder: Path) -> None:
    """Left must lie left: x points to the right."""
    left, right = mesh.coordinates[: mesh.n_left, 0].mean(), mesh.coordinates[mesh.n_left :, 0].mean()
    if left >= right:
        raise InputError(
            f"{folder}: the left {mesh.name} surface lies at x = {left:.0f} mm, the right one at {right:.0f} mm; "
            "left and right are swapped, or x does not point to the right: mend the files' names"
        )


def _scalar(paths: Mapping[Hemisphere, Path], mesh: Mesh) -> Float32[np.ndarray, " vertices"]:
    halves = []
    for hemisphere, expected in zip(HEMISPHERES, (mesh.n_left, mesh.n_vertices - mesh.n_left), strict=True):
        path = paths.get(hemisphere)
        if path is None:
            there = next(iter(paths.values()))
            raise InputError(f"{there}: no file of the {hemisphere} hemisphere beside it; add it, or remove this one")
        values = _values(path, hemisphere)
        if values.shape != (expected,):
            raise InputError(f"{path}: {values.size:,} values, the {hemisphere} hemisphere has {expected:,} vertices; choose a file of the same mesh")
        halves.append(values.astype(np.float32))
    return np.concatenate(halves)


def _values(path: Path, hemisphere: Hemisphere) -> np.ndarray:
    if _is_gifti(path):
        return np.asarray(_gifti(path, hemisphere).darrays[0].data)
    try:
        if path.suffix in (".mgh", ".mgz"):
            return np.asarray(nibabel.load(_there(path)).dataobj).ravel()
        return np.asarray(nibabel.freesurfer.read_morph_data(_there(path)))
    except (ValueError, OSError, ImageFileError) as error:
        raise InputError(f"{path}: no values per vertex to be read ({error}); choose a .func.gii, .mgh or FreeSurfer file") from error


def _labels(path: Path, hemisphere: Hemisphere) -> tuple[Int[np.ndarray, " vertices"], dict[int, str]]:
    if _is_gifti(path):
        image = _gifti(path, hemisphere)
        names = image.labeltable.get_labels_as_dict()
        return np.asarray(image.darrays[0].data), {int(key): str(name) for key, name in sorted(names.items())}
    named = _SIDE.search(path.name)
    if named is not None and not named[1].lower().startswith(hemisphere[0]):
        raise InputError(f"{path}: by its name of the other hemisphere than {hemisphere}; give the left file first, then the right one")
    try:
        keys, _, names = nibabel.freesurfer.read_annot(_there(path))
    except (ValueError, OSError, IndexError) as error:
        raise InputError(f"{path}: not an annotation ({error}); choose a file such as lh.aparc.annot") from error
    return np.asarray(keys), {key: name.decode("utf-8", "replace") for key, name in enumerate(names)}


def _gifti(path: Path, hemisphere: Hemisphere) -> nibabel.GiftiImage:
    try:
        image = nibabel.load(_there(path))
        arrays = image.darrays
    except (ImageFileError, ValueError, OSError, AttributeError) as error:
        raise InputError(f"{path}: not a readable GIFTI file ({error}); write it again") from error
    metas = [image.meta, *(array.meta for array in arrays)]
    said = next((meta["AnatomicalStructurePrimary"] for meta in metas if meta and "AnatomicalStructurePrimary" in meta), None)
    if said in _STRUCTURES and _STRUCTURES[said] != hemisphere:
        raise InputError(f"{path}: says that it is {said}, but was taken for the {hemisphere} hemisphere; left and right are swapped")
    if not arrays:
        raise InputError(f"{path}: holds no array; write it again")
    return image


def _is_gifti(path: Path) -> bool:
    return path.name.endswith((".gii", ".gii.gz"))


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    return path
