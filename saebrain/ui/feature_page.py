"""One feature: contexts, activations, logit effects, labels, and its cortical map."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from saebrain.pipeline.feature_json import feature_json
from saebrain.pipeline.feature_table import FeatureTable
from saebrain.study import Study
from saebrain.ui import data, feature, feature_contexts, feature_data, feature_maps, feature_near, plots
from saebrain.ui.frame import export_name
from saebrain.ui.selection import View
from saebrain.ui.text import category, plain


def show(view: View, study: Study, table: FeatureTable, rows: pd.DataFrame, number: int) -> None:
    """Draw one feature; the buttons lead through the rows of the list."""
    row = table.rows.loc[number]
    _heading(view, study, rows, number, row, table)
    stored = data.store(study).feature(number)
    if stored["active"] == 0:
        st.info("This feature is never active in this study's text (dead): there are no contexts and no map.", icon=":material/bedtime:")
        return
    left, right = st.columns(2, gap="large")
    with left:
        feature_contexts.show(view, study, table, number, float(stored["max"]))
        st.subheader("Effect on the next token", anchor=False)
        feature.token_effects({name.capitalize(): (stored[f"{name}_text"], stored[f"{name}_effect"]) for name in ("promoted", "suppressed")})
        st.caption(
            "Δ logit: change of a token's logit per unit of activation, through the decoder direction alone; the mean over all tokens is taken off."
        )
    with right:
        cortex_place = st.container()
        st.subheader("Labels and notes", anchor=False)
        notes = [note for note in feature_data.notes(study) if note.feature == number]
        feature.label_list(data.store(study).labels(number), notes)
        st.subheader("Activations", anchor=False)
        st.vega_lite_chart(plots.histogram(list(stored["histogram"]), float(stored["max"])), alt="Histogram of the feature's activations")
        feature_near.show(view, study, table, number)
    with cortex_place:  # last, as it takes longest
        feature_maps.show(view, study, table, rows, number)


def _heading(view: View, study: Study, rows: pd.DataFrame, number: int, row: pd.Series, table: FeatureTable) -> None:
    place = int(rows.index.get_loc(number)) if number in rows.index else -1  # beside the list: the next is its first
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(f"Feature {number}", width="content", anchor=False)
        kind, settled = row["provenance"], row["provenance"] != "machine" or row["agree"]
        st.badge(f"{kind} label: {category(row['label'])}", color="blue" if settled else "gray")
        st.space("stretch")
        _take_away(study, number)
        for text, key, target, icon in (
            ("Previous", "Left", place - 1, ":material/chevron_left:"),
            ("Next", "Right", place + 1, ":material/chevron_right:"),
        ):
            there = 0 <= target < len(rows)
            to = int(rows.index[target]) if there else None
            st.button(text, icon=icon, disabled=not there, on_click=_go, args=(view, to), help=f"{text} feature of the list", shortcut=f"Alt+{key}")
    st.caption(
        f"Active at {row['active']:,} tokens ({row['density']:.2%}) · mean activation {row['mean']:.1f}, greatest {row['max']:.1f} · "
        f"top words: {plain(row['top_words']) or 'none'}"
    )


def _go(view: View, feature: int | None) -> None:
    view.set("feature", feature)
    view.set("page", None)  # maps are shown of the rows around it


def _take_away(study: Study, number: int) -> None:
    """The link to this view, and the feature as a file."""
    with st.popover("Link", icon=":material/link:", type="tertiary"):
        st.caption("This very view: list, filters, feature and map.")
        st.code(f"{st.context.url or ''}?{urlencode(st.query_params.to_dict())}", language=None, wrap_lines=True)

    def content() -> bytes:
        notes = [note for note in feature_data.notes(study) if note.feature == number]
        found = feature_json(study, data.store(study), number, feature_data.neighbours(study, number), notes)
        return json.dumps(found, ensure_ascii=False, indent=1).encode()

    st.download_button(
        "JSON",
        content,
        f"{export_name(study, f'layer-{study.layer}', f'feature-{number}')}.json",
        "application/json",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
        help="The feature with Neuronpedia's field names.",
    )
