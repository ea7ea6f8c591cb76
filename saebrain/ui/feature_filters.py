"""Which features are listed, and in what order: the widgets, and what the address says of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from saebrain.errors import InputError
from saebrain.labels import UNCLEAR
from saebrain.pipeline.feature_area import inside, parse_area
from saebrain.pipeline.feature_lists import read_list, saved_lists
from saebrain.pipeline.feature_table import FILTERED, FeatureTable, Filter
from saebrain.pipeline.selection import study_codebook
from saebrain.pipeline.space import study_atlas
from saebrain.study import Study
from saebrain.ui import feature_data, feature_people
from saebrain.ui.selection import View
from saebrain.ui.text import category, plain

ANY, NOBODY = "any", "anybody: all features"
DENSITIES = ("0", "0.0001", "0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "1")
AGREEMENT = (ANY, "yes", "no")
LISTS, CONTEXTS = "words, labels, notes", "contexts"
SORTS = {
    "parcel_r": "Best parcel's r",
    "feature": "Feature number",
    "max": "Greatest activation",
    "mean": "Mean activation",
    "density": "Density",
    "peak": "Peak word",
    "label": "Agreed label",
    "agree": "Agreement",
    "parcel": "Best parcel",
}
ASCENDING = {"feature", "peak", "label", "parcel", "agree"}
"""What is sorted from low to high unless turned round."""
MORE = ("from", "to", "least", "parcel", "least_r", "agree", "list", "unlabelled", "where")
"""Filters that are folded away."""


def filters(view: View, study: Study, table: FeatureTable) -> pd.DataFrame:
    """Draw the filters; returns the rows that pass them, sorted."""
    columns = st.columns([2.8, 1.6, 1.8, 2.2, 1.4], vertical_alignment="bottom")
    text = view.text("q")
    columns[0].text_input(
        "Search",
        placeholder="a word, a promoted token, a label, a parcel, a note",
        help="In words, labels and notes all words must occur somewhere; in contexts the text as it is written, spaces included.",
        icon=":material/search:",
        **view.widget("q", text, ""),
    )
    place = view.choice("in", (LISTS, CONTEXTS), LISTS)
    columns[1].selectbox("In", (LISTS, CONTEXTS), **view.widget("in", place, LISTS))
    labels = [ANY, *study_codebook(study).paths, UNCLEAR]
    label = view.choice("label", labels, ANY)
    columns[2].selectbox(
        "Agreed label", labels, format_func=_label_name, help="A label stands for those below it too.", **view.widget("label", label, ANY)
    )
    with columns[3]:
        order = _order(view, table)
    with columns[4], st.popover(_more_name(view), width="stretch"):
        more = _more(view, study, table)
    try:
        searched = text if place == LISTS else ""
        among = _among(study, text if place == CONTEXTS else "", view)
        rows = table.filtered(Filter(text=searched, label=None if label == ANY else label, among=among, **more), feature_data.notes_text(study))
    except InputError as error:
        st.error(plain(error), icon=":material/filter_alt_off:")
        rows = table.rows
    return in_order(rows, *order)


def in_order(rows: pd.DataFrame, sort: str, backwards: bool) -> pd.DataFrame:
    """Rows sorted by a column, ``backwards`` from what is usual for it; those without a value last."""
    ascending = (sort in ASCENDING) != backwards
    if sort == "feature":
        return rows.sort_index(ascending=ascending)
    return rows.sort_values(sort, ascending=ascending, kind="stable", na_position="last")


def default_sort(table: FeatureTable) -> str:
    """What the list is sorted by before anything is chosen."""
    return "parcel_r" if "parcel_r" in table.rows else "feature"


def _order(view: View, table: FeatureTable) -> tuple[str, bool]:
    names = {**SORTS, **{name: f"Label by {name}" for name in table.annotators}}
    sorts = [name for name in names if name == "feature" or name in table.rows]
    sort = view.choice("sort", sorts, default_sort(table))
    backwards = view.flag("backwards", False)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox("Sort by", sorts, format_func=names.__getitem__, **view.widget("sort", sort, default_sort(table)))
        st.button(
            "Turn round",
            icon=":material/arrow_upward:" if (sort in ASCENDING) != backwards else ":material/arrow_downward:",
            help="Low first, or high first.",
            on_click=view.set,
            args=("backwards", not backwards, False),
            width=44,
            key="turn round",
        )
    return sort, backwards


def _more_name(view: View) -> str:
    active = sum(view.given(name) for name in (*MORE, "area"))
    return f"More ({active})" if active else "More"


def _more(view: View, study: Study, table: FeatureTable) -> dict[str, Any]:
    """Filters that few people need at once."""
    low = view.choice("from", DENSITIES, DENSITIES[0])
    high = view.choice("to", DENSITIES, DENSITIES[-1])
    percent = {density: f"{100 * float(density):g}%" for density in DENSITIES}
    pair = st.columns(3)
    pair[0].selectbox(
        "Density from",
        DENSITIES,
        format_func=percent.__getitem__,
        help="Share of tokens at which a feature is active.",
        **view.widget("from", low, DENSITIES[0]),
    )
    pair[1].selectbox("to", DENSITIES, format_func=percent.__getitem__, **view.widget("to", high, DENSITIES[-1]))
    least = view.number("least", 0.0, 1e6, 0.0)
    pair[2].number_input("Activation from", min_value=0.0, help="Greatest activation of the feature.", **view.widget("least", least, 0.0))
    parcels = [ANY, *sorted({name for _, name in study_atlas(study).parcels})]
    wide, narrow = st.columns([2, 1])
    parcel = view.choice("parcel", parcels, ANY)
    wide.selectbox("Best parcel", parcels, help="In either hemisphere.", **view.widget("parcel", parcel, ANY))
    least_r = view.number("least_r", -1.0, 1.0, -1.0)
    narrow.number_input("its r from", min_value=-1.0, max_value=1.0, step=0.05, **view.widget("least_r", least_r, -1.0))
    agree = view.choice("agree", AGREEMENT, ANY)
    st.segmented_control(
        "Annotators agree",
        AGREEMENT,
        required=True,
        help="Whether all annotators give the same label.",
        **view.widget("agree", agree, ANY),
    )
    saved = [ANY, *saved_lists(study)]
    chosen = view.choice("list", saved, ANY)
    st.selectbox("Saved list", saved, help="Save one below the list.", **view.widget("list", chosen, ANY))
    mine: Collection[int] = ()
    if people := feature_people.people(study):
        who = view.choice("unlabelled", [NOBODY, *people], NOBODY)
        st.selectbox("Not labelled yet by", [NOBODY, *people], **view.widget("unlabelled", who, NOBODY))
        mine = () if who == NOBODY else feature_people.labelled(study, who)
    where = view.text("where", longest=500)
    st.text_input(
        "Condition (SQL)",
        placeholder="density < 0.01 and parcel like 'left%' and max > 2 * mean",
        help=f"What would stand after WHERE. Columns: {', '.join(['feature', *(name for name in FILTERED if name in table.rows)])}.",
        **view.widget("where", where, ""),
    )
    if view.given("area"):
        st.button("Forget the area chosen on the map of features", icon=":material/deselect:", on_click=view.set, args=("area", None))
    return {
        "density": (float(low), float(high)),
        "largest": (least, np.inf),
        "parcel": None if parcel == ANY else parcel,
        "r": None if least_r <= -1 else (least_r, 1.0),
        "agree": None if agree == ANY else agree == "yes",
        "without": mine,
        "expert": where,
    }


def _among(study: Study, searched: str, view: View) -> Collection[int] | None:
    """Features of the saved list, of the area on the map and with the text in their contexts, as far as these are asked for."""
    sets = []
    if (name := view.text("list", ANY)) != ANY:
        sets.append(read_list(study, name))
    if (area := view.text("area", longest=1000)) and (layout := feature_data.layout(study)) is not None:
        sets.append(layout["feature"].to_numpy()[inside(layout[["x", "y"]].to_numpy(), parse_area(area))])
    if searched.strip():
        sets.append(feature_data.context_search(study).features(searched))
    if not sets:
        return None
    return set.intersection(*(set(found.tolist()) for found in sets))


def _label_name(label: str) -> str:
    return label if label in (ANY, UNCLEAR) else category(label)
