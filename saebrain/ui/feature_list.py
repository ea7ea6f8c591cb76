"""The list of features: the table, the maps in it, which feature is chosen, and what can be taken away or brought."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pandas as pd
import streamlit as st

from saebrain.errors import InputError
from saebrain.pipeline.feature_lists import save_list
from saebrain.pipeline.feature_notes import import_explanations
from saebrain.pipeline.feature_table import FeatureTable
from saebrain.study import Study
from saebrain.ui import feature_data
from saebrain.ui.feature_filters import default_sort, in_order
from saebrain.ui.frame import export_name
from saebrain.ui.selection import View
from saebrain.ui.text import plain

HEIGHT = 284
ROWS, ROWS_WITH_MAPS = 5000, 25
"""Shown at a time: what a browser is sent at every click, and maps that are made at once."""
MAP_HEIGHT = 46
"""Of a row with a map, in pixels."""


def first_listed(table: FeatureTable) -> int:
    """The feature that is shown before anything is chosen."""
    return int(in_order(table.rows, default_sort(table), False).index[0])


def choose(view: View, study: Study, table: FeatureTable, rows: pd.DataFrame) -> int:
    """Draw the table; returns the chosen feature, or the first of the list as long as none is."""
    default = int(rows.index[0]) if len(rows) else int(table.rows.index[0])
    number = int(view.number("feature", int(table.rows.index.min()), int(table.rows.index.max()), default))
    place = int(rows.index.get_loc(number)) if number in rows.index else None
    with_maps = view.flag("maps", False) and "parcel_r" in rows
    table_place = st.container()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        beside = "" if place is not None else f" Feature {number}, shown below, is not among them."
        st.caption(f"{len(rows):,} of {len(table.rows):,} features.{beside}", width="stretch")
        size = ROWS_WITH_MAPS if with_maps else ROWS
        first = _page(view, len(rows), size, place)
        if "parcel_r" in rows:
            st.toggle(
                "Maps", help="A small map of the cortex in every row, left to right as in the large one.", **view.widget("maps", with_maps, False)
            )
        _save(study, rows)
        _bring(study, table)
        _downloads(study, table, rows)
    with table_place:
        _table(view, study, table, rows.iloc[first : first + size], None if place is None else place - first, with_maps)
    return number


def _table(view: View, study: Study, table: FeatureTable, rows: pd.DataFrame, place: int | None, with_maps: bool) -> None:
    """Some rows of the list; a click on any cell chooses the row. ``place`` is the chosen feature's, if it is in the list."""
    shown = _shown(table, rows)
    if with_maps:
        shown.insert(1, "map", feature_data.thumbnails(study, rows.index.tolist(), feature_data.map_reach(table)))
    # The key is that of the rows: a table of the same rows stays where it was scrolled to.
    key = f"features {with_maps} {hashlib.sha256(rows.index.to_numpy().tobytes()).hexdigest()[:12]}"
    wanted = {"selection": {"rows": [place] if place is not None and 0 <= place < len(rows) else [], "columns": [], "cells": []}}
    if dict(st.session_state.get(key, {}).get("selection", {})) != wanted["selection"]:
        st.session_state[key] = wanted

    def clicked() -> None:
        found = st.session_state[key]["selection"]
        chosen = [cell[0] for cell in found["cells"]] or found["rows"]
        if chosen:
            view.set("feature", int(rows.index[chosen[0]]))

    st.dataframe(
        shown,
        height=HEIGHT,
        hide_index=True,
        column_config=_columns(table),
        on_select=clicked,
        selection_mode=["single-row", "single-cell"],  # a click on any cell of a row chooses it
        key=key,
        alt="Features that pass the filters",
        row_height=MAP_HEIGHT if with_maps else None,
    )


def _page(view: View, count: int, size: int, place: int | None) -> int:
    """The first row to show of a list that is shown in parts, and buttons for the other parts. Unless they are used, the chosen feature's part."""
    pages = max(1, -(-count // size))
    if pages == 1:
        return 0
    own = 0 if place is None else place // size
    page = min(int(view.number("page", 0, 1e6, own)), pages - 1)
    for name, to, icon in (("Rows before", page - 1, ":material/expand_less:"), ("Rows after", page + 1, ":material/expand_more:")):
        st.button("", icon=icon, help=name, key=name, disabled=not 0 <= to < pages, on_click=view.set, args=("page", to, own), type="tertiary")
    st.caption(f"{page * size + 1:,} to {min((page + 1) * size, count):,}", width="content")
    return page * size


def _save(study: Study, rows: pd.DataFrame) -> None:
    with st.popover("Save list", icon=":material/bookmark_add:", type="tertiary"), st.form("save list", border=False):
        name = st.text_input("Name", placeholder="harbours", help="Letters, digits, - and _. A list of that name is replaced.")
        if st.form_submit_button(f"Save these {len(rows):,} features"):
            try:
                save_list(study, name, rows.index.tolist())
                st.success(f"Saved; as a selection for encoding models: list:{name}")
            except InputError as error:
                st.error(plain(error))


def _bring(study: Study, table: FeatureTable) -> None:
    with st.popover("Import notes", icon=":material/upload:", type="tertiary"):
        st.caption("Explanations in Neuronpedia's form (JSON, or a record a line, with index and description) become notes on this layer's features.")
        brought = st.file_uploader("Explanations", type=["json", "jsonl"], label_visibility="collapsed")
        if brought is not None and st.button("Import"):
            try:
                st.success(f"{import_explanations(study, brought.getvalue(), len(table.rows)):,} new notes")
            except InputError as error:
                st.error(plain(error))


def _downloads(study: Study, table: FeatureTable, rows: pd.DataFrame) -> None:
    """The list as it is filtered and sorted, with every column; made only when asked for."""

    def whole() -> pd.DataFrame:
        return rows.reset_index().drop(columns="searched")

    def parquet() -> bytes:
        buffer = io.BytesIO()
        whole().to_parquet(buffer, index=False)
        return buffer.getvalue()

    stem = export_name(study, f"features-layer-{study.layer}")
    with st.popover("Download list", icon=":material/download:", type="tertiary"):
        for label, content, name, mime in (
            ("CSV", lambda: whole().to_csv(index=False).encode(), f"{stem}.csv", "text/csv"),
            ("Parquet", parquet, f"{stem}.parquet", "application/vnd.apache.parquet"),
        ):
            st.download_button(label, content, name, mime, on_click="ignore", type="tertiary", key=f"list {label}")


def _shown(table: FeatureTable, rows: pd.DataFrame) -> pd.DataFrame:
    columns = ["peak", "top_words", "label", "parcel", "parcel_r", "density", "max", *table.annotators]
    return rows.reset_index()[["feature", *(name for name in columns if name in rows)]]


def _columns(table: FeatureTable) -> dict[str, Any]:
    column = st.column_config
    who = "machine label" if table.kinds == {"machine"} else "label"
    return {
        "feature": column.NumberColumn("Feature", format="%d", width=70),
        "map": column.ImageColumn("Left lateral, medial; right medial, lateral", width=250),
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
