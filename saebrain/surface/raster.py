"""Pixel tables: which triangle, and which point of it, is seen at every pixel of a picture of a mesh.

Projecting and hiding cost a second, but depend on the mesh and the picture's size alone. With the table at hand a new map
is a gather, a weighted sum and a colour look-up. Every pixel is sampled at 2 x 2 points, so that edges come out smooth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Int32, UInt8, UInt16, UInt32

from saebrain.surface.mesh import Hemisphere, Mesh

PER_SIDE = 2
SAMPLES = PER_SIDE**2
# Light from above the viewer; soft, so that colours stay readable off the colour bar.
_LIGHT = np.array([0.0, 0.42, 0.91])
_AMBIENT, _DIFFUSE = 0.58, 0.44

Vector = tuple[int, int, int]


@dataclass(frozen=True)
class View:
    """A direction to look from, without perspective.

    Parameters
    ----------
    name : str
        The view's label in a figure.
    hemisphere : "left" or "right"
        The half that is drawn.
    right, up, viewer : unit vectors in right, anterior, superior
        What points to the right of the picture, to its top, and out of it.
    """

    name: str
    hemisphere: Hemisphere
    right: Vector
    up: Vector
    viewer: Vector


FOUR_VIEWS = (
    View("Left lateral", "left", (0, -1, 0), (0, 0, 1), (-1, 0, 0)),
    View("Left medial", "left", (0, 1, 0), (0, 0, 1), (1, 0, 0)),
    View("Right medial", "right", (0, -1, 0), (0, 0, 1), (-1, 0, 0)),
    View("Right lateral", "right", (0, 1, 0), (0, 0, 1), (1, 0, 0)),
)
FLAT_VIEWS = (
    View("Left, flat", "left", (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    View("Right, flat", "right", (1, 0, 0), (0, 1, 0), (0, 0, 1)),
)


@dataclass(frozen=True)
class Cell:
    """Columns ``left`` to ``right`` (exclusive) of a strip, where one view is drawn."""

    name: str
    left: int
    right: int


@dataclass(frozen=True, eq=False)
class PixelTable:
    """Where the mesh is seen in a strip of views.

    Parameters
    ----------
    height, width : int
        Size of the strip in pixels.
    cells : tuple of Cell
        The views from left to right.
    pixels : int32 (pixels,)
        Places in the flattened strip that show some of the mesh.
    alpha : uint8 (pixels,)
        How much of the pixel the mesh covers, 0..255.
    light : float32 (pixels,)
        Shading, to multiply colours with; about 0.6 to 1.
    vertices : unsigned int (3, samples, pixels)
        Corners of the triangle seen at each sample. A sample beside the mesh repeats another of its pixel.
    weights : float32 (2, samples, pixels)
        Barycentric weights of the first two corners; the third is what is missing to 1.
    scale : float
        Pixels per mm.
    """

    height: int
    width: int
    cells: tuple[Cell, ...]
    pixels: Int32[np.ndarray, " pixels"]
    alpha: UInt8[np.ndarray, " pixels"]
    light: Float32[np.ndarray, " pixels"]
    vertices: UInt16[np.ndarray, "3 samples pixels"] | UInt32[np.ndarray, "3 samples pixels"]
    weights: Float32[np.ndarray, "2 samples pixels"]
    scale: float = 1.0

    def interpolate(self, values: Float32[np.ndarray, " vertices"]) -> Float32[np.ndarray, "samples pixels"]:
        """Values between the vertices, linear inside each triangle.

        NaN vertices are left out: a sample is NaN where they hold more than half of the weight, so that the border of
        what was measured runs smoothly through the triangles.
        """
        known = ~np.isnan(values)
        if known.all():
            return self._mix(values)
        share = self._mix(known.astype(np.float32))
        total = self._mix(np.where(known, values, np.float32(0)))
        return np.where(share >= 0.5, total / np.maximum(share, 0.5), np.float32(np.nan))

    def nearest(self, labels: Int[np.ndarray, " vertices"]) -> Int[np.ndarray, "samples pixels"]:
        """The label that holds most of the weight of each sample's corners."""
        a, b, c = (labels[corner] for corner in self.vertices)
        found = a.copy()
        mixed = np.nonzero((a != b) | (b != c))
        a, b, c = a[mixed], b[mixed], c[mixed]
        u, v = (weight[mixed] for weight in self.weights)
        w = 1 - u - v
        shares = np.stack([u + v * (a == b) + w * (a == c), v + u * (a == b) + w * (b == c), w + u * (a == c) + v * (b == c)])
        found[mixed] = np.choose(shares.argmax(axis=0), [a, b, c])
        return found

    def _mix(self, values: Float32[np.ndarray, " vertices"]) -> Float32[np.ndarray, "samples pixels"]:
        a, b, c = (values[corner] for corner in self.vertices)
        u, v = self.weights
        a -= c
        a *= u
        b -= c
        b *= v
        c += a
        c += b
        return c

    def spread(self, samples: Int[np.ndarray, "samples pixels"], empty: int) -> Int[np.ndarray, "rows columns"]:
        """The samples as a picture of twice the strip's height and width, ``empty`` beside the mesh."""
        grid = np.full((SAMPLES, self.height * self.width), empty, samples.dtype)
        grid[:, self.pixels] = samples
        blocks = grid.reshape(PER_SIDE, PER_SIDE, self.height, self.width)
        return blocks.transpose(2, 0, 3, 1).reshape(PER_SIDE * self.height, PER_SIDE * self.width)

    def gather(self, grid: np.ndarray) -> np.ndarray:
        """The samples back from such a picture: the inverse of `spread`."""
        return _blocks(grid)[:, self.pixels]


