"""The viewer on a mesh as fine as fsaverage7: fsaverage5 with every face split in four, twice; 327,684 vertices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from saebrain.surface.atlas import Atlas
from saebrain.surface.mesh import HEMISPHERES, Mesh, Surfaces, fsaverage5
from saebrain.ui.viewer import component
from saebrain.ui.viewer.component import Acts, Leaves
from saebrain.ui.viewer.payload import ValueMap

SPLITS = 2
NAMES = ("inflated", "pial", "white")


def split(faces: np.ndarray, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Faces in four, at the middles of their edges; values there are means of both ends."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    ends, number = np.unique(edges, axis=0, return_inverse=True)
    a, b, c = faces.T
    ab, bc, ca = len(arrays[0]) + number.reshape(3, -1)
    finer = np.concatenate([np.stack(corners, axis=1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return finer, [np.concatenate([x, x[ends].mean(axis=1).astype(x.dtype)]) for x in arrays]


@st.cache_resource
def dense() -> tuple[Surfaces, Atlas]:
    coarse = fsaverage5()
    halves = []
    for hemisphere in HEMISPHERES:
        inside = coarse.vertices_of(hemisphere)
        faces = coarse.mesh("white").faces_of(hemisphere) - inside.start
        arrays = [coarse.sulc[inside], coarse.curvature[inside], *(coarse.mesh(name).coordinates[inside] for name in NAMES)]
        for _ in range(SPLITS):
            faces, arrays = split(faces, arrays)
        halves.append((faces, arrays))
    n_left = len(halves[0][1][0])
    faces = np.concatenate([halves[0][0], halves[1][0] + n_left]).astype(np.int32)
    sulc, curvature, *coordinates = (np.concatenate(pair) for pair in zip(halves[0][1], halves[1][1], strict=True))
    meshes = {name: Mesh(name, xyz, faces, n_left) for name, xyz in zip(NAMES, coordinates, strict=True)}
    parcels = np.where(np.arange(len(sulc)) < n_left, 0, 1).astype(np.int16)
    return Surfaces("fsaverage7-like", meshes, sulc, curvature, n_left), Atlas("hemispheres", tuple((side, "all") for side in HEMISPHERES), parcels)


@st.fragment
def viewer() -> None:
    surfaces, atlas = dense()

    def make(name: str) -> ValueMap:
        direction = np.random.default_rng(int(name.removeprefix("wave "))).normal(size=3) / 25
        return ValueMap(name, np.sin(surfaces.mesh("white").coordinates @ direction).astype(np.float32), "r, test", 1.0)

    def flip(name: str) -> None:
        st.query_params["map"] = name

    leaves = Leaves("test ", [f"wave {number}" for number in range(30)], str, make)
    current = st.query_params.get("map", "wave 0")
    component.show("viewer", leaves, current, look={}, defaults={}, pinned=None, acts=Acts(flip), surfaces=surfaces, atlas=atlas)


st.set_page_config(layout="wide")
viewer()
