"""Maps turned about on the sphere as maps, and brought to parcels only then.

:mod:`saebrain.inference.spin` moves the values of parcels from one to another. With 34 parcels a hemisphere one rotation in 200 is too
small to move any, so that no p below .005 can come out. Here the map of vertices is turned and its parcels' means are taken
anew: the statistic of a draw is the same function of a turned map as the observed one is of the map (Alexander-Bloch et al.
2018), which is all the test needs, if the map is as likely as any of its turned versions.

Maps are taken at the vertices of fsaverage4, which are the first 2,562 of each hemisphere of fsaverage5, four degrees apart; on another
mesh at the vertices whose directions on its sphere are nearest to theirs, each once. A vertex of which the source lies in the
medial wall, or has no data, has no value in that draw; a parcel's mean is over those that have one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from saebrain.errors import InputError
from saebrain.inference.spin import MIRROR, rotations
from saebrain.progress import Report, silent
from saebrain.surface.atlas import Atlas
from saebrain.surface.mesh import FSAVERAGE5_PER_HEMISPHERE
from saebrain.surface.sphere import fsaverage5_sphere

POINTS_PER_HEMISPHERE = 2562
DRAWS_AT_ONCE = 100

Statistic = Callable[[Float[np.ndarray, "draws maps parcels"]], Float[np.ndarray, "draws statistics"]]


def grid(sphere: Float[np.ndarray, "vertices 3"] | None = None, n_left: int = FSAVERAGE5_PER_HEMISPHERE) -> Int[np.ndarray, " points"]:
    """Vertices of a mesh, fsaverage5 if no sphere is given, that maps are taken at; ``n_left`` of its vertices are the left hemisphere's."""
    wanted = _unit(fsaverage5_sphere())
    unit = wanted if sphere is None else _unit(sphere)
    found = []
    for start, half, first in ((0, unit[:n_left], 0), (n_left, unit[n_left:], FSAVERAGE5_PER_HEMISPHERE)):
        nearest = KDTree(half).query(wanted[first : first + POINTS_PER_HEMISPHERE])[1]
        found.append(start + np.unique(nearest))
    return np.concatenate(found)


def _unit(xyz: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
    xyz = xyz.astype(float)
    return np.asarray(xyz / np.linalg.norm(xyz, axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Grid:
    """The points of :func:`grid` and the parcels they lie in.

    vertices : the points, as vertices of the mesh. left : how many of them are in the left hemisphere. unit : on the sphere of radius 1.
    inside : points in a parcel, parcel by parcel. starts : where each parcel begins among them.
    """

    vertices: Int[np.ndarray, " points"]
    left: int
    unit: Float[np.ndarray, "points 3"]
    inside: Int[np.ndarray, " inside"]
    starts: Int[np.ndarray, " parcels"]

    @classmethod
    def of(cls, sphere: Float[np.ndarray, "vertices 3"], atlas: Atlas, n_left: int = FSAVERAGE5_PER_HEMISPHERE) -> Grid:
        """The points of a mesh.

        Raises
        ------
        InputError
            If a parcel is so small that no point lies in it.
        """
        points = grid(sphere, n_left)
        labels = atlas.labels[points]
        order = np.argsort(labels, kind="stable")
        inside = order[labels[order] >= 0]
        empty = [" ".join(atlas.parcels[parcel]) for parcel in np.setdiff1d(np.arange(len(atlas)), labels)]
        if empty:
            raise InputError(f"atlas {atlas.name}: parcels too small to be turned, such as {', '.join(empty[:3])}; choose an atlas of larger ones")
        starts = np.searchsorted(labels[inside], np.arange(len(atlas)))
        return cls(points, int((points < n_left).sum()), _unit(sphere[points]), inside, starts)

    def means(
        self, maps: Float[np.ndarray, "maps points"], index: Int[np.ndarray, "draws inside"] | None = None
    ) -> Float[np.ndarray, "draws maps parcels"]:
        """Mean of maps over each parcel's points, in draws or (None) as they are; NaN where no point has a value."""
        index = self.inside[None] if index is None else index
        known = np.isfinite(maps)
        total = np.add.reduceat(np.where(known, maps, 0.0)[:, index], self.starts, axis=2)
        count = np.add.reduceat(known[:, index].astype(np.int16), self.starts, axis=2)
        means = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        return np.moveaxis(means, 1, 0)

    def spins(self, n: int, *, seed: int) -> Iterator[Int[np.ndarray, "draws inside"]]:
        """Source of every point's value in n random rotations, some at a time; both hemispheres turn by mirror images."""
        halves = [(0, np.ones(3)), (self.left, MIRROR)]
        side = self.inside >= self.left
        trees = [KDTree(half) for half in np.split(self.unit, [self.left])]
        turns = rotations(n, seed)
        for at in range(0, n, DRAWS_AT_ONCE):
            some = turns[at : at + DRAWS_AT_ONCE]
            index = np.empty((len(some), len(self.inside)), np.int32)
            for half, (start, sign) in enumerate(halves):
                own = side == bool(half)
                turned = np.einsum("pj,dkj->dpk", self.unit[self.inside[own]] * sign, some) * sign
                index[:, own] = start + trees[half].query(turned, workers=-1)[1]
            yield index


def spin_test(
    maps: Float[np.ndarray, "maps points"], points: Grid, statistic: Statistic, *, n: int, seed: int, report: Report = silent
) -> tuple[Float[np.ndarray, " statistics"], Float[np.ndarray, "draws statistics"]]:
    """A statistic of parcels' means, for maps as they are and in n spins; all maps turn together. What is in no parcel counts as medial wall."""
    maps = np.where(np.isin(np.arange(maps.shape[1]), points.inside), maps, np.nan)
    null = []
    done = 0
    for index in points.spins(n, seed=seed):
        null.append(statistic(points.means(maps, index)))
        done += len(index)
        report(done, n)
    return statistic(points.means(maps))[0], np.concatenate(null)
