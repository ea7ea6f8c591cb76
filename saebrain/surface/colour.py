"""Colour maps that are even to the eye and safe for colour-blind readers.

Colours are laid out in OKLab (Ottosson 2020), where equal distances look about equally different. A map is a smooth path
through lightness, chroma and hue, resampled to equal steps along its length. The diverging map's two arms have the same
lightness and chroma at the same distance from zero, blue on one side and orange-red on the other: the pair that survives
every common form of colour blindness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Num, UInt8

from saebrain.errors import InputError

LEVELS = 256

_LMS_FROM_RGB = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]]
)
_LAB_FROM_LMS = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099], [0.0259040371, 0.7827717662, -0.8086757660]]
)

# Control points of the paths: lightness, chroma, hue (degrees).
_BLUE_ARM = [(0.965, 0.0, 230.0), (0.66, 0.2, 247.0), (0.41, 0.152, 264.0)]
_RED_ARM = [(0.965, 0.0, 64.0), (0.66, 0.2, 47.0), (0.41, 0.152, 30.0)]
_PURPLE_ARM = [(0.965, 0.0, 320.0), (0.66, 0.2, 320.0), (0.38, 0.16, 315.0)]
_GREEN_ARM = [(0.965, 0.0, 140.0), (0.66, 0.17, 142.0), (0.38, 0.11, 146.0)]
_HEAT = [(0.96, 0.05, 105.0), (0.80, 0.20, 72.0), (0.54, 0.25, 20.0), (0.27, 0.10, -45.0)]
_SEA = [(0.97, 0.05, 110.0), (0.82, 0.14, 150.0), (0.55, 0.11, 215.0), (0.26, 0.10, 290.0)]


def oklab(rgb: Num[np.ndarray, "*axes 3"]) -> Float[np.ndarray, "*axes 3"]:
    """OKLab of sRGB colours given as uint8 or as floats in 0..1."""
    rgb = np.asarray(rgb)
    unit = rgb / 255 if rgb.dtype == np.uint8 else rgb.astype(float)
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _LMS_FROM_RGB.T) @ _LAB_FROM_LMS.T


def srgb(lab: Float[np.ndarray, "*axes 3"]) -> Float[np.ndarray, "*axes 3"]:
    """sRGB of OKLab colours; inside 0..1 if the screen can show them, not clipped."""
    linear = (np.asarray(lab) @ np.linalg.inv(_LAB_FROM_LMS).T) ** 3 @ np.linalg.inv(_LMS_FROM_RGB).T
    low = linear * 12.92
    return np.where(linear <= 0.0031308, low, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


def colourise(values: Num[np.ndarray, "*axes"], vmin: float, vmax: float, table: UInt8[np.ndarray, "levels 3"]) -> UInt8[np.ndarray, "*axes 4"]:
    """RGBA of values, from the table's first colour at ``vmin`` to its last at ``vmax``; beyond them the end colours.

    NaN becomes transparent black.

    Raises
    ------
    InputError
        If ``vmin`` is not below ``vmax``.
    """
    values = np.asarray(values)
    known = ~np.isnan(values)
    colours = np.zeros((*values.shape, 4), np.uint8)
    colours[..., :3][known] = table[levels(values[known], vmin, vmax, len(table))]
    colours[..., 3] = np.where(known, 255, 0)
    return colours


def levels(values: Num[np.ndarray, "*axes"], vmin: float, vmax: float, n_levels: int = LEVELS) -> UInt8[np.ndarray, "*axes"]:
    """Row of a colour table (at most 256 rows) for each value; values must not be NaN. Raises as `colourise`."""
    if not vmin < vmax:
        raise InputError(f"colour range from {vmin:g} to {vmax:g}: the lower end must be below the upper one")
    scaled = (values - np.float32(vmin)) * np.float32((n_levels - 1) / (vmax - vmin)) + np.float32(0.5)
    return np.clip(scaled, 0, n_levels - 1).astype(np.uint8)


def _path(points: list[tuple[float, float, float]], n: int) -> Float[np.ndarray, "colours 3"]:
    """n OKLab colours at equal distances on the Bezier curve of some (lightness, chroma, hue) control points."""
    t = np.linspace(0, 1, 4096)[:, None]
    curve = np.asarray(points, float)[:, None, :] * np.ones_like(t)
    while len(curve) > 1:  # De Casteljau
        curve = (1 - t) * curve[:-1] + t * curve[1:]
    lightness, chroma, hue = curve[0].T
    lab = np.stack([lightness, chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))], axis=1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(lab, axis=0), axis=1))])
    wanted = np.linspace(0, length[-1], n)
    return np.stack([np.interp(wanted, length, axis) for axis in lab.T], axis=1)


def _table(lab: Float[np.ndarray, "colours 3"]) -> UInt8[np.ndarray, "colours 3"]:
    table = np.rint(np.clip(srgb(lab), 0, 1) * 255).astype(np.uint8)
    table.flags.writeable = False
    return table


def _diverging(negative: list[tuple[float, float, float]], positive: list[tuple[float, float, float]]) -> UInt8[np.ndarray, "256 3"]:
    half = LEVELS // 2
    # The middle falls between rows 127 and 128, half a step from each: sample the arms at odd half steps.
    below, above = (_path(arm, 2 * half)[1::2] for arm in (negative, positive))
    return _table(np.concatenate([below[::-1], above]))


DIVERGING: UInt8[np.ndarray, "256 3"] = _diverging(_BLUE_ARM, _RED_ARM)
"""Negative blue, zero near white (between rows 127 and 128), positive orange to red."""

SEQUENTIAL: UInt8[np.ndarray, "256 3"] = _table(_path(_HEAT, LEVELS))
"""Low pale yellow, high dark purple; lightness falls all the way."""

QUALITATIVE: UInt8[np.ndarray, "6 3"] = np.array(
    [[46, 92, 203], [212, 79, 19], [76, 171, 253], [127, 31, 92], [252, 175, 65], [128, 128, 128]], np.uint8
)
"""Blue, vermilion, sky, plum, amber for five categories, then grey for what is in none.

The five were searched for in OKLab: any two are at least 0.21 apart for normal sight and 0.18 for each simulated kind of
colour blindness (Machado et al. 2009), and all are at least 0.09 from every grey of the cortex.
"""
QUALITATIVE.flags.writeable = False


Sides = Literal["both", "one"]


@dataclass(frozen=True, eq=False)
class Palette:
    """A colour map by name: for values on both sides of 0, or on one."""

    name: str
    sides: Sides
    table: UInt8[np.ndarray, "256 3"]


PALETTES = (
    Palette("blue-red", "both", DIVERGING),
    Palette("purple-green", "both", _diverging(_PURPLE_ARM, _GREEN_ARM)),
    Palette("heat", "one", SEQUENTIAL),
    Palette("sea", "one", _table(_path(_SEA, LEVELS))),
)
"""The first of each kind is the default."""


def palette(name: str | None, sides: Sides) -> Palette:
    """A colour map of one kind; the kind's default if no name is given.

    Raises
    ------
    InputError
        If there is none of this name and kind.
    """
    of_kind = {each.name: each for each in PALETTES if each.sides == sides}
    if name is None:
        return next(iter(of_kind.values()))
    if name not in of_kind:
        raise InputError(
            f"colour map {name!r}: for {'both sides' if sides == 'both' else 'one side'} of 0 there are {', '.join(of_kind)}; choose one"
        )
    return of_kind[name]
