"""The cortex page: controls, one selection's map, and the map of the best category."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd
import streamlit as st

from saebrain.pipeline import cortical
from saebrain.pipeline.selection import ALL, NUISANCE, study_codebook
from saebrain.pipeline.space import study_space
from saebrain.study import Study
from saebrain.surface.colour import QUALITATIVE
from saebrain.ui import data, feature_maps, plots, surface
from saebrain.ui.frame import export_name, link, part
from saebrain.ui.selection import View
from saebrain.ui.surface import SurfaceActs
from saebrain.ui.text import MEAN, category, plain, signed, whose
from saebrain.ui.viewer.component import Leaves
from saebrain.ui.viewer.payload import CategoryMap, ValueMap

SHOWN = {"selection": "One selection of features", "categories": "The best subcategory"}
PARTS = {"whole": "whole prediction", "features": "its features' part"}
_NAMES = {
    ALL: "all features",
    NUISANCE: "nuisance alone",
    "all-minus-nuisance": "all features − nuisance alone",
    "semantic-minus-nuisance": "semantic − nuisance alone",
}
DEFAULT_THRESHOLD = {"selection": 0.0, "categories": 0.1}


@dataclass(frozen=True)
class Controls:
    """What the controls are set to."""

    show: str
    selection: str
    part: cortical.Part
    subject: str | None
    subjects: list[str]

    @property
    def whose(self) -> str:
        return whose(self.subject or MEAN)


def selection_name(selection: str) -> str:
    """A selection as people read it."""
    return _NAMES.get(selection, category(selection))


def controls(view: View, study: Study) -> Controls:
    """Draw the controls and read them."""
    subjects = data.selection_map(study, ALL).subjects
    options = cortical.available(study)
    show = view.choice("show", list(SHOWN), "selection")
    chosen = view.choice("select", [*options, *study_codebook(study).paths], ALL)
    part = view.choice("part", list(PARTS), "whole")
    subject = view.choice("subject", [MEAN, *subjects], MEAN)
    st.segmented_control(
        "Show", list(SHOWN), format_func=SHOWN.__getitem__, required=True, label_visibility="collapsed", **view.widget("show", show, "selection")
    )
    first = st.columns(3)
    place = first[2] if show == "selection" else first[0]
    if show == "selection":
        if chosen not in options:
            options = [*options, chosen]
        first[0].selectbox("Features", options, format_func=selection_name, **view.widget("select", chosen, ALL))
        first[1].selectbox(
            "r of",
            list(PARTS),
            format_func=PARTS.__getitem__,
            disabled=not cortical.has_parts(chosen),
            help="Every model has nuisance bands beside its features. Their part of the prediction can be left out.",
            **view.widget("part", part, "whole"),
        )
    place.selectbox("Subject", [MEAN, *subjects], format_func=whose, **view.widget("subject", subject, MEAN))
    effective: cortical.Part = "features" if part == "features" and cortical.has_parts(chosen) else "whole"
    return Controls(show, chosen, effective, None if subject == MEAN else subject, subjects)


@part
def selection(view: View, study: Study, controls: Controls) -> None:
    """The map of one selection or difference, its parcels, its exports. The viewer leafs through all that have a result."""
    found = data.selection_map(study, controls.selection, controls.part)
    if found.absent is not None:
        st.warning(f"Nothing to show: {plain(found.absent)}", icon=":material/hide_source:")
    leaves = Leaves(
        prefix=f"{data.short_stamp(study)} {controls.part} {controls.subject or MEAN} ",
        order=[name for name in cortical.available(study) if name == controls.selection or cortical.is_computed(study, name)],
        title=selection_name,
        make=lambda name: _map(study, controls, name),
    )
    acts = SurfaceActs(view, flip=partial(view.set, "select", default=ALL))
    shown = leaves.make(controls.selection)
    assert isinstance(shown, ValueMap)
    look = surface.show(
        study_space(study),
        "cortex map",
        view,
        leaves,
        controls.selection,
        shown,
        acts,
        _reads(study, controls),
        lambda vertex: feature_maps.best_here(study, vertex, controls.subject or MEAN),
    )
    st.caption(_explanation(found, controls))
    name = selection_name(controls.selection)
    simulated = " (simulated responses)" if study.simulated else ""
    stem = export_name(study, controls.selection.replace("/", "-"), controls.part, controls.subject or MEAN)
    surface.downloads(study_space(study), shown, look, stem=stem, title=f"{name[0].upper()}{name[1:]}{simulated}")
    st.subheader("Parcels", anchor=False)
    parcels = cortical.parcel_table(study, shown.values, controls.selection)
    chart, table = st.columns(2, gap="large")
    with chart:
        st.vega_lite_chart(plots.parcel_chart(parcels, "Mean r over the parcel"), alt="Mean r of every parcel, left and right")
    with table:
        _parcels(parcels, stem)
        if controls.selection in study_codebook(study).paths:
            link("features", f"Features labelled {name}", icon=":material/blur_on:", label=controls.selection)


def _map(study: Study, controls: Controls, selection: str) -> ValueMap:
    """One selection's map; the part that the controls ask for, where it has parts."""
    part: cortical.Part = controls.part if cortical.has_parts(selection) else "whole"
    values = data.selection_map(study, selection, part).of(controls.subject)
    difference = selection in cortical.DIFFERENCES
    label = "Difference in r" if difference else f"r of the {'features’ part' if part == 'features' else 'whole prediction'}"
    reach = cortical.reach(values) if difference else data.shared_reach(study)
    return ValueMap(selection_name(selection), values, f"{label}, {controls.whose}", reach)


