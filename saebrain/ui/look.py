"""How maps of the cortex are drawn: chosen in the viewer, kept with the selection and so in the address, shared by all pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from saebrain.surface.colour import PALETTES
from saebrain.ui.selection import View

SURFACES = ("inflated", "pial", "white", "flat")
SIDES: tuple[Literal["both", "one"], ...] = ("both", "one")
UNSET = ""
GREATEST = 1000.0
NO_VERTEX = -1


@dataclass(frozen=True)
class Look:
    """How a map is drawn; below ``threshold`` (of the absolute value) the folds are shown. None: as suits the map."""

    surface: str = SURFACES[0]
    threshold: float = 0.0
    outlines: bool = False
    reach: float | None = None
    sides: Literal["both", "one"] | None = None
    colours: str | None = None


def read_look(view: View, threshold: float = 0.0) -> Look:
    """The look that a page's selection says; ``threshold`` unless it has one."""
    sides = view.choice("sides", (*SIDES, UNSET), UNSET)
    reach = view.number("range", 0.0, GREATEST, 0.0)
    return Look(
        surface=view.choice("surface", SURFACES, SURFACES[0]),
        threshold=view.number("threshold", 0.0, GREATEST, threshold),
        outlines=view.flag("outlines", False),
        reach=reach or None,
        sides=next((each for each in SIDES if each == sides), None),
        colours=view.choice("colours", (*(palette.name for palette in PALETTES), UNSET), UNSET) or None,
    )


def for_viewer(look: Look) -> dict[str, Any]:
    """The look as the viewer in the browser takes it."""
    return {
        "surface": look.surface,
        "threshold": look.threshold,
        "outlines": look.outlines,
        "range": look.reach,
        "sides": look.sides,
        "colours": look.colours,
    }


def keep_look(view: View, reported: Mapping[str, Any], threshold: float = 0.0) -> None:
    """Keep what the viewer reports. It comes from a browser: what is of the wrong type is not taken."""
    for name, default in (("surface", SURFACES[0]), ("sides", UNSET), ("colours", UNSET)):
        value = reported.get(name)
        view.set(name, value if isinstance(value, str) else None, default)
    for name, default_number in (("threshold", threshold), ("range", 0.0)):
        number = reported.get(name)
        view.set(name, float(number) if isinstance(number, int | float) else None, default_number)
    view.set("outlines", reported.get("outlines") is True, False)


def pinned(view: View, vertices: int) -> int | None:
    """The pinned vertex, if there is one: its number among those of both hemispheres."""
    vertex = int(view.number("vertex", NO_VERTEX, vertices - 1, NO_VERTEX))
    return None if vertex == NO_VERTEX else vertex
