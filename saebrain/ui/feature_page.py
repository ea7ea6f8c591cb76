"""One feature: contexts, activations, logit effects, labels, and its cortical map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from saebrain.pipeline.cortical import reach
from saebrain.pipeline.feature_table import FeatureTable
from saebrain.study import Study
from saebrain.ui import cortex, data, feature, plots
from saebrain.ui.frame import export_name
from saebrain.ui.selection import View
from saebrain.ui.text import MEAN, category, plain, whose


def show(view: View, study: Study, table: FeatureTable, rows: pd.DataFrame, number: int) -> None:
    """Draw one feature; the buttons lead through the rows of the list."""
    row = table.rows.loc[number]
    _heading(view, rows, number, row, table)
    stored = data.store(study).feature(number)
    if stored["active"] == 0:
        st.info("This feature is never active in this study's text (dead): there are no contexts and no map.", icon=":material/bedtime:")
        return
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Strongest contexts", anchor=False)
        feature.contexts(data.store(study).contexts(number), data.word_onsets(study), float(stored["max"]))
        st.subheader("Effect on the next token", anchor=False)
        feature.token_effects({name.capitalize(): (stored[f"{name}_text"], stored[f"{name}_effect"]) for name in ("promoted", "suppressed")})
        st.caption(
            "Δ logit: change of a token's logit per unit of activation, through the decoder direction alone; the mean over all tokens is taken off."
        )
    with right:
        cortex_place = st.container()
        st.subheader("Labels", anchor=False)
        feature.label_list(data.store(study).labels(number))
        st.subheader("Activations", anchor=False)
        st.vega_lite_chart(plots.histogram(list(stored["histogram"]), float(stored["max"])), alt="Histogram of the feature's activations")
    with cortex_place:  # last, as it takes longest
        _map(view, study, table, number)


def _heading(view: View, rows: pd.DataFrame, number: int, row: pd.Series, table: FeatureTable) -> None:
    place = int(rows.index.get_loc(number)) if number in rows.index else -1  # beside the list: the next is its first
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(f"Feature {number}", width="content", anchor=False)
        kind = "machine label" if table.kinds == {"machine"} else "label"
        st.badge(f"{kind}: {category(row['label'])}", color="blue" if row["agree"] else "gray")
        st.space("stretch")
        for text, target, icon in (("Previous", place - 1, ":material/chevron_left:"), ("Next", place + 1, ":material/chevron_right:")):
            there = 0 <= target < len(rows)
            to = int(rows.index[target]) if there else None
            st.button(text, icon=icon, disabled=not there, on_click=view.set, args=("feature", to), help=f"{text} feature of the list")
    st.caption(
        f"Active at {row['active']:,} tokens ({row['density']:.2%}) · mean activation {row['mean']:.1f}, greatest {row['max']:.1f} · "
        f"top words: {plain(row['top_words']) or 'none'}"
    )


def _map(view: View, study: Study, table: FeatureTable, number: int) -> None:
    st.subheader("Where on the cortex", anchor=False)
    subjects = data.mapper(study).subjects
    subject = view.choice("subject", [MEAN, *subjects], MEAN)
    st.segmented_control(
        "Subject",
        [MEAN, *subjects],
        format_func=whose,
        required=True,
        **view.widget("subject", subject, MEAN),
    )
    maps = data.feature_map(study, number)
    values = maps.mean(axis=0) if subject == MEAN else maps[subjects.index(subject)]
    if np.isnan(values).all():
        st.info("This feature does not vary within any run, so it has no map.", icon=":material/block:")
        return
    scale = cortex.Scale(f"Pearson r, {whose(subject)}", _reach(table))
    words = feature.peak_parcels(values)
    alt = f"Correlation of feature {number} with the cortex, four views; furthest from 0 in {words}"
    cortex.show_map(values, scale, cortex.Look(), alt=alt, rows=2)
    st.markdown(f"Furthest from 0, mean r over a parcel: {plain(words)}.")
    st.caption(
        "Correlation of the feature's course, pooled over words and convolved with a haemodynamic response, with the response of every vertex; "
        "mean over runs. A description without a test, and nothing is held out. Colours have the same range for all features."
    )
    simulated = " (simulated responses)" if study.simulated else ""
    stem = export_name(study, f"feature-{number}", subject)
    cortex.map_downloads(values, scale, cortex.Look(), stem=stem, title=f"Feature {number}, {whose(subject)}{simulated}")


def _reach(table: FeatureTable) -> float:
    """One colour range for the maps of all features of a study."""
    return reach(table.rows["parcel_r"].to_numpy(float), percentile=98) if "parcel_r" in table.rows else 0.3
