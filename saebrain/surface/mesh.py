"""Cortical meshes with both hemispheres in one vertex list: left first, then right.

Files are found, not imported: importing nilearn.datasets costs seconds, reading eight of its GIFTI files 0.1 s.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import nibabel
import numpy as np
from jaxtyping import Float, Float32, Int32

from saebrain.errors import InputError

Hemisphere = Literal["left", "right"]
HEMISPHERES: tuple[Hemisphere, ...] = get_args(Hemisphere)

FSAVERAGE5_PER_HEMISPHERE = 10_242
_FSAVERAGE5_FILES = {"pial": "pial", "white": "white", "inflated": "infl", "flat": "flat"}  # our name: nilearn's file name


@dataclass(frozen=True, eq=False)
class Mesh:
    """One surface of both hemispheres. Compared and hashed by identity, so that it can key a cache.

    Parameters
    ----------
    name : str
        "pial", "white", "inflated" or "flat".
    coordinates : float32 (vertices, 3)
        Right, anterior, superior, in mm. Inflated hemispheres are both centred on 0 and so overlap in space.
    faces : int32 (faces, 3)
        Vertex numbers, counter-clockwise seen from outside. The flat surface leaves out the cut and the medial wall.
    n_left : int
        Vertices of the left hemisphere.
    """

    name: str
    coordinates: Float32[np.ndarray, "vertices 3"]
    faces: Int32[np.ndarray, "faces 3"]
    n_left: int

    @property
    def n_vertices(self) -> int:
        return len(self.coordinates)

    def faces_of(self, hemisphere: Hemisphere) -> Int32[np.ndarray, "faces 3"]:
        """The faces of one hemisphere, still with vertex numbers of the whole mesh."""
        left = self.faces[:, 0] < self.n_left
        return self.faces[left if hemisphere == "left" else ~left]

    def face_normals(self) -> Float32[np.ndarray, "faces 3"]:
        """Outward normals, in mm^2: twice as long as the face's area."""
        a, b, c = (self.coordinates[self.faces[:, corner]] for corner in range(3))
        return np.cross(b - a, c - a)

    def vertex_normals(self) -> Float32[np.ndarray, "vertices 3"]:
        """Unit outward normals: the mean of the adjacent faces' normals, weighted by area; zero where no face is."""
        total = np.stack([self._sum_at_vertices(axis) for axis in self.face_normals().T], axis=1)
        length = np.linalg.norm(total, axis=1, keepdims=True)
        return np.divide(total, length, out=np.zeros_like(total), where=length > 0).astype(np.float32)

    def vertex_areas(self) -> Float[np.ndarray, " vertices"]:
        """A third of the area of the adjacent faces, in mm^2 (as FreeSurfer's ``?h.area``)."""
        return self._sum_at_vertices(np.linalg.norm(self.face_normals(), axis=1) / 6)

    def _sum_at_vertices(self, per_face: Float[np.ndarray, " faces"]) -> Float[np.ndarray, " vertices"]:
        return np.bincount(self.faces.ravel(), weights=np.repeat(per_face, 3), minlength=self.n_vertices)


@dataclass(frozen=True, eq=False)
class Surfaces:
    """The surfaces of one template and its folding. Compared and hashed by identity.

    Parameters
    ----------
    name : str
        "fsaverage5".
    meshes : mapping of str to Mesh
        All with the same vertices.
    sulc : float32 (vertices,)
        FreeSurfer's sulcal depth in its own units; positive in sulci.
    curvature : float32 (vertices,)
        Mean curvature, in 1/mm; positive in sulci.
    n_left : int
        Vertices of the left hemisphere.
    """

    name: str
    meshes: Mapping[str, Mesh]
    sulc: Float32[np.ndarray, " vertices"]
    curvature: Float32[np.ndarray, " vertices"]
    n_left: int

    @property
    def n_vertices(self) -> int:
        return len(self.sulc)

    def mesh(self, name: str) -> Mesh:
        """The surface of this name.

        Raises
        ------
        InputError
            If there is none.
        """
        if name not in self.meshes:
            raise InputError(f"unknown surface {name!r}: {self.name} has {', '.join(self.meshes)}; choose one of them")
        return self.meshes[name]

    def shown(self, name: str = "inflated") -> str:
        """The surface of this name; where there is none, the inflated one, or else the first."""
        return next((each for each in (name, "inflated") if each in self.meshes), next(iter(self.meshes)))

    def vertices_of(self, hemisphere: Hemisphere) -> slice:
        """Where one hemisphere lies in an array over all vertices."""
        return slice(0, self.n_left) if hemisphere == "left" else slice(self.n_left, self.n_vertices)