def pixel_table(mesh: Mesh, views: tuple[View, ...], width: int) -> PixelTable:
    """Lay out views side by side at one scale, as large as ``width`` pixels allow, and find what is seen in each pixel."""
    gap = max(2, round(width * 0.012))
    boxes = [_box(mesh, view) for view in views]  # (least right and up, extent), in mm
    scale = (width - gap * (len(views) - 1) - 2 * len(views)) / sum(extent[0] for _, extent in boxes)  # pixels per mm
    height = int(np.ceil(max(extent[1] for _, extent in boxes) * scale)) + 2
    cells, parts = [], []
    used = gap * (len(views) - 1) + sum(_cell_width(extent, scale) for _, extent in boxes)
    left = (width - used) // 2
    for view, (least, extent) in zip(views, boxes, strict=True):
        cell = Cell(view.name, left, left + _cell_width(extent, scale))
        middle = least + extent / 2
        parts.append(_view_table(mesh, view, cell, (height, width), middle, scale))
        cells.append(cell)
        left = cell.right + gap
    pixels, alpha, light, vertices, weights = (np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True))
    return PixelTable(height, width, tuple(cells), pixels, alpha, light, vertices, weights, float(scale))


def _cell_width(extent: Float[np.ndarray, " 2"], scale: float) -> int:
    return int(extent[0] * scale) + 1


def _box(mesh: Mesh, view: View) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
    """Least position and extent of a hemisphere in a view (to the right, up), in mm."""
    seen = np.unique(mesh.faces_of(view.hemisphere))
    plane = mesh.coordinates[seen] @ np.array([view.right, view.up], float).T
    return plane.min(axis=0), np.ptp(plane, axis=0)


