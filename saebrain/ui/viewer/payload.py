"""Meshes and maps as bytes for the viewer in the browser: a JSON header, then arrays.

A map is one byte per vertex: 0 where nothing was measured, 1 to 254 + 1 in even steps from the map's least to its greatest
value. So 20,484 vertices take 20 KB, and threshold, colours and range are the browser's own affair. The steps are a 254th
of the map's range; whoever needs the exact value asks Python.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int, Num, UInt8

from saebrain.errors import InputError
from saebrain.surface.atlas import Atlas
from saebrain.surface.colour import PALETTES
from saebrain.surface.mesh import Mesh, Surfaces, check_map

STEPS = 254
MATTERS = ("flip", "look", "pick")
"""What the browser reports until it is answered."""
MOST_CATEGORIES = 11
"""The browser's shader interpolates the shares of as many, and of "none"."""
CURVATURE_END = 0.2
"""Mean curvature (1/mm) of the greatest byte; folds are told apart within 0.04 of 0."""
_ALIGNMENT = 8


@dataclass(frozen=True, eq=False)
class ValueMap:
    """One number per vertex.

    Parameters
    ----------
    name : str
        What is shown, above the picture.
    values : (vertices,)
        NaN where nothing was measured.
    label : str
        Name of the colour bar, with the unit.
    reach : float
        Value of the last colour, unless the reader chooses another.
    sides : "both" or "one"
        Colours from -reach, or from 0.
    floor : float
        Least threshold: where a test left values out, they are 0, and the folds are to be seen there.
    """

    name: str
    values: Float[np.ndarray, " vertices"]
    label: str
    reach: float
    sides: Literal["both", "one"] = "both"
    floor: float = 0.0


@dataclass(frozen=True, eq=False)
class CategoryMap:
    """The category that wins at each vertex.

    Parameters
    ----------
    index : int (vertices,)
        Row of ``names`` and ``palette``; -1 where none wins.
    values : (vertices,)
        The winner's value; NaN where nothing was measured. Vertices below the threshold are drawn as none.
    none : str
        The legend's words for none; ``{}`` in it becomes the threshold.
    """

    name: str
    index: Int[np.ndarray, " vertices"]
    values: Float[np.ndarray, " vertices"]
    names: Sequence[str]
    palette: UInt8[np.ndarray, "categories 3"]
    none: str
    label: str


SurfaceMap = ValueMap | CategoryMap


@dataclass(frozen=True)
class State:
    """What Python tells the viewer besides maps.

    Parameters
    ----------
    mesh : str
        Name under which the mesh was sent.
    prefix : str
        Start of the names of all maps that belong here: the study, subject and so on.
    current : str
        The map to show.
    around : mapping of str to str
        Names and titles of maps around it, in the order in which one leafs through them.
    first, last : bool
        Whether ``around`` begins with the first map there is, and ends with the last.
    look : mapping
        How maps are drawn, where that was chosen: surface, view, threshold, range, sides, colours, outlines.
    defaults : mapping
        The same where it was not.
    seen : mapping
        Number of the latest report of every kind that Python has dealt with.
    """

    mesh: str
    prefix: str
    current: str
    around: Mapping[str, str]
    first: bool = True
    last: bool = True
    look: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    pinned: int | None = None
    seen: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(MATTERS, 0))


def quantise(values: Num[np.ndarray, " vertices"]) -> tuple[UInt8[np.ndarray, " vertices"], float, float]:
    """Bytes of a map, and the values of bytes 1 and 255. Infinite values become the greatest or least finite one."""
    known = ~np.isnan(values)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    out = np.zeros(len(values), np.uint8)
    inside = np.clip(values[known].astype(np.float64), low, high)
    out[known] = 1 + np.rint((inside - low) * (STEPS / (high - low) if high > low else 0.0)).astype(np.uint8)
    return out, low, high


def mesh_name(surfaces: Surfaces, atlas: Atlas) -> str:
    """A name that changes with the content."""
    digest = hashlib.sha256(atlas.labels.tobytes())
    for mesh in surfaces.meshes.values():
        digest.update(mesh.coordinates.tobytes())
    return f"{surfaces.name}-{digest.hexdigest()[:12]}"


