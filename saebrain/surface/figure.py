"""Figures as PNG bytes: a strip of views with their names, a title, and a colour bar or a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, Num, UInt8
from PIL import Image

from saebrain.errors import InputError
from saebrain.surface.colour import DIVERGING, SEQUENTIAL
from saebrain.surface.mesh import check_map, fsaverage5
from saebrain.surface.page import FOLDS_COLOUR, MASK_ENTRY, Bar, Page, as_rgb, encode
from saebrain.surface.render import categories_strip, cells, check_threshold, limits, strip

Theme = Literal["light", "dark"]


def png_bytes(picture: UInt8[np.ndarray, "height width 4"]) -> bytes:
    """A picture as a PNG file."""
    return encode(Image.fromarray(picture))


def figure_png(
    values: Num[np.ndarray, " vertices"],
    *,
    label: str,
    title: str = "",
    surface: str = "inflated",
    threshold: float = 0.0,
    vmin: float | None = None,
    vmax: float | None = None,
    symmetric: bool = True,
    outlines: Int[np.ndarray, " vertices"] | None = None,
    width: int = 1200,
    theme: Theme = "light",
    background: str | None = None,
) -> bytes:
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
    values, surface, threshold, vmin, vmax, symmetric, outlines, width
        As in `strip`; at least 400 pixels wide.

    Returns
    -------
    bytes
        PNG, RGBA.

    Raises
    ------
    InputError
        As `strip`, and for an unknown theme or background.
    """
    page = Page(width, theme, background)
    values = check_map(values, fsaverage5())
    check_threshold(threshold)
    low, high = limits(values, vmin=vmin, vmax=vmax, symmetric=symmetric)
    picture = strip(values, surface=surface, threshold=threshold, vmin=vmin, vmax=vmax, symmetric=symmetric, outlines=outlines, width=width)
    known = values[~np.isnan(values)]
    bar = Bar(
        label=label,
        low=low,
        high=high,
        table=DIVERGING if symmetric else SEQUENTIAL,
        threshold=threshold,
        below=bool((known < low).any()),
        above=bool((known > high).any()),
        empty=len(known) == 0,
    )
    page.views(title, picture, cells(surface, width))
    page.colour_bar(bar, masked=len(known) < len(values))
    return page.png()


def categories_png(
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
) -> bytes:
    """A map of categories as a figure: `categories_strip` with the views' names, a title and a legend.

    Parameters
    ----------
    names : sequence of str
        One per category, for the legend.
    none : str
        The legend's words for label -1, such as "no category"; not in the legend if empty.
    labels, palette, measured, surface, outlines, width, title, theme, background
        As in `categories_strip` and `figure_png`.

    Raises
    ------
    InputError
        As these, and if there is not a name for every category.
    """
    page = Page(width, theme, background)
    if len(names) != len(palette):
        raise InputError(f"{len(names)} names for {len(palette)} colours: give one name per category, in the order of the palette")
    picture = categories_strip(labels, palette, measured=measured, surface=surface, outlines=outlines, width=width)
    page.views(title, picture, cells(surface, width))
    entries = [(name, as_rgb(colour)) for name, colour in zip(names, palette, strict=True)]
    if none:
        entries.append((none, FOLDS_COLOUR))
    if measured is not None and not np.all(measured):
        entries.append(MASK_ENTRY)
    page.legend(entries)
    return page.png()
