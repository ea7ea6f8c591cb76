"""Maps as files other programs read: GIFTI per hemisphere, and tables with a row per vertex."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Num
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData

from saebrain.atomic import replacing
from saebrain.errors import InputError
from saebrain.surface.atlas import Atlas
from saebrain.surface.mesh import HEMISPHERES, Hemisphere, Surfaces, check_map, fsaverage5

_STRUCTURE = {"left": "CortexLeft", "right": "CortexRight"}
_LETTER = {"left": "L", "right": "R"}


def func_gii(values: Num[np.ndarray, " hemisphere_vertices"], hemisphere: Hemisphere, name: str = "", surfaces: Surfaces | None = None) -> GiftiImage:
    """One hemisphere's map as a GIFTI functional image, float32; NaN stays NaN.

    The structure is named in the file (AnatomicalStructurePrimary), as Connectome Workbench requires. ``name`` is the map's
    name there. ``image.to_bytes()`` is the content of a ``.func.gii`` file.

    Raises
    ------
    InputError
        If the map is not one number per vertex of a hemisphere of ``surfaces`` (by default fsaverage5).
    """
    values = np.asarray(values)
    inside = (surfaces or fsaverage5()).vertices_of(hemisphere)
    n_vertices = inside.stop - inside.start
    if values.shape != (n_vertices,) or values.dtype.kind not in "fiub":
        raise InputError(f"map of shape {values.shape} and type {values.dtype}: give {n_vertices:,} numbers, one per {hemisphere} vertex")
    array = GiftiDataArray(
        values.astype(np.float32), intent="NIFTI_INTENT_NONE", datatype="NIFTI_TYPE_FLOAT32", meta=GiftiMetaData({"Name": name} if name else {})
    )
    return GiftiImage(darrays=[array], meta=GiftiMetaData({"AnatomicalStructurePrimary": _STRUCTURE[hemisphere]}))


def write_func_gii(values: Num[np.ndarray, " vertices"], stem: Path, name: str = "", surfaces: Surfaces | None = None) -> tuple[Path, Path]:
    """Write a map of both hemispheres as ``{stem}_hemi-L.func.gii`` and ``{stem}_hemi-R.func.gii``.

    Returns
    -------
    tuple of Path
        The left and the right file.

    Raises
    ------
    InputError
        If the map is not one number per vertex of ``surfaces`` (by default fsaverage5), left first.
    """
    surfaces = surfaces or fsaverage5()
    values = check_map(values, surfaces)
    paths = []
    for hemisphere in HEMISPHERES:
        path = stem.with_name(f"{stem.name}_hemi-{_LETTER[hemisphere]}.func.gii")
        with replacing(path) as temporary:
            temporary.write_bytes(func_gii(values[surfaces.vertices_of(hemisphere)], hemisphere, name, surfaces).to_bytes())
        paths.append(path)
    return paths[0], paths[1]


def vertex_table(values: Num[np.ndarray, " vertices"], atlas: Atlas, surfaces: Surfaces | None = None) -> pd.DataFrame:
    """One row per vertex: vertex int (0-based, within its hemisphere), hemisphere str, parcel str (missing: in none), value.

    Raises
    ------
    InputError
        If the map is not one number per vertex of ``surfaces`` (by default fsaverage5), left first.
    """
    surfaces = surfaces or fsaverage5()
    values = check_map(values, surfaces)
    n_left, n_right = surfaces.n_left, surfaces.n_vertices - surfaces.n_left
    names = np.array([*(parcel for _, parcel in atlas.parcels), None], dtype=object)  # label -1 takes the last
    return pd.DataFrame(
        {
            "vertex": np.concatenate([np.arange(n_left), np.arange(n_right)]),
            "hemisphere": np.repeat(HEMISPHERES, [n_left, n_right]),
            "parcel": pd.array(names[atlas.labels], dtype="str"),
            "value": values,
        }
    )


def vertex_csv(values: Num[np.ndarray, " vertices"], atlas: Atlas, surfaces: Surfaces | None = None) -> str:
    """`vertex_table` as CSV; missing parcels and NaN are empty fields."""
    return vertex_table(values, atlas, surfaces).to_csv(index=False, float_format="%.6g", lineterminator="\n")