def mesh_bytes(surfaces: Surfaces, atlas: Atlas, name: str | None = None) -> bytes:
    """All surfaces of a template, its folds, its parcels and the colour maps.

    Coordinates are 16-bit steps along each axis, 3 micrometres for a head of 20 cm. Where hemispheres overlap in space, as
    inflated ones do, they are moved apart.

    Raises
    ------
    InputError
        If atlas and mesh have different vertices.
    """
    if len(atlas.labels) != surfaces.n_vertices:
        raise InputError(
            f"atlas {atlas.name} has {len(atlas.labels):,} vertices, {surfaces.name} {surfaces.n_vertices:,}; choose an atlas of this mesh"
        )
    arrays: dict[str, np.ndarray] = {}
    index = np.uint16 if surfaces.n_vertices <= 1 << 16 else np.uint32
    common = next(iter(surfaces.meshes.values())).faces
    about = {}
    for key, mesh in surfaces.meshes.items():
        own = not np.array_equal(mesh.faces, common)
        points = _apart(mesh)
        low, step = points.min(axis=0), np.maximum(np.ptp(points, axis=0), 1e-6) / np.iinfo(np.uint16).max
        arrays[f"points {key}"] = np.rint((points - low) / step).astype(np.uint16)
        if own:
            arrays[f"faces {key}"] = _left_first(mesh).astype(index)
        about[key] = {"low": low.tolist(), "step": step.tolist(), "own": own}
    arrays["faces"] = _left_first(next(iter(surfaces.meshes.values()))).astype(index)
    arrays["folds"] = np.rint((np.clip(surfaces.curvature / CURVATURE_END, -1, 1) + 1) * 127.5).astype(np.uint8)
    arrays["labels"] = atlas.labels.astype(np.int16)
    arrays["colours"] = np.concatenate([palette.table for palette in PALETTES])
    body, parts = _laid_out(arrays)
    header = {
        "id": name or mesh_name(surfaces, atlas),
        "vertices": surfaces.n_vertices,
        "left": surfaces.n_left,
        "parcels": list(atlas.parcels),
        "palettes": [{"name": palette.name, "sides": palette.sides} for palette in PALETTES],
        "surfaces": about,
        "parts": parts,
    }
    return _message(header, body)


def view_bytes(state: State, maps: Mapping[str, SurfaceMap], surfaces: Surfaces) -> bytes:
    """What a viewer is told: the state, and maps it does not hold yet.

    Raises
    ------
    InputError
        If a map does not fit the mesh.
    """
    records, bodies, start = [], [], 0
    for key, shown in maps.items():
        record, body = _map(shown, surfaces)
        records.append({"id": key, "start": start, **record})
        bodies.append(body)
        start += len(body)
    header = {
        "mesh": state.mesh,
        "prefix": state.prefix,
        "current": state.current,
        "around": [{"id": key, "name": name} for key, name in state.around.items()],
        "first": state.first,
        "last": state.last,
        "look": state.look,
        "defaults": state.defaults,
        "pinned": state.pinned,
        "seen": state.seen,
        "maps": records,
    }
    return _message(header, b"".join(bodies))


def _map(shown: SurfaceMap, surfaces: Surfaces) -> tuple[dict[str, Any], bytes]:
    values = check_map(shown.values, surfaces)
    data, low, high = quantise(values)
    finite = values[np.isfinite(values)]
    record: dict[str, Any] = {
        "name": shown.name,
        "label": shown.label,
        "vertices": len(data),
        "low": low,
        "high": high,
        "least": float(np.nanmin(values, initial=0)) if len(finite) else 0.0,
        "greatest": float(np.nanmax(values, initial=0)) if len(finite) else 0.0,
        "masked": bool(np.isnan(values).any()),
    }
    for end in ("least", "greatest"):
        record[end] = float(np.nan_to_num(record[end], posinf=1e30, neginf=-1e30))  # JSON has no infinity
    if isinstance(shown, ValueMap):
        return record | {"reach": shown.reach, "sides": shown.sides, "floor": shown.floor}, data.tobytes()
    if len(shown.names) > MOST_CATEGORIES or len(shown.names) != len(shown.palette):
        raise InputError(f"{len(shown.names)} categories and {len(shown.palette)} colours: give a colour for each, at most {MOST_CATEGORIES}")
    index = np.where(shown.index < 0, np.uint8(255), shown.index.astype(np.uint8))
    more = {"names": list(shown.names), "palette": shown.palette.tolist(), "none": shown.none}
    return record | more, data.tobytes() + index.astype(np.uint8).tobytes()


def _apart(mesh: Mesh) -> Float[np.ndarray, "vertices 3"]:
    """Coordinates with the hemispheres side by side."""
    points = mesh.coordinates.astype(np.float64)
    overlap = points[: mesh.n_left, 0].max() - points[mesh.n_left :, 0].min()
    if overlap > np.ptp(points[:, 0]) / 8:
        points[: mesh.n_left, 0] -= overlap / 2 + 1
        points[mesh.n_left :, 0] += overlap / 2 + 1
    return points


def _left_first(mesh: Mesh) -> Int[np.ndarray, "faces 3"]:
    return np.concatenate([mesh.faces_of("left"), mesh.faces_of("right")])


def _laid_out(arrays: Mapping[str, np.ndarray]) -> tuple[bytes, list[dict[str, Any]]]:
    """Arrays one after the other, each at a multiple of 8 bytes, and where they are."""
    parts, pieces, start = [], [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        parts.append({"name": name, "type": str(array.dtype), "start": start, "length": len(data)})
        pieces.append(data + b"\0" * (-len(data) % _ALIGNMENT))
        start += len(pieces[-1])
    return b"".join(pieces), parts


def _message(header: Mapping[str, Any], body: bytes) -> bytes:
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 4) % _ALIGNMENT)
    return struct.pack("<I", len(text)) + text + body