def check_map(values: np.ndarray, surfaces: Surfaces) -> np.ndarray:
    """A map as an array, once it is known to have one number per vertex.

    Raises
    ------
    InputError
        If the shape is not (vertices,) or the values are not real numbers.
    """
    values = np.asarray(values)
    if values.shape != (surfaces.n_vertices,):
        raise InputError(
            f"map of shape {values.shape}: {surfaces.name} has {surfaces.n_vertices:,} vertices; "
            "give one value per vertex, left hemisphere first (NaN where nothing was measured)"
        )
    if values.dtype.kind not in "fiub":
        raise InputError(f"map of type {values.dtype}: give real numbers, one per vertex (NaN where nothing was measured)")
    return values


@lru_cache(maxsize=1)
def fsaverage5() -> Surfaces:
    """FreeSurfer's fsaverage5 template (Fischl et al. 1999), from the files inside the installed nilearn.

    Returns
    -------
    Surfaces
        pial, white, inflated and flat; 10,242 vertices per hemisphere. Arrays are read-only.

    Raises
    ------
    InputError
        If the files are missing or hold another number of vertices.
    """
    folder = _nilearn_folder() / "datasets" / "data" / "fsaverage5"
    meshes = {name: _read_mesh(name, folder, stem) for name, stem in _FSAVERAGE5_FILES.items()}
    return Surfaces("fsaverage5", meshes, _read_scalars(folder, "sulc"), _read_scalars(folder, "curv"), FSAVERAGE5_PER_HEMISPHERE)


def _nilearn_folder() -> Path:
    spec = importlib.util.find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise InputError("the fsaverage5 meshes come with nilearn, which is not installed; run: pip install nilearn")
    return Path(spec.origin).parent


def _read_mesh(name: str, folder: Path, stem: str) -> Mesh:
    coordinates, faces = [], []
    for index, hemisphere in enumerate(HEMISPHERES):
        xyz, triangles = _read_arrays(folder / f"{stem}_{hemisphere}.gii.gz", 2)
        coordinates.append(xyz.astype(np.float32))
        faces.append(triangles.astype(np.int32) + index * FSAVERAGE5_PER_HEMISPHERE)
    return Mesh(name, _frozen(np.concatenate(coordinates)), _frozen(np.concatenate(faces)), FSAVERAGE5_PER_HEMISPHERE)


def _read_scalars(folder: Path, stem: str) -> Float32[np.ndarray, " vertices"]:
    halves = [_read_arrays(folder / f"{stem}_{hemisphere}.gii.gz", 1)[0] for hemisphere in HEMISPHERES]
    return _frozen(np.concatenate(halves).astype(np.float32))


def _read_arrays(path: Path, n_arrays: int) -> list[np.ndarray]:
    """The arrays of one hemisphere's GIFTI file, the first of them over its vertices."""
    if not path.is_file():
        raise InputError(f"{path.name} is not in the installed nilearn ({path.parent}); run: pip install --force-reinstall nilearn")
    arrays = [array.data for array in nibabel.load(path).darrays]
    if len(arrays) != n_arrays or len(arrays[0]) != FSAVERAGE5_PER_HEMISPHERE:
        raise InputError(
            f"{path}: {len(arrays)} arrays, the first of length {len(arrays[0]) if arrays else 0}; expected {n_arrays} "
            f"and {FSAVERAGE5_PER_HEMISPHERE:,} vertices; run: pip install --force-reinstall nilearn"
        )
    return arrays


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
