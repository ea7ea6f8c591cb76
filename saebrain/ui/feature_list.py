"""The list of features: filters, sorting, the table, and which feature is chosen."""

from __future__ import annotations

import hashlib
from typing import Any

import pandas as pd
import streamlit as st

from saebrain.labels import UNCLEAR
from saebrain.pipeline.feature_table import FeatureTable
from saebrain.pipeline.selection import study_codebook
from saebrain.study import Study
from saebrain.surface.atlas import desikan_killiany
from saebrain.ui.selection import View
from saebrain.ui.text import category

ANY = "any"
DENSITIES = ("0", "0.0001", "0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "1")
AGREEMENT = (ANY, "yes", "no")
SORTS = {
    "parcel_r": ("Best parcel's r, high first", False),
    "feature": ("Feature number", True),
    "max": ("Greatest activation, high first", False),
    "density": ("Density, high first", False),
    "rare": ("Density, low first", True),
}
HEIGHT = 248


def filters(view: View, study: Study, table: FeatureTable) -> pd.DataFrame:
    """Draw the filters; returns the rows that pass them, sorted."""
    labels = [ANY, *study_codebook(study).paths, UNCLEAR]
    parcels = [ANY, *sorted({name for _, name in desikan_killiany().parcels})]
    text = view.text("q")
    label = view.choice("label", labels, ANY)
    agree = view.choice("agree", AGREEMENT, ANY)
    low = view.choice("from", DENSITIES, DENSITIES[0])
    high = view.choice("to", DENSITIES, DENSITIES[-1])
    parcel = view.choice("parcel", parcels, ANY)
    sorts = [name for name in SORTS if name != "parcel_r" or "parcel_r" in table.rows]
    sort = view.choice("sort", sorts, sorts[0])

    first = st.columns([3, 2, 2])
    first[0].text_input(
        "Search",
        placeholder="a word, a promoted token, a label, a parcel",
        help="In top words, promoted tokens, agreed label and best parcel. All words must occur.",
        icon=":material/search:",
        **view.widget("q", text, ""),
    )
    first[1].selectbox(
        "Agreed label", labels, format_func=_label_name, help="A label stands for those below it too.", **view.widget("label", label, ANY)
    )
    first[2].selectbox("Sort by", sorts, format_func=lambda name: SORTS[name][0], **view.widget("sort", sort, sorts[0]))
    second = st.columns([1.5, 1.5, 2, 2])
    percent = {density: f"{100 * float(density):g}%" for density in DENSITIES}
    second[0].selectbox(
        "Density from",
        DENSITIES,
        format_func=percent.__getitem__,
        help="Share of tokens at which a feature is active.",
        **view.widget("from", low, DENSITIES[0]),
    )
    second[1].selectbox("to", DENSITIES, format_func=percent.__getitem__, **view.widget("to", high, DENSITIES[-1]))
    second[2].selectbox("Best parcel", parcels, help="In either hemisphere.", **view.widget("parcel", parcel, ANY))
    second[3].segmented_control(
        "Annotators agree",
        AGREEMENT,
        required=True,
        help="Whether all annotators give the same label.",
        **view.widget("agree", agree, ANY),
    )
    rows = table.filtered(
        text=text,
        label=None if label == ANY else label,
        agree=None if agree == ANY else agree == "yes",
        density=(float(low), float(high)),
        parcel=None if parcel == ANY else parcel,
    )
    return _sorted(rows, sort)


def choose(view: View, table: FeatureTable, rows: pd.DataFrame) -> int:
    """Draw the table; returns the chosen feature, or the first of the list as long as none is."""
    default = int(rows.index[0]) if len(rows) else int(table.rows.index[0])
    number = int(view.number("feature", int(table.rows.index.min()), int(table.rows.index.max()), default))
    place = int(rows.index.get_loc(number)) if number in rows.index else None
    key = f"features {hashlib.sha256(rows.index.to_numpy().tobytes()).hexdigest()[:12]}"
    wanted = {"selection": {"rows": [] if place is None else [place], "columns": [], "cells": []}}
    if dict(st.session_state.get(key, {}).get("selection", {})) != wanted["selection"]:
        st.session_state[key] = wanted

    def clicked() -> None:
        found = st.session_state[key]["selection"]
        chosen = [cell[0] for cell in found["cells"]] or found["rows"]
        if chosen:
            view.set("feature", int(rows.index[chosen[0]]))

    shown = _shown(table, rows)
    st.dataframe(
        shown,
        height=HEIGHT,
        hide_index=True,
        column_config=_columns(table),
        on_select=clicked,
        selection_mode=["single-row", "single-cell"],  # a click on any cell of a row chooses it
        key=key,
        alt="Features that pass the filters",
    )
    beside = "" if place is not None else f" Feature {number}, shown below, is not among them."
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{len(rows):,} of {len(table.rows):,} features.{beside}", width="stretch")
        st.download_button(
            "Table (CSV)",
            lambda: shown.to_csv(index=False).encode(),
            "features.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/download:",
            type="tertiary",
        )
    return number


def _sorted(rows: pd.DataFrame, sort: str) -> pd.DataFrame:
    if sort == "feature":
        return rows.sort_index()
    column = "density" if sort == "rare" else sort
    return rows.sort_values(column, ascending=SORTS[sort][1], kind="stable", na_position="last")


def _shown(table: FeatureTable, rows: pd.DataFrame) -> pd.DataFrame:
    columns = ["peak", "top_words", "label", "parcel", "parcel_r", "density", "max", *table.annotators]
    return rows.reset_index()[["feature", *(name for name in columns if name in rows)]]


def _columns(table: FeatureTable) -> dict[str, Any]:
    column = st.column_config
    who = "machine label" if table.kinds == {"machine"} else "label"
    return {
        "feature": column.NumberColumn("Feature", format="%d", width=70),
        "peak": column.TextColumn("Peak word", help="Token at the strongest activation.", width=85),
        "top_words": column.TextColumn("Top words", help="The first different words at the strongest activations.", width=190),
        "label": column.TextColumn(f"Agreed {who}", help="The longest path that all annotators share.", width=138),
        **{name: column.TextColumn(_annotator_name(name), width=130) for name in table.annotators},
        "parcel": column.TextColumn("Best parcel", help="Whose mean response the feature's haemodynamic course correlates with most.", width=170),
        "parcel_r": column.NumberColumn(
            "its r", format="%.2f", help="Mean over runs and subjects; the largest of many, so a description, no test.", width=60
        ),
        "density": column.NumberColumn("Density", format="percent", help="Share of tokens at which the feature is active.", width=70),
        "max": column.NumberColumn("Max", format="%.1f", help="Greatest activation.", width=52),
    }


def _annotator_name(name: str) -> str:
    kind, _, rule = name.partition(":")
    return f"Machine: {rule}" if kind == "machine" else name


def _label_name(label: str) -> str:
    return label if label in (ANY, UNCLEAR) else category(label)
