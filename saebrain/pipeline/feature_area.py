"""An area on the map of features: a polygon, written so that it fits into an address."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from saebrain.errors import InputError

CORNERS = 48
"""Corners that are kept of a line drawn by hand."""


def write_area(x: Sequence[float], y: Sequence[float]) -> str:
    """A polygon as text, its corners to three decimals: x,y,x,y,..."""
    corners = np.column_stack([x, y])
    if len(corners) > CORNERS:
        corners = corners[np.linspace(0, len(corners) - 1, CORNERS).round().astype(int)]
    return ",".join(f"{value:.3g}" for value in corners.ravel())


def parse_area(text: str) -> Float[np.ndarray, "corners 2"]:
    """Back from there.

    Raises
    ------
    InputError
        If it is no polygon.
    """
    try:
        corners = np.array([float(value) for value in text.split(",")]).reshape(-1, 2)
    except ValueError:
        corners = np.empty((0, 2))
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise InputError(f"area {text[:60]!r} on the map of features: not x,y of three corners or more; draw it again")
    return corners


def inside(points: Float[np.ndarray, "points 2"], corners: Float[np.ndarray, "corners 2"]) -> Bool[np.ndarray, " points"]:
    """Which points lie in a polygon: a ray from them to the right crosses its border an odd number of times."""
    within = np.zeros(len(points), bool)
    x, y = points.T
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if ay != by:
            within ^= ((ay > y) != (by > y)) & (x < ax + (bx - ax) * (y - ay) / (by - ay))
    return within
