"""A page with nothing but the surface viewer: fifty-five waves, then each of some parcels alone, then a map of categories."""

from __future__ import annotations

import numpy as np
import streamlit as st

from saebrain.surface.atlas import desikan_killiany
from saebrain.surface.colour import QUALITATIVE
from saebrain.surface.mesh import Hemisphere, fsaverage5
from saebrain.ui.viewer import component
from saebrain.ui.viewer.component import Acts, Leaves
from saebrain.ui.viewer.payload import CategoryMap, SurfaceMap, ValueMap

WAVES = 55
PARCELS: tuple[tuple[Hemisphere, str], ...] = (
    ("left", "superiortemporal"),
    ("left", "precuneus"),
    ("right", "superiortemporal"),
    ("right", "precuneus"),
)
ATLAS = desikan_killiany()


def values(name: str) -> np.ndarray:
    kind, _, which = name.partition(" ")
    if kind == "parcel":
        found = ATLAS.mask(*PARCELS[int(which)]).astype(np.float32)
    else:
        direction = np.random.default_rng(int(which)).normal(size=3) / 25
        found = np.sin(fsaverage5().mesh("white").coordinates @ direction).astype(np.float32)
    return np.where(ATLAS.labels >= 0, found, np.float32(np.nan))


def make(name: str) -> SurfaceMap:
    if name == "categories":
        index = np.where(ATLAS.labels >= 0, ATLAS.labels % 5, -1)
        names = ["a", "b", "c", "d", "e"]
        return CategoryMap(name, index, np.abs(values("wave 1")), names, QUALITATIVE[:5], "none reaches {}", "best")
    return ValueMap(name, values(name), "r, test", 1.0)


@st.fragment
def viewer() -> None:
    state = st.session_state
    order = [*(f"wave {number}" for number in range(WAVES)), *(f"parcel {number}" for number in range(len(PARCELS))), "categories"]

    def flip(name: str) -> None:
        st.query_params["map"] = name

    def look(reported: object) -> None:
        state["look"] = reported

    def pick(vertex: int | None) -> None:
        state["vertex"] = vertex

    leaves = Leaves("test ", order, str, make)
    current = st.query_params.get("map", "wave 0")
    component.show("viewer", leaves, current, look={}, defaults={}, pinned=state.get("vertex"), acts=Acts(flip, pick, look))
    if state.get("vertex") is not None and current != "categories":
        st.write(f"vertex {state['vertex']} value {values(current)[state['vertex']]:.6f}")
    if component.without_webgl():
        st.write("without WebGL")


st.set_page_config(layout="wide")
viewer()
