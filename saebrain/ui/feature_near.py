"""Features that are near one feature: by decoder direction, by activity at the same tokens, and at other layers."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from saebrain.pipeline.feature_table import FeatureTable
from saebrain.study import Study
from saebrain.ui import data, feature_data
from saebrain.ui.selection import View
from saebrain.ui.text import plain

KINDS = {
    "decoder": ("Nearest by decoder", "Cosine of the decoder directions."),
    "coactive": ("Active at the same tokens", "Tokens at which both are active, over the geometric mean of the tokens of each."),
}
LISTED = 6


def show(view: View, study: Study, table: FeatureTable, number: int) -> None:
    """Small tables; a click on a row goes there."""
    st.subheader("Neighbours", anchor=False)
    near = feature_data.neighbours(study, number)
    if near is None:
        layer = f" --layer {study.layer}" if study.layer != study.main_layer else ""
        st.info(f"Not computed yet. Run: `python -m saebrain neighbours {plain(study.folder)}{layer}`", icon=":material/hourglass_empty:")
        return
    pair = st.columns(2)
    for place, (kind, (title, help_)) in zip(pair, KINDS.items(), strict=True):
        rows = near[near["kind"] == kind].head(LISTED)
        shown = pd.DataFrame({"feature": rows["other"], "similarity": rows["similarity"]})
        shown["top words"] = table.rows["top_words"].reindex(rows["other"]).to_numpy()
        with place:
            _table(view, shown, kind, title, help_, [study.layer] * len(rows), study.main_layer)
    others = near[near["kind"] == "layer"].sort_values(["layer", "similarity"], ascending=[True, False])
    if len(others):
        peaks = {layer: data.store(study.at(layer)).peaks(group["other"].tolist()) for layer, group in others.groupby("layer")}
        shown = pd.DataFrame({"layer": others["layer"], "feature": others["other"], "similarity": others["similarity"]})
        shown["peak word"] = [peaks[row.layer].get(row.other, "") for row in others.itertuples()]
        help_ = "The features of the other layers that are active at the same tokens most; the first of each layer is its best match."
        _table(view, shown, "layer", "At other layers", help_, others["layer"].tolist(), study.main_layer)


def _table(view: View, shown: pd.DataFrame, kind: str, title: str, help_: str, layers: list[int], main: int) -> None:
    key = f"near {kind} {hash(tuple(shown['feature']))}"

    def clicked() -> None:
        chosen = [cell[0] for cell in st.session_state[key]["selection"]["cells"]]
        if chosen:
            view.set("feature", int(shown["feature"].iloc[chosen[0]]))
            view.set("layer", layers[chosen[0]], main)

    st.caption(f"**{title}**", help=help_)
    if shown.empty:
        st.caption("None.")
        return
    st.dataframe(
        shown,
        hide_index=True,
        height="content",
        column_config={
            "similarity": st.column_config.NumberColumn(format="%.2f", width=70),
            "feature": st.column_config.NumberColumn(format="%d", width=70),
        },
        on_select=clicked,
        selection_mode="single-cell",
        key=key,
        alt=title,
    )
