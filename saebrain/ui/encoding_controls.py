"""Which features enter the model: the tree of categories, saved lists, filters, and the selection as text."""

from __future__ import annotations

import streamlit as st

from saebrain.errors import InputError
from saebrain.pipeline.feature_lists import saved_lists
from saebrain.pipeline.live import feature_counts
from saebrain.pipeline.selection import ALL, LIST, NUISANCE, canonical, study_codebook
from saebrain.study import Study
from saebrain.taxonomy import SEMANTIC, Codebook
from saebrain.ui import encoding_data as data
from saebrain.ui.encoding_choice import Choice
from saebrain.ui.selection import View
from saebrain.ui.text import plain

LONGEST = 4000
ANY = "any"
DENSITIES = (ANY, "0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1", "0.3")
CORRELATIONS = (ANY, "0.05", "0.1", "0.15", "0.2", "0.3")
_INDENT_PX = 16


def default(codebook: Codebook) -> str:
    """What is picked as long as nobody has picked anything."""
    return SEMANTIC if SEMANTIC in codebook.paths else ALL


def choose(view: View, study: Study) -> str | None:
    """Draw the controls; returns the selection in its canonical form, None if nothing is picked, or what is written is not understood."""
    codebook = study_codebook(study)
    written = view.text("pick", default(codebook), longest=LONGEST).strip()
    selection: str | None = None
    problem: InputError | None = None
    try:
        selection = canonical(written, codebook) if written else None
    except InputError as error:
        problem = error
    choice = Choice.of(selection or "") if problem is None else None
    _tree(view, study, codebook, choice)
    _lists(view, study, codebook, choice)
    _layers(view, study, codebook, choice)
    _filters(view, codebook, choice)
    with st.expander("As text", expanded=choice is None):
        st.text_area(
            "Selection",
            key=_held("encoding text", written),
            on_change=lambda: _set(view, codebook, st.session_state["encoding text"].strip()),
            height=100,
            help="Sets joined by + (either) and & (both), which binds closer: semantic/place, all, nuisance, features:12,15, list:NAME, "
            "density<0.01, r>0.1. A set is taken at the layer shown; semantic@5 is that of layer 5.",
        )
    if problem is not None:
        st.error(plain(problem), icon=":material/error:")
    elif choice is None:
        st.caption("This selection says more than the boxes can show. Ticking a box begins a new one.")
    elif selection is None:
        st.info("No feature is picked: tick a category.", icon=":material/check_box_outline_blank:")
    return selection


def _set(view: View, codebook: Codebook, text: str) -> None:
    """Another selection; a recorded run that was open is left."""
    view.set("run", None)
    view.set("pick", text, default(codebook))


def _tree(view: View, study: Study, codebook: Codebook, choice: Choice | None) -> None:
    labels = data.labels(study)
    counts = feature_counts(labels, codebook)
    now = choice or Choice(frozenset())
    with st.container(gap=None):
        _box(view, codebook, now, ALL, f"**All features** · {len(labels):,}", 0)
        for path in codebook.paths:
            _box(view, codebook, now, path, f"{plain(codebook[path].name)} · {counts[path]:,}", path.count("/") + 1)
    with st.container(horizontal=True, gap="small"):
        for label, text, what in (
            ("None", "", "Untick everything."),
            ("Nuisance alone", NUISANCE, "The model without features: word rate, word length, word frequency, surprisal."),
        ):
            st.button(label, on_click=_set, args=(view, codebook, text), type="tertiary", help=what)


def _box(view: View, codebook: Codebook, choice: Choice, path: str, label: str, depth: int) -> None:
    within = choice.within(path) and path != ALL
    key = _held(f"encoding box {path}", within or path in choice.sets)

    def ticked() -> None:
        _set(view, codebook, choice.with_set(path, st.session_state[key]).text)

    help_ = "Part of what is ticked above it; untick that to choose." if within else None if path == ALL else plain(codebook[path].definition)
    with st.container(horizontal=True, gap=None):
        if depth:
            st.space(depth * _INDENT_PX)
        st.checkbox(label, key=key, on_change=ticked, disabled=within, help=help_)


def _lists(view: View, study: Study, codebook: Codebook, choice: Choice | None) -> None:
    names = saved_lists(study)
    if not names:
        return
    now = choice or Choice(frozenset())
    key = _held("encoding lists", [name for name in names if LIST + name in now.sets])

    def changed() -> None:
        _set(view, codebook, now.with_lists(st.session_state[key]).text)

    st.multiselect("Saved lists", names, key=key, on_change=changed, placeholder="Choose some")


def _layers(view: View, study: Study, codebook: Codebook, choice: Choice | None) -> None:
    """Layers at which what is picked is taken, those of the address first: the study's own one needs no number."""
    if len(study.layers) == 1:
        return
    now = choice or Choice(frozenset())
    key = _held("encoding layers", sorted(study.layer if layer is None else layer for layer in now.layers))

    def changed() -> None:
        chosen = [None if layer == study.layer else layer for layer in st.session_state[key]]
        _set(view, codebook, now.with_layers(chosen).text)

    st.multiselect("Layers", study.layers, key=key, on_change=changed, help="Features of several layers together in one model.")


def _filters(view: View, codebook: Codebook, choice: Choice | None) -> None:
    now = choice or Choice(frozenset())
    with st.expander("Filters", expanded=bool(now.filters)):
        first, second = st.columns(2)
        with first:
            _limit(view, codebook, now, "density>=", "Density from", DENSITIES)
        with second:
            _limit(view, codebook, now, "density<=", "to", DENSITIES)
        _limit(view, codebook, now, "r>=", "r with the best parcel from", CORRELATIONS)
        if now.limit("r>="):
            st.warning("Circular: features are chosen by the responses that they then predict. Good for a look only.", icon=":material/cached:")


def _limit(view: View, codebook: Codebook, choice: Choice, kind: str, label: str, options: tuple[str, ...]) -> None:
    value = choice.limit(kind) or ANY
    key = _held(f"encoding limit {kind}", value)

    def changed() -> None:
        chosen = st.session_state[key]
        _set(view, codebook, choice.with_limit(kind, None if chosen == ANY else chosen).text)

    shown = [*options, *([] if value in options else [value])]
    st.selectbox(label, shown, key=key, on_change=changed)


def _held(key: str, value: object) -> str:
    """A widget's key, its state brought up to date with the address."""
    if st.session_state.get(key) != value:
        st.session_state[key] = value
    return key
