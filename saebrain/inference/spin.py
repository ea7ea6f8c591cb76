"""Random rotations of the cortex's sphere: maps moved about with their smoothness kept.

Parcels that lie near each other have like values, so that a map agrees with another by chance more often than if parcels
were shuffled. A rotated map keeps its spatial autocorrelation (Alexander-Bloch et al. 2018). Both hemispheres turn
together, the right one by the mirror image of the left one's rotation. As left and right are alike at rest (and in many a
map), namesakes have to stay together too: the two registered spheres are no exact mirror images, and with hemispheres
assigned apart only 39% of the Desikan-Killiany pairs did, which made the test too liberal (docs/inference.md).

A spin is an index: the map of a draw is ``map[index]``, and -1 says that the medial wall came to lie there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from saebrain.errors import InputError

Method = Literal["hungarian", "vasa", "drop"]
_Assign = Callable[[np.ndarray], np.ndarray]
MIRROR = np.array([-1.0, 1.0, 1.0])


def partners(parcels: Sequence[tuple[str, str]]) -> Int[np.ndarray, " parcels"]:
    """For each parcel (hemisphere, name) the number of its namesake in the other hemisphere.

    Raises
    ------
    InputError
        If a parcel has none.
    """
    number = {parcel: index for index, parcel in enumerate(parcels)}
    other = {"left": "right", "right": "left"}
    missing = [f"{hemisphere} {name}" for hemisphere, name in parcels if (other.get(hemisphere, ""), name) not in number]
    if missing:
        raise InputError(f"parcels without a namesake in the other hemisphere: {', '.join(missing[:5])}; spin without partners")
    return np.array([number[other[hemisphere], name] for hemisphere, name in parcels])


def centroids(sphere: Float[np.ndarray, "vertices 3"], labels: Int[np.ndarray, " vertices"], n_parcels: int) -> Float[np.ndarray, "parcels 3"]:
    """Middle of each parcel on the sphere, a unit vector; a parcel must not reach over both hemispheres.

    Raises
    ------
    InputError
        If a parcel has no vertex.
    """
    inside = labels >= 0
    size = np.bincount(labels[inside], minlength=n_parcels)
    if not size.all():
        raise InputError(f"parcel number {int(np.argmin(size))} has no vertex on this sphere; give labels and sphere of the same mesh")
    total = np.stack([np.bincount(labels[inside], weights=axis, minlength=n_parcels) for axis in sphere[inside].T], axis=1)
    return total / np.linalg.norm(total, axis=1, keepdims=True)


def rotations(n: int, seed: int) -> Float[np.ndarray, "draws 3 3"]:
    """Rotation matrices, uniform over all rotations (Haar measure; from random unit quaternions, Shoemake 1992)."""
    return Rotation.random(n, rng=np.random.default_rng(seed)).as_matrix()


def spin_parcels(
    sphere: Float[np.ndarray, "vertices 3"],
    labels: Int[np.ndarray, " vertices"],
    n_left: int,
    n: int,
    *,
    partner: Int[np.ndarray, " parcels"] | None,
    method: Method = "hungarian",
    seed: int,
) -> Int[np.ndarray, "draws parcels"]:
    """Which parcel's value every parcel gets, in each of n random rotations.

    Parameters
    ----------
    sphere : array
        Vertices on the sphere (any radius), left hemisphere first, x to the right in both.
    labels : int array
        Parcel of each vertex, -1 for none (medial wall); every parcel within one hemisphere.
    n_left : int
        Vertices of the left hemisphere.
    partner : int array or None
        Namesakes (:func:`partners`): both hemispheres get one assignment, from the sum of their costs. None (an atlas
        without namesakes) assigns each hemisphere by itself. Not used by ``drop``.
    method : str
        ``hungarian``: each parcel's value goes to one parcel, the sum of the squared distances between rotated and target
        centroids being least (Markello and Misic 2021); ``vasa``: likewise one to one, but greedily, the parcel whose
        nearest rotated centroid is farthest choosing first (Vasa et al. 2018). Both are permutations: no value is lost or
        doubled, at the price that some parcel gets a distant one. ``drop``: the label at the vertex nearest to where the
        rotated centroid lies; -1 in the medial wall, and values may come twice.

    Returns
    -------
    int array (draws, parcels)
        ``map[index]`` is the spun map; -1: none.
    """
    labels = np.asarray(labels)
    unit = np.asarray(sphere, float) / np.linalg.norm(sphere, axis=1, keepdims=True)
    n_parcels = int(labels.max()) + 1
    middle = centroids(unit, labels, n_parcels)
    left = np.zeros(n_parcels, bool)
    left[np.unique(labels[:n_left][labels[:n_left] >= 0])] = True
    turns = rotations(n, seed)
    if method == "drop":
        return _nearest_label(unit, labels, n_left, middle, left, turns)
    return _assigned(middle, left, turns, partner, _hungarian if method == "hungarian" else _vasa)


def parcel_permutations(partner: Int[np.ndarray, " parcels"], n: int, *, seed: int) -> Int[np.ndarray, "draws parcels"]:
    """Parcels shuffled without regard to space, namesakes together; beside the spins, to show what space matters."""
    rng = np.random.default_rng(seed)
    first = np.flatnonzero(np.arange(len(partner)) < partner)  # one of each pair
    index = np.empty((n, len(partner)), np.int32)
    for draw in index:
        drawn = rng.permutation(first)
        draw[first], draw[partner[first]] = drawn, partner[drawn]
    return index


def _nearest_label(
    unit: Float[np.ndarray, "vertices 3"],
    labels: Int[np.ndarray, " vertices"],
    n_left: int,
    middle: Float[np.ndarray, "parcels 3"],
    left: Bool[np.ndarray, " parcels"],
    turns: Float[np.ndarray, "draws 3 3"],
) -> Int[np.ndarray, "draws parcels"]:
    index = np.empty((len(turns), len(middle)), np.int32)
    for side, vertices, sign in ((left, slice(0, n_left), np.ones(3)), (~left, slice(n_left, None), MIRROR)):
        tree = KDTree(unit[vertices])
        for draw, turn in zip(index, turns, strict=True):
            draw[side] = labels[vertices][tree.query(_turned(middle[side], turn, sign))[1]]
    return index


def _assigned(
    middle: Float[np.ndarray, "parcels 3"],
    left: Bool[np.ndarray, " parcels"],
    turns: Float[np.ndarray, "draws 3 3"],
    partner: Int[np.ndarray, " parcels"] | None,
    assign: _Assign,
) -> Int[np.ndarray, "draws parcels"]:
    own = np.flatnonzero(left)
    other = np.flatnonzero(~left) if partner is None else partner[own]
    index = np.empty((len(turns), len(middle)), np.int32)
    for draw, turn in zip(index, turns, strict=True):
        costs = [_squared_distance(middle[side], _turned(middle[side], turn, sign)) for side, sign in ((own, np.ones(3)), (other, MIRROR))]
        chosen = [assign(cost) for cost in costs] if partner is None else [assign(costs[0] + costs[1])] * 2
        draw[own], draw[other] = own[chosen[0]], other[chosen[1]]
    return index


def _turned(x: Float[np.ndarray, "parcels 3"], turn: Float[np.ndarray, "3 3"], sign: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "parcels 3"]:
    return ((x * sign) @ turn.T) * sign


def _squared_distance(target: Float[np.ndarray, "parcels 3"], rotated: Float[np.ndarray, "parcels 3"]) -> Float[np.ndarray, "parcels parcels"]:
    return 2 - 2 * target @ rotated.T  # of unit vectors


def _hungarian(cost: Float[np.ndarray, "parcels parcels"]) -> Int[np.ndarray, " parcels"]:
    return np.asarray(linear_sum_assignment(cost)[1])


def _vasa(cost: Float[np.ndarray, "parcels parcels"]) -> Int[np.ndarray, " parcels"]:
    """Of the parcels not yet served, the one whose nearest free rotated centroid is farthest takes that one."""
    left = cost.copy()
    out = np.empty(len(left), np.int64)
    for _ in range(len(left)):
        nearest = left.min(axis=1)
        target = int(np.where(np.isinf(nearest), -1.0, nearest).argmax())
        chosen = int(left[target].argmin())
        out[target] = chosen
        left[:, chosen] = np.inf
        left[target] = np.inf
    return out
