"""Pictures of a map on the cortex, as RGBA arrays: four views in one strip on a transparent background.

What a colour means is the same everywhere: the map's colours where there is a value, the folds in greys below the
threshold (light gyri, darker sulci), a flat dark grey where nothing was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float32, Int, Num, UInt8, UInt16

from saebrain.errors import InputError
from saebrain.surface.colour import LEVELS, levels, palette
from saebrain.surface.mesh import Surfaces, check_map, fsaverage5
from saebrain.surface.raster import FLAT_VIEWS, FOUR_VIEWS, Cell, PixelTable, pixel_table

MIN_WIDTH, MAX_WIDTH = 120, 4000
GYRUS_GREY, SULCUS_GREY, MASK_GREY, OUTLINE_GREY = 214, 168, 104, 40

# Rows of the one colour table a picture is painted with: the map's colours, then all greys.
_GREYS = LEVELS
_BESIDE = np.iinfo(np.int16).min  # label of a sample beside the mesh: no atlas has it


@dataclass(frozen=True, eq=False)
class _Canvas:
    """A pixel table and the row of the grey of the folds at each of its samples."""

    surfaces: Surfaces
    table: PixelTable
    folds: UInt16[np.ndarray, "samples pixels"]


@lru_cache(maxsize=6)
def _canvas(surfaces: Surfaces, surface: str, width: int) -> _Canvas:
    """About 10 MB at 1,200 pixels, 23 MB at 1,800: a few are kept."""
    if not MIN_WIDTH <= width <= MAX_WIDTH:
        raise InputError(f"picture width of {width} pixels: choose between {MIN_WIDTH} and {MAX_WIDTH}")
    table = pixel_table(surfaces.mesh(surface), FLAT_VIEWS if surface == "flat" else FOUR_VIEWS, width)
    depth = np.clip(table.interpolate(surfaces.curvature) / 0.08 + 0.5, 0, 1)  # a step at 0, softened over 0.08/mm
    grey = GYRUS_GREY + (SULCUS_GREY - GYRUS_GREY) * depth
    return _Canvas(surfaces, table, (_GREYS + np.rint(grey)).astype(np.uint16))


def strip(
    values: Num[np.ndarray, " vertices"],
    *,
    surface: str = "inflated",
    threshold: float = 0.0,
    vmin: float | None = None,
    vmax: float | None = None,
    symmetric: bool = True,
    colours: str | None = None,
    outlines: Int[np.ndarray, " vertices"] | None = None,
    width: int = 1200,
    surfaces: Surfaces | None = None,
) -> UInt8[np.ndarray, "height width 4"]:
    """Left lateral, left medial, right medial and right lateral view of a map, side by side.

    Parameters
    ----------
    values : (vertices,)
        One value per vertex, left hemisphere first; NaN where nothing was measured.
    surface : str
        "inflated", "pial", "white", or "flat" (two flat maps instead of four views).
    threshold : float
        Where abs(value) is below it the folds are shown instead; and where the value is negative, if the range has no negative values.
    vmin, vmax, symmetric
        The colour range, as in `limits`; diverging colours if symmetric, otherwise sequential ones.
    colours : str, optional
        Name of a colour map of that kind, from `saebrain.surface.colour.PALETTES`.
    outlines : int (vertices,), optional
        Parcel labels whose borders are drawn.
    width : int
        In pixels; the height follows, about a sixth of it.
    surfaces : Surfaces, optional
        The template; fsaverage5 if left out.

    Raises
    ------
    InputError
        If the map is not one number per vertex, or an option is outside its range.
    """
    template = surfaces or fsaverage5()
    values = check_map(values, template).astype(np.float32)
    check_threshold(threshold)
    low, high = limits(values, vmin=vmin, vmax=vmax, symmetric=symmetric)
    canvas = _canvas(template, surface, width)
    sampled = canvas.table.interpolate(_finite(values, low, high))
    strength = sampled if low >= 0 else np.abs(sampled)
    rows = np.where(strength >= threshold, levels(np.nan_to_num(sampled), low, high), canvas.folds)
    rows[np.isnan(sampled)] = _GREYS + MASK_GREY
    return _paint(canvas, rows, palette(colours, "both" if symmetric else "one").table, outlines)


def categories_strip(
    labels: Int[np.ndarray, " vertices"],
    palette: UInt8[np.ndarray, "categories 3"],
    *,
    measured: Bool[np.ndarray, " vertices"] | None = None,
    surface: str = "inflated",
    outlines: Int[np.ndarray, " vertices"] | None = None,
    width: int = 1200,
    surfaces: Surfaces | None = None,
) -> UInt8[np.ndarray, "height width 4"]:
    """A map of categories, such as the one that predicts each vertex best, in the same views as `strip`.

    Parameters
    ----------
    labels : int (vertices,)
        Row of the palette; -1 shows the folds.
    palette : uint8 (categories, 3)
        At most 256 sRGB colours.
    measured : bool (vertices,), optional
        False where nothing was measured: a flat grey, whatever the label.

    Raises
    ------
    InputError
        If a label is no row of the palette, or as `strip`.
    """
    template = surfaces or fsaverage5()
    labels = check_map(labels, template)
    if labels.dtype.kind not in "iu" or len(palette) > LEVELS or labels.min() < -1 or labels.max() >= len(palette):
        raise InputError(
            f"labels of type {labels.dtype} from {labels.min()} to {labels.max()}: give integers from -1 (none) to {len(palette) - 1} (last colour)"
        )
    canvas = _canvas(template, surface, width)
    nearest = canvas.table.nearest(labels.astype(np.int16))
    rows = np.where(nearest >= 0, nearest, canvas.folds).astype(np.uint16)
    if measured is not None:
        rows[~canvas.table.nearest(check_map(measured, template).astype(bool))] = _GREYS + MASK_GREY
    return _paint(canvas, rows, palette, outlines)


def thumbnail(
    values: Num[np.ndarray, " vertices"], *, threshold: float = 0.0, vmax: float | None = None, width: int = 320
) -> UInt8[np.ndarray, "height width 4"]:
    """A small strip with diverging colours, 320 x 55 pixels unless told otherwise."""
    return strip(values, threshold=threshold, vmax=vmax, width=width)


def cells(surface: str, width: int, surfaces: Surfaces | None = None) -> tuple[Cell, ...]:
    """Where in a strip each view stands."""
    return _canvas(surfaces or fsaverage5(), surface, width).table.cells


def pixels_per_mm(surface: str, width: int, surfaces: Surfaces | None = None) -> float:
    """The scale of a strip."""
    return _canvas(surfaces or fsaverage5(), surface, width).table.scale


def limits(values: Num[np.ndarray, "*axes"], *, vmin: float | None = None, vmax: float | None = None, symmetric: bool = True) -> tuple[float, float]:
    """The values that get the first and the last colour.

    Symmetric: -v and v, with v from ``vmax``, else -``vmin``, else the greatest finite abs(value). Otherwise ``vmin``
    and ``vmax``, each by default the least or greatest finite value, or 0 if that is outside. A map without any value
    other than 0 gets a range up to 1.

    Raises
    ------
    InputError
        If the range asked for is empty or not finite, or symmetric with vmin other than -vmax.
    """
    for name, limit in (("vmin", vmin), ("vmax", vmax)):
        if limit is not None and not math.isfinite(limit):
            raise InputError(f"{name} = {limit}: give a finite number, or none to take it from the map")
    finite = values[np.isfinite(values)]
    if symmetric:
        if vmin is not None and vmax is not None and vmin != -vmax:
            raise InputError(f"colours from {vmin:g} to {vmax:g} are not symmetric about 0: give vmax alone, or symmetric=False")
        reach = vmax if vmax is not None else -vmin if vmin is not None else float(np.abs(finite).max(initial=0)) or 1.0
        low, high = -reach, reach
    else:
        low = vmin if vmin is not None else float(finite.min(initial=0))
        high = vmax if vmax is not None else float(finite.max(initial=0))
        if low == high == 0 and vmin is None and vmax is None:
            high = 1.0
    if not low < high:
        raise InputError(f"colour range from {low:g} to {high:g}: the lower end must be below the upper one; change vmin or vmax")
    return low, high


def round_end(values: Num[np.ndarray, "*axes"]) -> float:
    """End of the colours for a map in any unit: the 99.5th percentile of the absolute values, one digit, upwards; 1 if all are 0."""
    finite = np.abs(values[np.isfinite(values)])
    end = float(np.percentile(finite, 99.5)) if finite.size else 0.0
    if not end > 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(end))
    return math.ceil(end / unit - 1e-9) * unit


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that is negative or not finite."""
    if not (math.isfinite(threshold) and threshold >= 0):
        raise InputError(f"threshold = {threshold}: give a number from 0 up; values nearer to 0 than that are not shown")


