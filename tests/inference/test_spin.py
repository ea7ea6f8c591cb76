"""Spins: rotations, assignments against brute force, symmetry, the medial wall."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.inference import spin
from saebrain.inference.spin import Method, centroids, parcel_permutations, partners, rotations, spin_parcels
from saebrain.surface.atlas import desikan_killiany
from saebrain.surface.sphere import fsaverage5_sphere

ATLAS = desikan_killiany()
N_LEFT = len(ATLAS.labels) // 2
PARTNER = partners(ATLAS.parcels)


def spins(n: int, method: Method, *, paired: bool = True, seed: int = 0) -> np.ndarray:
    return spin_parcels(fsaverage5_sphere(), ATLAS.labels, N_LEFT, n, partner=PARTNER if paired else None, method=method, seed=seed)


def test_partners_are_namesakes_of_the_other_hemisphere() -> None:
    np.testing.assert_array_equal(PARTNER[PARTNER], np.arange(len(ATLAS)))
    for index, (hemisphere, name) in enumerate(ATLAS.parcels):
        assert ATLAS.parcels[PARTNER[index]] == ({"left": "right", "right": "left"}[hemisphere], name)
    with pytest.raises(InputError, match="parcels without a namesake in the other hemisphere: left b"):
        partners([("left", "a"), ("left", "b"), ("right", "a")])


def test_centroids_are_the_direction_of_the_mean() -> None:
    sphere = fsaverage5_sphere()
    found = centroids(sphere, ATLAS.labels, len(ATLAS))
    for index in (0, 20, 60):
        mean = sphere[ATLAS.labels == index].mean(axis=0)
        np.testing.assert_allclose(found[index], mean / np.linalg.norm(mean), atol=1e-5)
    with pytest.raises(InputError, match="parcel number 3 has no vertex"):
        centroids(np.eye(3), np.array([0, 1, 2]), 4)


def test_rotations_are_proper_and_uniform() -> None:
    R = rotations(4000, 0)
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.broadcast_to(np.eye(3), R.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(R), 1)
    north = R[:, :, 2]  # where the pole goes: uniform on the sphere, each coordinate uniform in -1..1
    np.testing.assert_allclose(north.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(north.T), np.eye(3) / 3, atol=0.03)
    assert np.trace(R, axis1=1, axis2=2).mean() == pytest.approx(0, abs=0.06)  # E tr R = 0 under Haar measure


@pytest.mark.parametrize("method", ["hungarian", "vasa", "drop"])
def test_values_stay_in_their_hemisphere(method: Method) -> None:
    left = np.array([hemisphere == "left" for hemisphere, _ in ATLAS.parcels])
    for draw in spins(20, method):
        for index, value in enumerate(draw):
            assert value == -1 or left[value] == left[index]


@pytest.mark.parametrize("method", ["hungarian", "vasa"])
def test_assignments_are_permutations_that_keep_namesakes_together(method: Method) -> None:
    for draw in spins(30, method):
        np.testing.assert_array_equal(np.sort(draw), np.arange(len(ATLAS)))
        np.testing.assert_array_equal(draw[PARTNER], PARTNER[draw])
    apart = spins(30, method, paired=False)
    np.testing.assert_array_equal(np.sort(apart, axis=1), np.broadcast_to(np.arange(len(ATLAS)), apart.shape))
    assert (apart[:, PARTNER] != PARTNER[apart]).mean() > 0.3


def test_drop_leaves_out_what_lands_in_the_medial_wall() -> None:
    draws = spins(300, "drop")
    wall = np.mean(ATLAS.labels < 0)
    assert np.mean(draws < 0) == pytest.approx(wall, abs=0.03)
    assert any(len(np.unique(draw)) < len(draw) for draw in draws)


@pytest.mark.parametrize("method", ["hungarian", "vasa", "drop"])
def test_no_rotation_moves_nothing(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spin, "rotations", lambda n, seed: np.broadcast_to(np.eye(3), (n, 3, 3)))
    draw = spins(1, method)[0]
    same = np.mean(draw == np.arange(len(ATLAS)))
    assert same == 1 if method != "drop" else same > 0.9  # a bent parcel's middle may lie in a neighbour


@pytest.mark.parametrize("method", ["hungarian", "vasa", "drop"])
def test_neighbours_stay_near_each_other(method: Method) -> None:
    """A map that is smooth on the sphere stays smooth; shuffled parcels make it rough."""
    middle = centroids(fsaverage5_sphere(), ATLAS.labels, len(ATLAS))[:34]
    near = np.argsort(-(middle @ middle.T), axis=1)[:, 1:4]
    smooth = np.append(middle @ [0.3, 0.8, 0.5], np.nan)

    def roughness(draws: np.ndarray) -> float:
        values = smooth[np.where(draws[:, :34] < 0, 34, draws[:, :34])]
        return float(np.nanmean((values[:, near] - values[:, :, None]) ** 2))

    assert roughness(spins(100, method)) < 0.5 * roughness(parcel_permutations(PARTNER, 100, seed=0))


def test_hungarian_is_the_least_sum_and_vasa_serves_the_farthest_first() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        cost = rng.random((6, 6))
        best = min(permutations(range(6)), key=lambda p: sum(cost[i, j] for i, j in enumerate(p)))
        np.testing.assert_array_equal(spin._hungarian(cost), best)
        free_rows, free_columns, expected = set(range(6)), set(range(6)), [-1] * 6
        while free_rows:
            row = max(free_rows, key=lambda i: min(cost[i, j] for j in free_columns))
            expected[row] = min(free_columns, key=lambda j: cost[row, j])
            free_rows.remove(row)
            free_columns.remove(expected[row])
        np.testing.assert_array_equal(spin._vasa(cost), expected)


def test_right_hemisphere_turns_as_the_mirror_image() -> None:
    """On a sphere whose right half is the left one's exact mirror image, both sides get the same assignment unpaired."""
    sphere = np.array(fsaverage5_sphere())
    sphere[N_LEFT:] = sphere[:N_LEFT] * spin.MIRROR
    labels = np.array(ATLAS.labels)
    labels[N_LEFT:] = np.where(labels[:N_LEFT] >= 0, labels[:N_LEFT] + 34, -1)
    methods: tuple[Method, ...] = ("hungarian", "vasa", "drop")
    for method in methods:
        draws = spin_parcels(sphere, labels, N_LEFT, 20, partner=None, method=method, seed=0)
        np.testing.assert_array_equal(np.where(draws[:, :34] < 0, -1, draws[:, :34] + 34), draws[:, 34:])


def test_permutations_of_parcels_keep_namesakes_together() -> None:
    draws = parcel_permutations(PARTNER, 200, seed=0)
    for draw in draws:
        np.testing.assert_array_equal(np.sort(draw), np.arange(len(ATLAS)))
        np.testing.assert_array_equal(draw[PARTNER], PARTNER[draw])
    assert len(np.unique(draws[:, 0])) == 34


def test_same_seed_same_spins() -> None:
    np.testing.assert_array_equal(spins(5, "hungarian", seed=4), spins(5, "hungarian", seed=4))
    assert (spins(5, "hungarian", seed=4) != spins(5, "hungarian", seed=5)).any()