def _view_table(
    mesh: Mesh, view: View, cell: Cell, size: tuple[int, int], middle: Float[np.ndarray, " 2"], scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """pixels, alpha, light, vertices and weights of one view; as in `PixelTable`."""
    height, width = size
    columns = cell.right - cell.left
    shape = (height * PER_SIDE, columns * PER_SIDE)
    space = mesh.coordinates @ np.array([view.right, view.up, view.viewer], float).T
    x = (space[:, 0] - middle[0]) * scale * PER_SIDE + shape[1] / 2
    y = (middle[1] - space[:, 1]) * scale * PER_SIDE + shape[0] / 2
    faces = mesh.faces_of(view.hemisphere)
    face, weights = _visible(np.stack([x, y, space[:, 2]], axis=1), faces, shape)

    face, weights = _blocks(face), np.stack([_blocks(weight) for weight in weights])
    covered = face >= 0
    shown = np.flatnonzero(covered.any(axis=0))
    face, weights, covered = face[:, shown], weights[:, :, shown], covered[:, shown]
    source = np.where(covered, np.arange(SAMPLES)[:, None], covered.argmax(axis=0))
    face = np.take_along_axis(face, source, axis=0)
    weights = np.take_along_axis(weights, source[None], axis=1).astype(np.float32)

    corners = np.moveaxis(faces[face], -1, 0)
    light = _light(mesh, view, corners, weights)
    rows, inside = np.divmod(shown, columns)
    pixels = (rows * width + cell.left + inside).astype(np.int32)
    alpha = (covered.sum(axis=0) * 255 // SAMPLES).astype(np.uint8)
    return pixels, alpha, light, corners.astype(np.min_scalar_type(mesh.n_vertices)), weights


def _visible(
    points: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"], shape: tuple[int, int]
) -> tuple[Int[np.ndarray, "rows columns"], Float[np.ndarray, "2 rows columns"]]:
    """The nearest face at every sample (-1: none) and the weights of its first two corners.

    ``points`` are in samples to the right and down, and nearness to the viewer. The surface is closed or flat, so faces
    that turn away are never seen.
    """
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    # Twice the signed area; y points down, so a face towards the viewer runs clockwise and the sign is turned.
    area = (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1]) - (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1])
    front = np.flatnonzero(area > 1e-9)
    a, b, c, area = a[front], b[front], c[front], area[front]

    # Candidates: every sample centre inside a face's bounding box.
    corners = np.stack([a, b, c])[:, :, :2]
    first = np.maximum(np.ceil(corners.min(axis=0) - 0.5), 0).astype(np.int64)
    last = np.minimum(np.floor(corners.max(axis=0) - 0.5), [shape[1] - 1, shape[0] - 1]).astype(np.int64)
    across, down = np.maximum(last - first + 1, 0).T
    which = np.repeat(np.arange(len(front)), across * down)
    place = np.arange(len(which)) - np.repeat(np.cumsum(across * down) - across * down, across * down)
    row, column = np.divmod(place, across[which])
    column += first[which, 0]
    row += first[which, 1]

    u = _weight(b, c, area, which, column, row)
    v = _weight(c, a, area, which, column, row)
    inside = np.flatnonzero((u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9))
    which, u, v = which[inside], u[inside], v[inside]
    depth = u * a[which, 2] + v * b[which, 2] + (1 - u - v) * c[which, 2]
    order = np.argsort(depth)  # of several written to one sample the last, the nearest, stays
    sample = (row[inside] * shape[1] + column[inside])[order]
    face = np.full(shape[0] * shape[1], -1, np.int32)
    weights = np.zeros((2, shape[0] * shape[1]))
    face[sample] = front[which[order]]
    weights[:, sample] = u[order], v[order]
    return face.reshape(shape), weights.reshape(2, *shape)


def _weight(
    start: Float[np.ndarray, "faces 3"],
    end: Float[np.ndarray, "faces 3"],
    area: Float[np.ndarray, " faces"],
    which: Int[np.ndarray, " candidates"],
    column: Int[np.ndarray, " candidates"],
    row: Int[np.ndarray, " candidates"],
) -> Float[np.ndarray, " candidates"]:
    """Barycentric weight, at the centre of a sample, of the corner that faces the edge from ``start`` to ``end``."""
    per_row = (start[:, 0] - end[:, 0]) / area
    per_column = (end[:, 1] - start[:, 1]) / area
    at_origin = -per_column * start[:, 0] - per_row * start[:, 1]
    return at_origin[which] + per_column[which] * (column + 0.5) + per_row[which] * (row + 0.5)


def _light(
    mesh: Mesh, view: View, corners: Int[np.ndarray, "3 samples pixels"], weights: Float32[np.ndarray, "2 samples pixels"]
) -> Float32[np.ndarray, " pixels"]:
    """Lambert shading, averaged over the samples of each pixel."""
    axes = np.array([view.right, view.up, view.viewer], float)
    towards = np.maximum(mesh.vertex_normals() @ (_LIGHT @ axes), 0)
    u, v = weights
    shade = u * towards[corners[0]] + v * towards[corners[1]] + (1 - u - v) * towards[corners[2]]
    return np.minimum(_AMBIENT + _DIFFUSE * shade.mean(axis=0), 1).astype(np.float32)


def _blocks(grid: np.ndarray) -> np.ndarray:
    """A picture of samples as (samples of a pixel, pixels)."""
    rows, columns = grid.shape[0] // PER_SIDE, grid.shape[1] // PER_SIDE
    return grid.reshape(rows, PER_SIDE, columns, PER_SIDE).transpose(1, 3, 0, 2).reshape(SAMPLES, rows * columns)
