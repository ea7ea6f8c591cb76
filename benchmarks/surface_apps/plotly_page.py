"""The peer's page: nilearn's plotly engine, four views of a map in one figure, and a button for the next map."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from nilearn import plotting
from plotly.subplots import make_subplots

from saebrain.surface.mesh import Hemisphere, fsaverage5

surfaces = fsaverage5()
st.set_page_config(layout="wide")
number = st.session_state.setdefault("number", 0)
if st.button("Next"):
    number = st.session_state["number"] = number + 1
direction = np.random.default_rng(number).normal(size=3) / 25
values = np.sin(surfaces.mesh("white").coordinates @ direction).astype(np.float32)
figure = make_subplots(rows=1, cols=4, specs=[[{"type": "scene"}] * 4])
VIEWS: tuple[tuple[Hemisphere, str], ...] = (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))
for column, (hemisphere, view) in enumerate(VIEWS, start=1):
    inside = surfaces.vertices_of(hemisphere)
    mesh = surfaces.mesh("inflated")
    drawn = plotting.plot_surf(
        (mesh.coordinates[inside], mesh.faces_of(hemisphere) - inside.start),
        values[inside],
        bg_map=surfaces.sulc[inside],
        hemi=hemisphere,
        view=view,
        engine="plotly",
        cmap="RdBu_r",
    )
    for trace in drawn.figure.data:
        figure.add_trace(go.Mesh3d(trace), row=1, col=column)
    figure.update_scenes(drawn.figure.layout.scene.to_plotly_json(), row=1, col=column)
figure.update_layout(title=f"map {number}", height=400)
st.plotly_chart(figure)
