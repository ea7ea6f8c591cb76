"""The sphere of fsaverage5: a sphere, with the vertices of the other surfaces."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.surface.mesh import fsaverage5
from saebrain.surface.sphere import fsaverage5_sphere


def test_vertices_lie_on_a_sphere_in_the_order_of_the_other_surfaces() -> None:
    sphere, surfaces = fsaverage5_sphere(), fsaverage5()
    assert sphere.shape == (surfaces.n_vertices, 3)
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 100, atol=0.01)
    white = surfaces.mesh("white")
    a, b, _ = white.faces.T
    assert np.linalg.norm(sphere[a] - sphere[b], axis=1).max() < 10  # neighbours there are neighbours here
    for hemisphere in ("left", "right"):  # back is back, up is up, and the outer side is outside
        part = surfaces.vertices_of(hemisphere)
        for axis in range(3):
            x = white.coordinates[part, axis]
            assert np.corrcoef(x, sphere[part, axis])[0, 1] > 0.6
    assert not sphere.flags.writeable


def test_missing_files_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="run: pip install nilearn"):
        fsaverage5_sphere.__wrapped__()