def _reads(study: Study, controls: Controls) -> Callable[[int], str]:
    """What the exact values at a vertex are, in words."""

    def read(vertex: int) -> str:
        r = data.selection_map(study, controls.selection, controls.part).r[:, vertex]
        each = ", ".join(f"{subject} {signed(value, 4)}" for subject, value in zip(controls.subjects, r, strict=True))
        return f"r = {signed(r.mean(), 4)} (mean over subjects); {each}"

    return read


@part
def categories(view: View, study: Study, controls: Controls) -> None:
    """Which subcategory predicts each vertex best, its exports, and how often that is where the codebook predicts."""
    shown = _best(study, controls.subject)
    leaves = Leaves(
        prefix=f"{data.short_stamp(study)} best ",
        order=[MEAN, *controls.subjects],
        title=lambda subject: f"Best subcategory, {whose(subject)}",
        make=lambda subject: _best(study, None if subject == MEAN else subject),
    )
    acts = SurfaceActs(view, flip=partial(view.set, "subject", default=MEAN), threshold=DEFAULT_THRESHOLD["categories"])
    look = surface.show(study_space(study), "cortex categories", view, leaves, controls.subject or MEAN, shown, acts, partial(_winner, shown))
    st.caption(
        "Colour: the semantic subcategory with the largest r of its features' part of the prediction, in the held-out run, mean over runs; "
        f"{controls.whose}. "
        "The largest of several is chosen at every vertex, so near the threshold the winner is often chance."
    )
    simulated = " (simulated responses)" if study.simulated else ""
    stem = export_name(study, "best-subcategory", controls.subject or MEAN)
    surface.downloads(study_space(study), shown, look, stem=stem, title=f"Best subcategory, {controls.whose}{simulated}")
    best = cortical.best_category(study, controls.subject, look.threshold)
    st.subheader("Is each subcategory best where the codebook predicts it?", anchor=False)
    table = cortical.best_category_table(study, best)
    st.dataframe(
        table.assign(category=shown.names).round(2),
        hide_index=True,
        column_config={
            "category": "Subcategory",
            "vertices": st.column_config.NumberColumn("Vertices won", format="%d"),
            "in_predicted": st.column_config.ProgressColumn(
                "of these in its predicted parcels", format="percent", min_value=0, max_value=1, color="blue"
            ),
            "expected": st.column_config.ProgressColumn(
                "share of those parcels in the cortex", format="percent", min_value=0, max_value=1, color="gray"
            ),
        },
        alt="Vertices that each subcategory predicts best",
    )
    st.caption("If vertices were won at random, the two shares would be about the same. Predicted parcels of different subcategories overlap.")


def _best(study: Study, subject: str | None) -> CategoryMap:
    """The winner at every vertex, whatever its r: the viewer draws those below the threshold as none."""
    best = cortical.best_category(study, subject, 0.0)
    names = [study_codebook(study)[path].name for path in best.paths]
    label = f"Subcategory with the largest r, {whose(subject or MEAN)}"
    return CategoryMap(
        f"Best subcategory, {whose(subject or MEAN)}", best.index, best.r, names, QUALITATIVE[: len(names)], "none reaches r = {}", label
    )


def _winner(shown: CategoryMap, vertex: int) -> str:
    winner = shown.names[shown.index[vertex]] if shown.index[vertex] >= 0 else "none above 0"
    return f"{winner}, r = {signed(shown.values[vertex], 4)}"


def _explanation(found: cortical.CorticalMap, controls: Controls) -> str:
    held_out = "r: correlation of prediction and response in the held-out run, mean over runs. "
    if controls.selection in cortical.DIFFERENCES:
        return held_out + "The difference is what the features add to the nuisance bands (word rate, word length, word frequency, surprisal)."
    what = (
        f"{found.n_features:,} features and the nuisance bands"
        if found.n_features
        else "Nuisance bands only: word rate, word length, word frequency, surprisal"
    )
    return f"{what}. {held_out}Colours have the same range for all selections. No test of significance is applied."


def _parcels(parcels: pd.DataFrame, stem: str) -> None:
    ordered = parcels.sort_values("r", ascending=False, na_position="last")
    st.dataframe(
        ordered,
        hide_index=True,
        height=640,
        column_order=["hemisphere", "parcel", "r", "predicted", "vertices"],
        column_config={
            "hemisphere": st.column_config.TextColumn("Side", width=50),
            "parcel": st.column_config.TextColumn("Parcel", width=170),
            "r": st.column_config.NumberColumn("r", format="%.3f", width=55, help="Mean over the parcel's vertices."),
            "predicted": st.column_config.CheckboxColumn("Predicted", width=75, help="Whether the codebook predicts this parcel for the selection."),
            "vertices": st.column_config.NumberColumn("Vertices", format="%d", width=70),
        },
        alt="Mean r of every parcel",
    )
    st.download_button(
        "Parcels (CSV)",
        lambda: ordered.to_csv(index=False).encode(),
        f"{stem}_parcels.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
    )