def _finite(values: Float32[np.ndarray, " vertices"], low: float, high: float) -> Float32[np.ndarray, " vertices"]:
    """Infinite values moved to the end of the colour range, where they do not spoil the interpolation; NaN stays."""
    return np.nan_to_num(values, nan=np.nan, posinf=max(high, 0), neginf=min(low, 0))


def _paint(
    canvas: _Canvas,
    rows: UInt16[np.ndarray, "samples pixels"],
    colours: UInt8[np.ndarray, "colours 3"],
    outlines: Int[np.ndarray, " vertices"] | None,
) -> UInt8[np.ndarray, "height width 4"]:
    """Look up the colour of each sample, average over each pixel, shade."""
    table = canvas.table
    if outlines is not None:
        labels = check_map(outlines, canvas.surfaces).astype(np.int16)
        np.put(rows, _borders(canvas, labels.tobytes()), _GREYS + OUTLINE_GREY)
    lookup = np.zeros((_GREYS + 256, 4), np.uint16)
    lookup[: len(colours), :3] = colours
    lookup[_GREYS:, :3] = np.arange(256)[:, None]
    # A colour is one 64-bit word of four 16-bit lanes, so that the sum over samples adds all channels at once.
    total = lookup.view(np.uint64)[:, 0][rows].sum(axis=0).view(np.uint16).reshape(-1, 4)
    picture = np.zeros((table.height * table.width, 4), np.uint8)
    picture[table.pixels, :3] = total[:, :3] * (table.light / len(rows))[:, None] + np.float32(0.5)
    picture[table.pixels, 3] = table.alpha
    return picture.reshape(table.height, table.width, 4)


@lru_cache(maxsize=8)
def _borders(canvas: _Canvas, labels: bytes) -> Int[np.ndarray, " borders"]:
    """Places, in the flattened (samples, pixels), that touch a sample with another int16 label; the mesh's own rim is no border."""
    table = canvas.table
    grid = table.spread(table.nearest(np.frombuffer(labels, np.int16)), empty=_BESIDE)
    border = np.zeros(grid.shape, bool)
    for first, second in (((slice(None), slice(1, None)), (slice(None), slice(-1))), ((slice(1, None),), (slice(-1),))):
        differ = (grid[first] != grid[second]) & (grid[first] != _BESIDE) & (grid[second] != _BESIDE)
        border[first] |= differ
        border[second] |= differ
    return np.flatnonzero(table.gather(border))
