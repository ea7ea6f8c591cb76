"""Where the responses of a study were measured: its mesh, its parcels, and the sphere on which its maps are turned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jaxtyping import Float32
from numpy import ndarray

from saebrain.config import DESIKAN_KILLIANY, FSAVERAGE5
from saebrain.study import Study
from saebrain.surface.atlas import Atlas, desikan_killiany
from saebrain.surface.files import read_atlas, read_sphere, read_surfaces
from saebrain.surface.mesh import FSAVERAGE5_PER_HEMISPHERE, Surfaces, fsaverage5
from saebrain.surface.sphere import fsaverage5_sphere

_State = tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class Space:
    """A mesh and an atlas on it. Compared and hashed by identity; a study has the same one until study.toml or its files of labels change.

    key : differs for all that differ.
    """

    key: str
    surfaces: Surfaces
    atlas: Atlas


def study_space(study: Study) -> Space:
    """The mesh and the atlas that study.toml names.

    Raises
    ------
    InputError
        If files are missing, or do not fit one another.
    """
    mesh, labels = _mesh(study), _labels(study)
    return _space(mesh, labels, tuple(_state(path) for path in (*([mesh] if mesh else []), *labels)))


def study_atlas(study: Study) -> Atlas:
    """The parcels (errors as `study_space`)."""
    return study_space(study).atlas


def n_vertices(study: Study) -> int:
    """Vertices of both hemispheres (errors as `study_space`)."""
    return 2 * FSAVERAGE5_PER_HEMISPHERE if _mesh(study) is None else study_space(study).surfaces.n_vertices


def study_sphere(study: Study) -> Float32[ndarray, "vertices 3"]:
    """Every vertex on the sphere, each hemisphere centred on 0, x to the right.

    Raises
    ------
    InputError
        If the mesh comes without one.
    """
    mesh = _mesh(study)
    return fsaverage5_sphere() if mesh is None else _sphere(mesh, _state(mesh))


def space_files(study: Study) -> tuple[Path, ...]:
    """Files that parcels depend on."""
    return _labels(study)


def _mesh(study: Study) -> Path | None:
    space = study.config.responses.space
    return None if space == FSAVERAGE5 else study.resolve(space)


def _labels(study: Study) -> tuple[Path, ...]:
    atlas = study.config.responses.atlas
    return () if atlas == DESIKAN_KILLIANY else tuple(study.resolve(path) for path in atlas)


def _state(path: Path) -> _State:
    """Changes when a file is written anew, or a folder gets another file."""
    try:
        found = path.stat()
    except OSError:
        return None  # reading says what is wrong
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=4)
def _space(mesh: Path | None, labels: tuple[Path, ...], states: tuple[_State, ...]) -> Space:
    surfaces = fsaverage5() if mesh is None else read_surfaces(mesh)
    atlas = read_atlas(labels[0], labels[1], surfaces) if labels else desikan_killiany()
    return Space(repr((mesh, labels, states)), surfaces, atlas)


@lru_cache(maxsize=2)
def _sphere(mesh: Path, state: _State) -> Float32[ndarray, "vertices 3"]:
    return read_sphere(mesh, read_surfaces(mesh))
