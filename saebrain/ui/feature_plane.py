"""The map of features: their decoder directions laid out on a plane; what is drawn round with the lasso becomes the list."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from saebrain.labels import UNCLEAR
from saebrain.pipeline.feature_area import write_area
from saebrain.pipeline.feature_table import FeatureTable
from saebrain.study import Study
from saebrain.ui import feature_data
from saebrain.ui.selection import View
from saebrain.ui.text import category, plain

COLOURS = {"label": "Agreed label", "density": "Density (log)", "parcel_r": "Best parcel's r"}
HEIGHT = 460
PALETTE = ("#4a86e8", "#e0762b", "#3aa655", "#c44e9e", "#c9a227", "#7f5bd6", "#20a5b5", "#d0454c", "#8a6d3b", "#5f7f2f", "#e58fb0")
FADED = "rgba(128,128,128,0.25)"
KEY = "plane"


def show(view: View, study: Study, table: FeatureTable, rows: pd.DataFrame, number: int) -> None:
    """A folded section; the drawing library comes to the browser only once it is opened."""
    opened = view.flag("plane", False)
    st.toggle(
        "Map of features",
        help="All features on a plane, those with similar decoder directions close together.",
        **view.widget("plane", opened, False),
    )
    if not opened:
        return
    layout = feature_data.layout(study)
    if layout is None:
        layer = f" --layer {study.layer}" if study.layer != study.main_layer else ""
        st.info(f"Not computed yet. Run: `python -m saebrain layout {plain(study.folder)}{layer}`", icon=":material/hourglass_empty:")
        return
    names = [name for name in COLOURS if name in table.rows]
    colour = view.choice("colour", names, names[0])
    st.segmented_control("Colour", names, format_func=COLOURS.__getitem__, required=True, **view.widget("colour", colour, names[0]))

    def drawn() -> None:
        found = st.session_state[KEY]["selection"]
        if found["lasso"]:
            view.set("area", write_area(found["lasso"][-1]["x"], found["lasso"][-1]["y"]))
        elif found["box"]:
            (x0, x1), (y0, y1) = found["box"][-1]["x"], found["box"][-1]["y"]
            view.set("area", write_area([x0, x1, x1, x0], [y0, y0, y1, y1]))
        else:
            view.set("area", None)

    figure = _figure(layout.set_index("feature"), table, rows, number, colour)
    st.plotly_chart(figure, on_select=drawn, selection_mode=("lasso", "box"), key=KEY, config={"scrollZoom": True, "displaylogo": False})
    st.caption(
        "UMAP of the decoder directions: near means similar; distances between groups, and the axes, mean nothing. Faint: not in the list. "
        "Draw round some with the lasso to list them alone; a double click brings all back."
    )


def _figure(places: pd.DataFrame, table: FeatureTable, rows: pd.DataFrame, number: int, colour: str) -> dict[str, Any]:
    """As a Plotly figure in plain JSON, drawn with WebGL."""
    listed = places.index.isin(rows.index)
    traces = [_points(places[~listed], table, {"color": FADED, "size": 3}, "not listed")]
    shown = places[listed]
    if colour == "label":
        labels = table.rows["label"].reindex(shown.index)
        everywhere = sorted(label for label in table.rows["label"].unique() if label != UNCLEAR)  # a label keeps its colour whatever is listed
        for label, group in shown.groupby(labels):
            own = "#8a8f98" if label == UNCLEAR else PALETTE[everywhere.index(label) % len(PALETTE)]
            traces.append(_points(group, table, {"color": own, "size": 4}, category(str(label))))
    else:
        values = table.rows[colour].reindex(shown.index)
        if colour == "density":
            values = np.log10(values.where(values > 0, values[values > 0].min()))
        marker = {
            "color": values.fillna(0).round(4).tolist(),
            "colorscale": "Viridis",
            "showscale": True,
            "size": 4,
            "colorbar": {"title": COLOURS[colour]},
        }
        traces.append(_points(shown, table, marker, "listed"))
    if number in places.index:
        ring = {"color": "rgba(0,0,0,0)", "size": 14, "line": {"color": "#e0372b", "width": 3}}
        traces.append({**_points(places.loc[[number]], table, ring, f"feature {number}"), "type": "scattergl"})
    axes = {"xaxis": {"visible": False}, "yaxis": {"visible": False, "scaleanchor": "x"}}
    layout = {**axes, "height": HEIGHT, "margin": {"l": 0, "r": 0, "t": 0, "b": 0}, "dragmode": "lasso", "uirevision": "plane"}
    return {
        "data": traces,
        "layout": {**layout, "showlegend": colour == "label", "legend": {"itemsizing": "constant", "x": 0, "xanchor": "left", "y": 1}},
    }


def _points(places: pd.DataFrame, table: FeatureTable, marker: dict[str, Any], name: str) -> dict[str, Any]:
    words = table.rows["top_words"].reindex(places.index)
    return {
        "type": "scattergl",
        "mode": "markers",
        "name": name,
        "x": places["x"].round(3).tolist(),
        "y": places["y"].round(3).tolist(),
        "text": [f"{feature}: {_safe(text)}" for feature, text in zip(places.index, words, strict=True)],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": marker,
    }


def _safe(text: object) -> str:
    """Plotly reads some HTML in what it shows."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
