"""Figures, as PNG, SVG or PDF: a strip of views with their names, a title, and a colour bar or a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int, Num, UInt8

from saebrain.errors import InputError
from saebrain.surface.colour import palette
from saebrain.surface.mesh import Surfaces, check_map, fsaverage5
from saebrain.surface.page import FOLDS_COLOUR, MASK_ENTRY, Bar, Page, as_rgb
from saebrain.surface.render import categories_strip, cells, check_threshold, limits, pixels_per_mm, strip

Theme = Literal["light", "dark"]
TRUE_SIZE = ("pial", "white")
"""Surfaces on which a millimetre is one; inflated and flat ones are stretched."""


def figure_png(values: Num[np.ndarray, " vertices"], **options: Any) -> bytes:
    """`map_figure` as a PNG file, RGBA."""
    return map_figure(values, **options).png()


def categories_png(labels: Int[np.ndarray, " vertices"], palette: UInt8[np.ndarray, "categories 3"], names: Sequence[str], **options: Any) -> bytes:
    """`category_figure` as a PNG file, RGBA."""
    return category_figure(labels, palette, names, **options).png()


def map_figure(
    values: Num[np.ndarray, " vertices"],
    *,
    label: str,
    title: str = "",
    surface: str = "inflated",
    threshold: float = 0.0,
    vmin: float | None = None,
    vmax: float | None = None,
    symmetric: bool = True,
    colours: str | None = None,
    outlines: Int[np.ndarray, " vertices"] | None = None,
    width: int = 1200,
    theme: Theme = "light",
    background: str | None = None,
    surfaces: Surfaces | None = None,
) -> Page:
    """A map as a figure: `strip` with the views' names, a title and a colour bar.

    The bar's ends are pointed where values lie beyond the colour range, and grey where the threshold hides them.

    Parameters
    ----------
    label : str
        Name of the bar, with its unit: "Correlation (r)".
    title : str
        Above the views; left out if empty.
    theme : "light" or "dark"
        Colour of the text: for a light or a dark page.
    background : str, optional
        Any CSS colour, such as "#0e1117"; transparent by default.
    values, surface, threshold, vmin, vmax, symmetric, colours, outlines, width, surfaces
        As in `strip`; at least 400 pixels wide.

    Returns
    -------
    Page
        Its ``png()``, ``svg()`` and ``pdf()`` are files.

    Raises
    ------
    InputError
        As `strip`, and for an unknown theme or background.
    """
    page = Page(width, theme, background)
    values = check_map(values, surfaces or fsaverage5())
    check_threshold(threshold)
    low, high = limits(values, vmin=vmin, vmax=vmax, symmetric=symmetric)
    picture = strip(
        values,
        surface=surface,
        threshold=threshold,
        vmin=vmin,
        vmax=vmax,
        symmetric=symmetric,
        colours=colours,
        outlines=outlines,
        width=width,
        surfaces=surfaces,
    )
    known = values[~np.isnan(values)]
    bar = Bar(
        label=label,
        low=low,
        high=high,
        table=palette(colours, "both" if symmetric else "one").table,
        threshold=threshold,
        below=low != 0 and bool((known < low).any()),  # from 0 on, negative values are not shown at all
        above=bool((known > high).any()),
        empty=len(known) == 0,
    )
    page.views(title, picture, cells(surface, width, surfaces))
    if surface in TRUE_SIZE:
        page.scale_bar(pixels_per_mm(surface, width, surfaces))
    page.colour_bar(bar, masked=len(known) < len(values))
    return page


def category_figure(
    labels: Int[np.ndarray, " vertices"],
    palette: UInt8[np.ndarray, "categories 3"],
    names: Sequence[str],
    *,
    none: str = "",
    title: str = "",
    measured: Bool[np.ndarray, " vertices"] | None = None,
    surface: str = "inflated",
    outlines: Int[np.ndarray, " vertices"] | None = None,
    width: int = 1200,
    theme: Theme = "light",
    background: str | None = None,
    surfaces: Surfaces | None = None,
) -> Page:
    """A map of categories as a figure: `categories_strip` with the views' names, a title and a legend.

    Parameters
    ----------
    names : sequence of str
        One per category, for the legend.
    none : str
        The legend's words for label -1, such as "no category"; not in the legend if empty.
    labels, palette, measured, surface, outlines, width, title, theme, background, surfaces
        As in `categories_strip` and `map_figure`.

    Raises
    ------
    InputError
        As these, and if there is not a name for every category.
    """
    page = Page(width, theme, background)
    if len(names) != len(palette):
        raise InputError(f"{len(names)} names for {len(palette)} colours: give one name per category, in the order of the palette")
    picture = categories_strip(labels, palette, measured=measured, surface=surface, outlines=outlines, width=width, surfaces=surfaces)
    page.views(title, picture, cells(surface, width, surfaces))
    entries = [(name, as_rgb(colour)) for name, colour in zip(names, palette, strict=True)]
    if none:
        entries.append((none, FOLDS_COLOUR))
    if measured is not None and not np.all(measured):
        entries.append(MASK_ENTRY)
    page.legend(entries)
    return page
