"""The encoding page: which features, the cortex's answer, and what it is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from saebrain.errors import InputError
from saebrain.pipeline import live, runs
from saebrain.pipeline.cortical import reach
from saebrain.pipeline.live import Answer
from saebrain.pipeline.results import read_result
from saebrain.pipeline.runs import Run
from saebrain.pipeline.space import study_space
from saebrain.pipeline.state import check
from saebrain.study import Study
from saebrain.ui import (
    cortex,
    encoding_compare,
    encoding_controls,
    encoding_jobs,
    encoding_layers,
    encoding_parcels,
    encoding_runs,
    encoding_statistics,
)
from saebrain.ui import data as pages_data
from saebrain.ui import encoding_data as data
from saebrain.ui.encoding_data import Shown
from saebrain.ui.encoding_jobs import Work
from saebrain.ui.frame import export_name
from saebrain.ui.selection import View
from saebrain.ui.text import MEAN, plain, whose

PARTS = {"whole": "whole prediction", "features": "features' part"}
SECTIONS: dict[str, tuple[str, Callable[[View, Study, Shown | None, Run | None], None]]] = {
    "parcels": ("Parcels", encoding_parcels.show),
    "compare": ("Compare", encoding_compare.show),
    "statistics": ("Statistics", encoding_statistics.show),
    "layers": ("Layers", encoding_layers.show),
    "runs": ("Recorded runs", encoding_runs.show),
}


def show(view: View, study: Study, started: float) -> None:
    """Draw the page; ``started`` is when the click arrived, by `time.perf_counter`."""
    for step in ("labels", "responses"):
        check(study, step)
    left, right = st.columns([1.2, 3], gap="large")
    with left:
        st.subheader("Features", anchor=False)
        selection = encoding_controls.choose(view, study)
    with right:
        run = _open_run(view, study)
        found = None
        if run is not None or selection is not None:
            try:
                found = _answer(view, study, run, selection or "", started)
            except InputError as error:
                st.error(plain(error), icon=":material/error:")
    _sections(view, study, found, run)


def _open_run(view: View, study: Study) -> Run | None:
    """The recorded run that the address names."""
    number = view.text("run")
    if not number:
        return None
    try:
        return runs.read_run(study, number)
    except InputError as error:
        st.warning(f"{plain(error)} The selection is shown as it is now.", icon=":material/link_off:")
        return None


def _answer(view: View, study: Study, run: Run | None, selection: str, started: float) -> Shown:
    """The picture, and the way to a finer one."""
    st.subheader(plain(data.named(run.selection if run else selection)), anchor=False)
    told, action = st.empty(), st.container()
    kept = None
    if run is not None:
        found = data.of_result(study, run.selection, runs.run_result(study, run))
    elif live.has_map(study, selection):
        found = data.of_result(study, selection, read_result(study, selection))
    else:
        n_features = live.count_features(study, selection, data.labels(study))
        kept = data.answer(study, selection)
        found = data.of_answer(study, selection, kept, n_features)
    _picture(view, study, found)
    told.caption(f"{_what(found, run)}  \n{_timed(time.perf_counter() - started, kept)}")
    with action:
        _next(study, found, run)
    return found


def _timed(spent: float, answer: Answer | None) -> str:
    """How long the click has taken so far, drawing included."""
    if answer is None:
        return f":material/timer: Drawn in **{spent:.2f} s**."
    again = "kept from before" if spent < answer.seconds else f"scoring took {answer.seconds:.2f} s"
    moved = f" {answer.moved:,} feature(s) had another label: only their share was computed anew." if answer.moved else ""
    return f":material/timer: Parcels answered in **{spent:.2f} s** ({again}).{moved}"


def _what(found: Shown, run: Run | None) -> str:
    features = f"{found.n_features:,} features and the nuisance bands" if found.n_features else "Nuisance bands only"
    grain = "every vertex" if found.by_vertex else "each parcel's mean response: higher than r of single vertices"
    recorded = "" if run is None else f" Recorded run **{plain(run.name)}**, {run.started[:16].replace('T', ' ')} UTC, with the labels of then."
    return f"{features}. r of {grain}, in held-out runs.{recorded}"


def _picture(view: View, study: Study, found: Shown) -> None:
    part = view.choice("part", list(PARTS), "whole")
    subjects = found.subjects
    subject = view.choice("subject", [MEAN, *subjects], MEAN)
    surface = view.choice("surface", cortex.SURFACES, cortex.SURFACES[0])
    columns = st.columns([1, 1, 1.5], gap="small", vertical_alignment="bottom")
    columns[0].selectbox("r of", list(PARTS), format_func=PARTS.__getitem__, disabled=not found.n_features, **view.widget("part", part, "whole"))
    columns[1].selectbox("Subject", [MEAN, *subjects], format_func=whose, **view.widget("subject", subject, MEAN))
    columns[2].segmented_control("Surface", cortex.SURFACES, required=True, **view.widget("surface", surface, cortex.SURFACES[0]))
    shown_part = encoding_parcels.part_of(part, found)
    values = found.values(shown_part, None if subject == MEAN else subject)
    grain = "vertices" if found.by_vertex else "parcels"
    scale = cortex.Scale(f"r of the {PARTS[shown_part]}, {grain}, {whose(subject)}", max(_shared(study), reach(values)))
    look = cortex.Look(surface, 0.0, not found.by_vertex)
    cortex.show_map(study_space(study), values, scale, look, alt=f"{scale.label}: {data.named(found.selection)}, on the cortex", rows=2)
    encoding_parcels.figures(study, found)
    stem = export_name(study, found.selection.replace("/", "-")[:60], grain, shown_part, subject)
    title = data.named(found.selection)[:60] + (" (simulated responses)" if study.simulated else "")
    cortex.map_downloads(study_space(study), values, scale, look, stem=stem, title=title)


def _shared(study: Study) -> float:
    """The colour range of all features' map, so that selections can be compared; 0 as long as that is not there."""
    return pages_data.shared_reach(study) if live.has_map(study, "all") else 0.0


def map_work(selection: str) -> Work:
    """Scoring every vertex."""
    return Work(
        "saebrain.pipeline.runs:run",
        {"selection": selection, "name": ""},
        f"Map of {data.named(selection)[:60]}",
        "Map every vertex",
        "Scores every vertex of every subject, and records the run. It goes on if you close this page.",
    )


def _next(study: Study, found: Shown, run: Run | None) -> None:
    """What can be done with an answer: map every vertex, or record the map that is there."""
    work = map_work(found.selection)
    if run is None and not found.by_vertex and live.has_map(study, found.selection):
        st.rerun()  # the map arrived while parcels were scored
    if run is None and not found.by_vertex:
        encoding_jobs.offer(study, work, place="map")
    elif run is None and not runs.recorded(study, found.selection):
        st.button(
            "Record this run",
            icon=":material/bookmark_add:",
            on_click=_record,
            args=(study, found.selection),
            help="Keeps figures and map with their provenance in the list of runs.",
        )
    encoding_jobs.others(study, work)


def _record(study: Study, selection: str) -> None:
    runs.record(study, selection)


def _sections(view: View, study: Study, found: Shown | None, run: Run | None) -> None:
    """One of the sections below the answer: only that one is computed."""
    chosen = view.choice("section", list(SECTIONS), "parcels")
    st.segmented_control(
        "Section",
        list(SECTIONS),
        format_func=lambda name: SECTIONS[name][0],
        required=True,
        label_visibility="collapsed",
        **view.widget("section", chosen, "parcels"),
    )
    if found is not None or chosen in ("layers", "runs"):
        SECTIONS[chosen][1](view, study, found, run)
