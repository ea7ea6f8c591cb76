"""Spins of maps of vertices."""

from __future__ import annotations

import numpy as np
import pytest

from saebrain.inference.multiple import p_values
from saebrain.pipeline.spun import POINTS_PER_HEMISPHERE, Grid, grid, spin_test
from saebrain.surface.atlas import desikan_killiany, parcel_means
from saebrain.surface.sphere import fsaverage5_sphere


@pytest.fixture(scope="module")
def points() -> Grid:
    return Grid.of(fsaverage5_sphere(), desikan_killiany())


def test_the_grid_covers_the_sphere_evenly(points: Grid) -> None:
    for half in (points.unit[:POINTS_PER_HEMISPHERE], points.unit[POINTS_PER_HEMISPHERE:]):
        gram = half @ half.T
        np.fill_diagonal(gram, -1)
        nearest = np.degrees(np.arccos(gram.max(axis=1)))
        assert nearest.min() > 3.9 and nearest.max() < 4.8
    assert len(points.starts) == 68 and np.diff(np.append(points.starts, len(points.inside))).min() >= 5


def test_means_as_they_are(points: Grid) -> None:
    atlas = desikan_killiany()
    values = np.full((2, len(atlas.labels)), np.nan)
    values[:, grid()] = np.random.default_rng(0).normal(size=(2, 2 * POINTS_PER_HEMISPHERE))
    values[0, grid()[::7]] = np.nan
    values[1, atlas.mask("left", "insula")] = np.nan
    found = points.means(values[:, grid()])
    assert found.shape == (1, 2, 68)
    np.testing.assert_allclose(found[0], parcel_means(values, atlas))
    assert np.isnan(found[0, 1, atlas.index("left", "insula")])


def test_spins_turn_both_hemispheres_by_mirror_images(points: Grid) -> None:
    index = np.concatenate(list(points.spins(150, seed=0)))
    assert index.shape == (150, len(points.inside))
    left = points.inside < POINTS_PER_HEMISPHERE
    assert (index[:, left] < POINTS_PER_HEMISPHERE).all() and (index[:, ~left] >= POINTS_PER_HEMISPHERE).all()
    mirror = np.array([-1, 1, 1])
    for draw in index[:3]:
        # a rotation of the left hemisphere, found from where its points went, turns the right one's mirror image
        a, b = points.unit[points.inside[left]], points.unit[draw[left]]
        u, _, v = np.linalg.svd(a.T @ b)
        turn = u @ v
        assert np.degrees(np.arccos(np.clip((a @ turn * b).sum(axis=1), -1, 1))).max() < 4
        c, d = points.unit[points.inside[~left]] * mirror, points.unit[draw[~left]] * mirror
        assert np.degrees(np.arccos(np.clip((c @ turn * d).sum(axis=1), -1, 1))).max() < 4


def test_spins_are_the_seed_s(points: Grid) -> None:
    first, again, other = (next(points.spins(3, seed=seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9


def test_the_medial_wall_has_no_value_wherever_it_comes_to_lie(points: Grid) -> None:
    inside = np.full(2 * POINTS_PER_HEMISPHERE, np.nan)
    inside[points.inside] = 1.0
    means = np.concatenate([points.means(inside[None], index) for index in points.spins(200, seed=3)])
    assert (np.isnan(means) | (means == 1.0)).all()  # never mixed with 0
    assert 0 < np.isnan(means).mean() < 0.1


def test_a_map_that_lies_as_predicted_is_told_from_a_smooth_one(points: Grid) -> None:
    """p of the mean within some parcels: least for a map drawn with them, anything for maps that know nothing of them."""
    atlas, rng = desikan_killiany(), np.random.default_rng(0)
    predicted = np.array([name in ("precentral", "postcentral", "paracentral") for _, name in atlas.parcels])

    def within(means: np.ndarray) -> np.ndarray:
        return np.nanmean(means[:, :, predicted], axis=2) - np.nanmean(means[:, :, ~predicted], axis=2)

    drawn = predicted[atlas.labels[grid()]] + rng.normal(size=2 * POINTS_PER_HEMISPHERE)
    smooth = [(points.unit @ rng.normal(size=(3, 12))).clip(0) @ rng.normal(size=12) for _ in range(30)]
    maps = np.where(atlas.labels[grid()] >= 0, np.stack([drawn, *smooth]), np.nan)
    observed, null = spin_test(maps, points, within, n=199, seed=0)
    p = p_values(observed, null)
    assert p[0] == 1 / 200
    assert 0.2 < p[1:].mean() < 0.8 and (p[1:] <= 0.05).sum() <= 5
