from __future__ import annotations

import numpy as np
import pytest

from saebrain.surface.mesh import fsaverage5
from saebrain.surface.raster import FLAT_VIEWS, FOUR_VIEWS, PixelTable, View, pixel_table

WIDTH = 480
SURFACES = fsaverage5()


@pytest.fixture(scope="module")
def pial_table() -> PixelTable:
    """The pial surface hides itself most."""
    return pixel_table(SURFACES.mesh("pial"), FOUR_VIEWS, WIDTH)


def sample_places(table: PixelTable) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every sample, in pixels from the top left corner."""
    row, column = np.divmod(table.pixels, table.width)
    offset = (np.arange(2) + 0.5) / 2
    return row + np.repeat(offset, 2)[:, None], column + np.tile(offset, 2)[:, None]


def in_view(table: PixelTable, index: int) -> np.ndarray:
    """Fully covered pixels of one view."""
    column = table.pixels % table.width
    return (column >= table.cells[index].left) & (column < table.cells[index].right) & (table.alpha == 255)


def test_strip_fills_its_width_without_overlap(pial_table: PixelTable) -> None:
    assert [cell.name for cell in pial_table.cells] == ["Left lateral", "Left medial", "Right medial", "Right lateral"]
    assert 0 <= pial_table.cells[0].left <= 4
    assert WIDTH - 4 <= pial_table.cells[-1].right <= WIDTH
    for one, next_one in zip(pial_table.cells[:-1], pial_table.cells[1:], strict=True):
        assert next_one.left > one.right
    assert len(np.unique(pial_table.pixels)) == len(pial_table.pixels)
    assert 0.55 < len(pial_table.pixels) / (pial_table.width * pial_table.height) < 0.9


@pytest.mark.parametrize(("index", "view"), list(enumerate(FOUR_VIEWS)))
def test_interpolated_coordinates_are_the_pixels_own(pial_table: PixelTable, index: int, view: View) -> None:
    """Position in the picture is a linear function of the interpolated position in the brain, with one scale for all."""
    chosen = in_view(pial_table, index)
    xyz = np.stack([pial_table.interpolate(axis) for axis in SURFACES.mesh("pial").coordinates.T.copy()], axis=-1)[:, chosen]
    row, column = (place[:, chosen] for place in sample_places(pial_table))
    scales = []
    for place, axis in ((column, view.right), (-row, view.up)):
        along = xyz @ np.array(axis, float)
        slope, start = np.polyfit(along.ravel(), place.ravel(), 1)
        assert np.abs(place - (slope * along + start)).max() < 0.01
        scales.append(slope)
    assert scales[0] == pytest.approx(scales[1], rel=1e-4)
    assert scales[0] > 0


def test_nearest_surface_hides_the_rest(pial_table: PixelTable) -> None:
    """Against all triangles under some samples, one sample at a time."""
    view = FOUR_VIEWS[3]
    xyz = SURFACES.mesh("pial").coordinates.astype(float)
    faces = SURFACES.mesh("pial").faces_of("right")
    plane, near = xyz @ np.array([view.right, view.up], float).T, xyz @ np.array(view.viewer, float)
    chosen = np.flatnonzero(in_view(pial_table, 3))
    seen = [pial_table.interpolate(np.ascontiguousarray(axis, np.float32))[0] for axis in (*plane.T, near)]
    a, b, c = (plane[faces[:, corner]] for corner in range(3))
    basis = np.stack([b - a, c - a], axis=-1)
    solvable = np.abs(np.linalg.det(basis)) > 1e-9
    for pixel in np.random.default_rng(0).choice(chosen, 60, replace=False):
        point = np.array([seen[0][pixel], seen[1][pixel]])
        weights = np.linalg.solve(basis[solvable], (point - a[solvable])[..., None])[..., 0]
        under = np.all(weights > -1e-4, axis=1) & (weights.sum(axis=1) < 1 + 1e-4)
        depths = near[faces[solvable][under]]
        first = depths[:, 0] + np.sum(weights[under] * (depths[:, 1:] - depths[:, :1]), axis=1)
        assert seen[2][pixel] == pytest.approx(first.max(), abs=0.05)
        assert len(first) >= 2  # front and back of a closed surface


def test_samples_survive_the_way_to_a_picture_and_back(pial_table: PixelTable) -> None:
    samples = np.arange(pial_table.weights[0].size, dtype=np.int32).reshape(4, -1)
    grid = pial_table.spread(samples, empty=-1)
    assert grid.shape == (2 * pial_table.height, 2 * pial_table.width)
    np.testing.assert_array_equal(pial_table.gather(grid), samples)
    row, column = sample_places(pial_table)
    np.testing.assert_array_equal(grid[(row * 2).astype(int), (column * 2).astype(int)], samples)


def triangle(weights: list[tuple[float, float]]) -> PixelTable:
    """A table of one triangle, seen at one pixel for each pair of weights."""
    n = len(weights)
    vertices = np.tile(np.arange(3, dtype=np.uint16)[:, None, None], (1, 1, n))
    u_v = np.array(weights, np.float32).T[:, None, :]
    return PixelTable(1, n, (), np.arange(n, dtype=np.int32), np.full(n, 255, np.uint8), np.ones(n, np.float32), vertices, u_v)


def test_missing_vertices_do_not_spread_beyond_half_way() -> None:
    table = triangle([(1, 0), (0.6, 0.4), (0.4, 0.6), (0.5, 0.0), (0, 0)])
    values = table.interpolate(np.array([np.nan, 2, 4], np.float32))[0]
    np.testing.assert_allclose(values, [np.nan, np.nan, 2, 4, 4])
    np.testing.assert_allclose(table.interpolate(np.array([1, 2, 4], np.float32))[0], [1, 1.4, 1.6, 2.5, 4], rtol=1e-6)


def test_label_with_most_weight_wins_together() -> None:
    table = triangle([(0.45, 0.3), (0.55, 0.25), (0.4, 0.35), (0.1, 0.1)])
    assert table.nearest(np.array([7, 5, 5]))[0].tolist() == [5, 7, 5, 5]
    assert table.nearest(np.array([7, 7, 5]))[0].tolist() == [7, 7, 7, 5]
    assert table.nearest(np.array([7, 5, 7]))[0].tolist() == [7, 7, 7, 7]
    assert table.nearest(np.array([1, 2, 3]))[0].tolist() == [1, 1, 1, 3]


def test_flat_maps_show_each_hemisphere_once() -> None:
    table = pixel_table(SURFACES.mesh("flat"), FLAT_VIEWS, WIDTH)
    first, second = table.cells
    column = table.pixels % WIDTH
    assert np.all(table.vertices[..., column < first.right] < SURFACES.n_left)
    assert np.all(table.vertices[..., column >= second.left] >= SURFACES.n_left)
