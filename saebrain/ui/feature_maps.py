"""A feature on the cortex: correlation, t over subjects, weight and contribution, in the viewer, for all features of the list."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import streamlit as st

from saebrain.maps import group_t, significant
from saebrain.pipeline.cortical import reach
from saebrain.pipeline.feature_table import FeatureTable
from saebrain.pipeline.space import study_space
from saebrain.study import Study
from saebrain.surface.render import round_end
from saebrain.ui import data, surface
from saebrain.ui.frame import export_name, link, part
from saebrain.ui.selection import View
from saebrain.ui.surface import SurfaceActs
from saebrain.ui.text import MEAN, signed, whose
from saebrain.ui.viewer.component import Leaves
from saebrain.ui.viewer.payload import ValueMap

KINDS = {"r": "correlation", "t": "t over subjects", "weight": "model weight", "share": "share of variance"}
Q = 0.05
_EXPLAINED = {
    "r": "Correlation of the feature's course, pooled over words and convolved with a haemodynamic response, with the response of every vertex; "
    "mean over runs. A description: nothing is held out.",
    "t": "Student's t of the correlation over subjects. With few subjects it is large by chance in many places; no threshold is applied.",
    "weight": "What the encoding model of all features, fitted to all runs, multiplies the feature's course with; sum over delays. "
    "Features with similar courses share their weights between them.",
    "share": "Which share of a vertex' variance the feature's part of that model's prediction accounts for (product measure). "
    "With thousands of features each has little.",
}
_LABELS = {"r": "Pearson r", "t": "t", "weight": "weight (s.d. of the response per unit of the course)", "share": "share of variance"}


@part
def show(view: View, study: Study, table: FeatureTable, rows: pd.DataFrame, number: int) -> None:
    """The feature's map; the viewer leafs through the features of the list, but for dead ones."""
    st.subheader("Where on the cortex", anchor=False)
    subjects = data.mapper(study).subjects
    kind, subject, masked = _controls(view, subjects)
    shown = _map(study, table, kind, subject, masked, number)
    if np.isnan(shown.values).all():
        st.info("This feature does not vary within any run, so it has no map.", icon=":material/block:")
    leaves = Leaves(
        prefix=f"{data.short_stamp(study)} feature {kind} {subject} {masked} ",
        order=[str(int(each)) for each in rows.index[rows["active"] > 0]],
        title=lambda name: f"Feature {name}",
        make=lambda name: _map(study, table, kind, subject, masked, int(name)),
    )
    acts = SurfaceActs(view, flip=lambda name: view.set("feature", int(name)))
    maps = data.feature_map(study, number)

    def read(vertex: int) -> str:
        each = ", ".join(f"{name} {signed(r, 4)}" for name, r in zip(subjects, maps[:, vertex], strict=True))
        own = "" if kind == "r" else f"{_LABELS[kind].split(' (')[0]} = {signed(shown.values[vertex], 4)}; "
        return f"{own}r = {signed(maps[:, vertex].mean(), 4)} (mean over subjects); {each}"

    space = study_space(study)
    look = surface.show(space, "feature map", view, leaves, str(number), shown, acts, read, lambda vertex: best_here(study, vertex, subject))
    significance = f" Shown where p, against shifted courses, has a false discovery rate of at most {Q:g}." if masked else ""
    st.caption(f"{_EXPLAINED[kind]}{significance} Colours have the same range for all features." if kind == "r" else _EXPLAINED[kind])
    simulated = " (simulated responses)" if study.simulated else ""
    stem = export_name(study, f"feature-{number}", kind, *(["fdr"] if masked else []), subject)
    surface.downloads(space, shown, look, stem=stem, title=f"Feature {number}, {shown.label}{simulated}")


def best_here(study: Study, vertex: int, subject: str) -> None:
    """The features whose r at a vertex is furthest from 0, as links."""
    best = data.vertex_features(study).best(vertex, None if subject == MEAN else subject)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Best features here:", width="content")
        for row in best.itertuples():
            link("features", f"{row.feature} ({signed(row.r)})", feature=str(row.feature), vertex=str(vertex))


def _controls(view: View, subjects: list[str]) -> tuple[str, str, bool]:
    """Kind of map, subject, and whether only what is significant is shown."""
    kind = view.choice("map", list(KINDS), "r")
    subject = view.choice("subject", [MEAN, *subjects], MEAN)
    masked = view.flag("fdr", False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Map", list(KINDS), format_func=KINDS.__getitem__, width=170, **view.widget("map", kind, "r"))
        if kind != "t":
            st.segmented_control("Subject", [MEAN, *subjects], format_func=whose, required=True, **view.widget("subject", subject, MEAN))
        if kind == "r":
            about = f"False discovery rate of at most {Q:g} over vertices; p from 200 circular shifts of the feature's course within its runs."
            st.toggle("Only FDR-significant", help=about, **view.widget("fdr", masked, False))
    return kind, MEAN if kind == "t" else subject, masked and kind == "r"


def _map(study: Study, table: FeatureTable, kind: str, subject: str, masked: bool, number: int) -> ValueMap:
    """One feature's map of some kind."""
    maps, subjects = data.feature_map(study, number), data.mapper(study).subjects
    name, label = f"Feature {number}", f"{_LABELS[kind]}, {whose(subject)}" if kind != "t" else "t over subjects"
    if kind == "t":
        values = group_t(maps)
        return ValueMap(name, values, label, round_end(values))
    if kind in ("weight", "share"):
        chosen = subjects if subject == MEAN else [subject]
        values = np.mean([data.feature_weight(study, number, kind, each) for each in chosen], axis=0)
        return ValueMap(name, values, label, round_end(values))
    values = maps.mean(axis=0) if subject == MEAN else maps[subjects.index(subject)]
    if not masked:
        return ValueMap(name, values, label, _reach(table))
    each, mean = data.feature_null(study, number)
    kept = significant(values, mean if subject == MEAN else each[subjects.index(subject)], Q)
    return only(ValueMap(name, values, f"{label}, q ≤ {Q:g}", _reach(table)), kept)


def only(shown: ValueMap, kept: np.ndarray) -> ValueMap:
    """The map where ``kept``; elsewhere the folds are shown."""
    values = np.where(kept | np.isnan(shown.values), shown.values, np.float32(0))
    least = float(np.abs(values[kept]).min(initial=np.inf))
    return ValueMap(shown.name, values, shown.label, shown.reach, shown.sides, floor=least / 2 if math.isfinite(least) else shown.reach)


def _reach(table: FeatureTable) -> float:
    """One colour range for the maps of r of all features of a study."""
    return reach(table.rows["parcel_r"].to_numpy(float), percentile=98) if "parcel_r" in table.rows else 0.3
