"""Maps of the cortex on a page: the picture, its words in HTML (which follow the theme at once), and its exports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st
from jaxtyping import Bool, Float, Int, UInt8

from saebrain.pipeline.space import Space
from saebrain.surface.colour import DIVERGING
from saebrain.surface.figure import category_figure, map_figure
from saebrain.surface.gifti import func_gii, vertex_csv
from saebrain.surface.lettering import format_ticks, nice_ticks
from saebrain.surface.mesh import HEMISPHERES, Hemisphere
from saebrain.surface.page import FOLDS_COLOUR, MASK_ENTRY, Page
from saebrain.surface.raster import Cell
from saebrain.surface.render import cells
from saebrain.ui import data
from saebrain.ui.look import SURFACES, Look, for_viewer
from saebrain.ui.style import PICTURE_WIDTH
from saebrain.ui.text import escaped
from saebrain.ui.viewer.html import viewer_html
from saebrain.ui.viewer.payload import CategoryMap, SurfaceMap, ValueMap

__all__ = ["SURFACES", "Categories", "Look", "Scale", "category_downloads", "map_downloads", "show_categories", "show_map"]
EXPORT_WIDTH = 2400
_Download = tuple[str, Callable[[], bytes], str, str]  # label, content, file name, type


@dataclass(frozen=True)
class Scale:
    """The colour bar: its name with the unit, and its ends, -reach and reach."""

    label: str
    reach: float


@dataclass(frozen=True, eq=False)
class Categories:
    """A map of categories: row of the palette at every vertex, -1 for none; the words for none; where anything was measured."""

    index: Int[np.ndarray, " vertices"]
    palette: UInt8[np.ndarray, "categories 3"]
    names: Sequence[str]
    none: str
    measured: Bool[np.ndarray, " vertices"]


def show_map(space: Space, values: Float[np.ndarray, " vertices"], scale: Scale, look: Look, *, alt: str, rows: int = 1) -> None:
    """A map in four views, in one or two rows, with the names of the views and a colour bar; ``alt`` says it in words."""
    swatches = [_swatch(f"below {look.threshold:g}", FOLDS_COLOUR)] if look.threshold > 0 else []
    swatches += [_swatch(*MASK_ENTRY)] if np.isnan(values).any() else []
    pictures = data.map_pictures(space, values, space.surfaces.shown(look.surface), look.threshold, scale.reach, look.outlines, rows)
    _show(space, pictures, look, alt, _bar(values, scale, look.threshold) + "".join(swatches))


def show_categories(space: Space, found: Categories, look: Look, *, alt: str) -> None:
    """A map of categories in four views, with the names of the views and a legend."""
    entries = [_swatch(name, colour) for name, colour in zip(found.names, found.palette, strict=True)]
    entries += [_swatch(found.none, FOLDS_COLOUR), *([] if found.measured.all() else [_swatch(*MASK_ENTRY)])]
    pictures = data.category_pictures(space, found.index, found.palette, found.measured, space.surfaces.shown(look.surface), look.outlines)
    _show(space, pictures, look, alt, "".join(entries))


def map_downloads(space: Space, values: Float[np.ndarray, " vertices"], scale: Scale, look: Look, *, stem: str, title: str, name: str = "") -> None:
    """Buttons for the figure (on white, with title and colour bar), the map per hemisphere, per vertex, and the viewer itself."""
    shown = ValueMap(name or title, values, scale.label, scale.reach)

    def figure() -> Page:
        both = look.sides != "one"
        return map_figure(
            values,
            label=scale.label,
            title=title,
            surface=space.surfaces.shown(look.surface),
            threshold=look.threshold,
            vmin=None if both else 0.0,
            vmax=look.reach or scale.reach,
            symmetric=both,
            colours=look.colours,
            outlines=space.atlas.labels if look.outlines else None,
            width=EXPORT_WIDTH,
            background="white",
            surfaces=space.surfaces,
        )

    table = ("CSV", lambda: vertex_csv(values, space.atlas, space.surfaces).encode(), f"{stem}_vertices.csv", "text/csv")
    _downloads([*_figures(figure, stem), *_gifti(space, values, stem, title), table, _interactive(space, shown, look, stem, title)])


def category_downloads(space: Space, found: Categories, look: Look, *, stem: str, title: str, shown: CategoryMap | None = None) -> None:
    """Buttons for the figure (on white, with title and legend), the index of the category per hemisphere, and the viewer itself."""

    def figure() -> Page:
        return category_figure(
            found.index,
            found.palette,
            found.names,
            none=found.none,
            title=title,
            measured=found.measured,
            surface=space.surfaces.shown(look.surface),
            outlines=space.atlas.labels if look.outlines else None,
            width=EXPORT_WIDTH,
            background="white",
            surfaces=space.surfaces,
        )

    index = np.where(found.measured, found.index, np.nan)
    interactive = [] if shown is None else [_interactive(space, shown, look, stem, title)]
    _downloads([*_figures(figure, stem), *_gifti(space, index, stem, title), *interactive])


def _figures(figure: Callable[[], Page], stem: str) -> list[_Download]:
    return [
        ("PNG", lambda: figure().png(), f"{stem}.png", "image/png"),
        ("SVG", lambda: figure().svg(), f"{stem}.svg", "image/svg+xml"),
        ("PDF", lambda: figure().pdf(), f"{stem}.pdf", "application/pdf"),
    ]


def _interactive(space: Space, shown: SurfaceMap, look: Look, stem: str, title: str) -> _Download:
    def content() -> bytes:
        return viewer_html({"map": shown}, space.surfaces, space.atlas, title=title, look=for_viewer(look)).encode()

    return ("HTML", content, f"{stem}.html", "text/html")


_HELP = {
    "PNG": "The figure on white, with title and legend, at 300 dots per inch.",
    "SVG": "The same, with text that can be edited.",
    "PDF": "The same, with text that can be edited.",
    "GIFTI": "The map of one hemisphere on the mesh of the study, for Connectome Workbench, FreeSurfer and others.",
    "CSV": "A row a vertex, with its parcel.",
    "HTML": "The interactive viewer as a file of its own, for a talk or a supplement.",
}


def _gifti(space: Space, values: Float[np.ndarray, " vertices"], stem: str, name: str) -> list[_Download]:
    def content(hemisphere: Hemisphere) -> bytes:
        return bytes(func_gii(values[space.surfaces.vertices_of(hemisphere)], hemisphere, name, space.surfaces).to_bytes())

    return [
        (f"GIFTI {hemisphere}", partial(content, hemisphere), f"{stem}_hemi-{hemisphere[0].upper()}.func.gii", "application/octet-stream")
        for hemisphere in HEMISPHERES
    ]


def _downloads(files: Sequence[_Download]) -> None:
    # Made only when asked for, and without drawing the page again. Buttons in a popover cost the page nothing until it is opened.
    with (
        st.container(horizontal=True, horizontal_alignment="center"),
        st.popover("Download map", icon=":material/download:", type="tertiary"),
        st.container(horizontal=True, gap="medium"),
    ):
        for label, content, name, mime in files:
            st.download_button(label, content, name, mime, on_click="ignore", type="tertiary", help=_HELP[label.split()[0]])


def _show(space: Space, pictures: list[str], look: Look, alt: str, legend: str) -> None:
    """Rows of views, each with the names of the views above, and the legend below."""
    places = cells(space.surfaces.shown(look.surface), PICTURE_WIDTH, space.surfaces)
    per_row = len(places) // len(pictures)
    with st.container(gap=None):
        for row, picture in enumerate(pictures):
            st.html(_view_names(places[row * per_row : (row + 1) * per_row]))
            st.image(picture, width="stretch", alt=alt if row == 0 else f"{alt} (continued)")
        st.html(f'<div class="sb sb-colours">{legend}</div>')


def _view_names(places: Sequence[Cell]) -> str:
    columns = " ".join(f"{place.right - place.left}fr" for place in places)
    names = "".join(f"<span>{escaped(place.name)}</span>" for place in places)
    return f'<div class="sb sb-views" style="grid-template-columns: {columns}">{names}</div>'


def _bar(values: Float[np.ndarray, " vertices"], scale: Scale, threshold: float) -> str:
    """A diverging colour bar, grey where the threshold hides values, pointed where values lie beyond its ends."""
    rows = np.linspace(0, len(DIVERGING) - 1, 33).round().astype(int)
    stops = ", ".join(f"{_rgb(DIVERGING[row])} {place:.1f}%" for row, place in zip(rows, np.linspace(0, 100, 33), strict=True))
    hidden = 50 * min(threshold / scale.reach, 1.0)
    grey, low, high = _rgb(FOLDS_COLOUR), f"{50 - hidden:.1f}%", f"{50 + hidden:.1f}%"
    veil = f"linear-gradient(to right, transparent {low}, {grey} {low}, {grey} {high}, transparent {high}), " if hidden else ""
    below = '<i class="tip left"></i>' if np.nanmin(values, initial=0) < -scale.reach else ""
    above = '<i class="tip right"></i>' if np.nanmax(values, initial=0) > scale.reach else ""
    gradient = (
        f'<div class="gradient" style="background: {veil}linear-gradient(to right, {stops}); '
        f'--first: {_rgb(DIVERGING[0])}; --last: {_rgb(DIVERGING[-1])}">{below}{above}</div>'
    )
    ticks = nice_ticks(-scale.reach, scale.reach)
    written = "".join(
        f'<span style="left:{50 + 50 * tick / scale.reach:.1f}%">{text}</span>' for tick, text in zip(ticks, format_ticks(ticks), strict=True)
    )
    return f'<div class="bar">{gradient}<div class="ticks">{written}</div><div>{escaped(scale.label)}</div></div>'


def _swatch(name: str, colour: Sequence[int] | UInt8[np.ndarray, " 3"]) -> str:
    return f'<span class="swatch"><i style="background:{_rgb(colour)}"></i>{escaped(name)}</span>'


def _rgb(colour: Sequence[int] | UInt8[np.ndarray, " 3"]) -> str:
    red, green, blue = (int(channel) for channel in colour)
    return f"rgb({red} {green} {blue})"
