"""Features that are near one feature: by decoder direction, by activity at the same tokens, and at other layers."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from saebrain.pipeline.feature_table import FeatureTable
from saebrain.study import Study
from saebrain.ui import data, feature_data
from saebrain.ui.selection import View
from saebrain.ui.text import plain

LISTED = 6
_ABOUT = (
    "Decoder: cosine of the decoder directions. Same tokens: tokens at which both are active, over the geometric mean of the tokens of each; "
    "for a feature of another layer, beside its peak word, likewise. A click on a row goes there."
)


def show(view: View, study: Study, table: FeatureTable, number: int) -> None:
    """One small table; a click on a row goes there."""
    st.subheader("Neighbours", anchor=False)
    near = feature_data.neighbours(study, number)
    if near is None:
        layer = f" --layer {study.layer}" if study.layer != study.main_layer else ""
        st.info(f"Not computed yet. Run: `python -m saebrain neighbours {plain(study.folder)}{layer}`", icon=":material/hourglass_empty:")
        return
    layers, shown = _listed(study, table, near)
    if shown.empty:
        st.caption("None.")
        return
    key = f"near {hash(tuple(shown['feature']))}"

    def clicked() -> None:
        chosen = [cell[0] for cell in st.session_state[key]["selection"]["cells"]]
        if chosen:
            view.set("feature", int(shown["feature"].iloc[chosen[0]]))
            view.set("layer", layers[chosen[0]], study.main_layer)

    st.dataframe(
        shown,
        hide_index=True,
        height="content",
        column_config={
            "near by": st.column_config.TextColumn(width=95),
            "feature": st.column_config.NumberColumn(format="%d", width=65),
            "similarity": st.column_config.NumberColumn(format="%.2f", width=75),
        },
        on_select=clicked,
        selection_mode="single-cell",
        key=key,
        alt="Neighbours of the feature",
    )
    st.caption(_ABOUT)


def _listed(study: Study, table: FeatureTable, near: pd.DataFrame) -> tuple[list[int], pd.DataFrame]:
    """The layer of every neighbour, and the table: the nearest by decoder, by tokens, and, best first, at every other layer."""
    parts, layers = [], []
    for kind, title in (("decoder", "decoder"), ("coactive", "same tokens")):
        rows = near[near["kind"] == kind].head(LISTED)
        parts.append(_rows(title, rows, table.rows["top_words"].reindex(rows["other"]).tolist()))
        layers += [study.layer] * len(rows)
    others = near[near["kind"] == "layer"].sort_values(["layer", "similarity"], ascending=[True, False])
    for layer, rows in others.groupby("layer"):
        peaks = data.store(study.at(layer)).peaks(rows["other"].tolist())
        parts.append(_rows(f"layer {layer}", rows, [peaks.get(other, "").strip() for other in rows["other"]]))
        layers += [int(layer)] * len(rows)
    return layers, pd.concat(parts, ignore_index=True)


def _rows(title: str, rows: pd.DataFrame, words: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"near by": title, "feature": rows["other"].to_numpy(), "similarity": rows["similarity"].to_numpy(), "words": words})
