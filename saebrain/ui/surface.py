"""The surface viewer with what belongs to it on a page: the pinned vertex, a picture where there is no WebGL, exports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from saebrain.pipeline.space import Space
from saebrain.surface.atlas import UNKNOWN
from saebrain.ui import cortex
from saebrain.ui.look import Look, for_viewer, keep_look, pinned, read_look
from saebrain.ui.selection import View
from saebrain.ui.text import plain
from saebrain.ui.viewer import component
from saebrain.ui.viewer.component import Acts, Leaves
from saebrain.ui.viewer.payload import CategoryMap, SurfaceMap, ValueMap


@dataclass(frozen=True)
class SurfaceActs:
    """What the page does with what is done in the viewer; ``threshold`` is the one that an address need not name."""

    view: View
    flip: Callable[[str], None]
    threshold: float = 0.0

    def for_viewer(self) -> Acts:
        return Acts(flip=self.flip, pick=lambda vertex: self.view.set("vertex", vertex), look=self._look)

    def _look(self, reported: Mapping[str, Any]) -> None:
        keep_look(self.view, reported, self.threshold)


def show(
    space: Space,
    key: str,
    view: View,
    leaves: Leaves,
    current: str,
    shown: SurfaceMap,
    acts: SurfaceActs,
    read: Callable[[int], str],
    below: Callable[[int], None] | None = None,
) -> Look:
    """The viewer and, once a vertex is pinned, what is there; returns how maps are drawn.

    Parameters
    ----------
    shown : ValueMap or CategoryMap
        The map called ``current``.
    read : function
        The exact values at a vertex, in words.
    below : function, optional
        Draws more about a pinned vertex.
    """
    chosen, vertex = read_look(view, acts.threshold), pinned(view, space.surfaces.n_vertices)
    if component.without_webgl():
        st.info("This browser draws no WebGL, so the map is a picture: nothing in it can be turned or clicked.", icon=":material/image:")
        picture(space, shown, chosen)
    else:
        component.show(
            key,
            leaves,
            current,
            look=for_viewer(chosen),
            defaults={},
            pinned=vertex,
            acts=acts.for_viewer(),
            surfaces=space.surfaces,
            atlas=space.atlas,
        )
    if vertex is not None:
        st.markdown(f":material/location_on: **Pinned: {plain(place(space, vertex))}.** {plain(read(vertex))}")
        if below is not None:
            below(vertex)
    return chosen


def place(space: Space, vertex: int) -> str:
    """Hemisphere, parcel and number of a vertex."""
    atlas, surfaces = space.atlas, space.surfaces
    hemisphere = "left" if vertex < surfaces.n_left else "right"
    parcel = atlas.parcels[atlas.labels[vertex]][1] if atlas.labels[vertex] != UNKNOWN else "in no parcel"
    return f"{hemisphere} {parcel}, vertex {vertex - surfaces.vertices_of('left' if hemisphere == 'left' else 'right').start}"


def picture(space: Space, shown: SurfaceMap, chosen: Look) -> None:
    """The map without WebGL."""
    if isinstance(shown, ValueMap):
        chosen = replace(chosen, threshold=max(chosen.threshold, shown.floor))
        scale = cortex.Scale(shown.label, chosen.reach or shown.reach)
        cortex.show_map(space, shown.values, scale, chosen, alt=f"{shown.name}, {shown.label}, four views")
    else:
        cortex.show_categories(space, _above(shown, chosen), chosen, alt=f"{shown.name}, four views")


def downloads(space: Space, shown: SurfaceMap, chosen: Look, *, stem: str, title: str) -> None:
    """Buttons for figures and files of a map."""
    if isinstance(shown, ValueMap):
        chosen = replace(chosen, threshold=max(chosen.threshold, shown.floor))
        cortex.map_downloads(space, shown.values, cortex.Scale(shown.label, shown.reach), chosen, stem=stem, title=title, name=shown.name)
    else:
        cortex.category_downloads(space, _above(shown, chosen), chosen, stem=stem, title=title, shown=shown)


def _above(shown: CategoryMap, chosen: Look) -> cortex.Categories:
    """A map of categories, with the threshold applied."""
    index = np.where(np.nan_to_num(shown.values) >= chosen.threshold, shown.index, UNKNOWN).astype(np.int16)
    none = shown.none.replace("{}", f"{chosen.threshold:g}")
    return cortex.Categories(index, shown.palette, shown.names, none, np.isfinite(shown.values))
