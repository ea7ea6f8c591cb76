"""The frame of every page: opens the study, draws the sidebar, and says in one line what is missing or wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec

import numpy as np
import streamlit as st

from saebrain.errors import MissingStepError, SaebrainError
from saebrain.pipeline.state import commands_for
from saebrain.study import Study, default_folder
from saebrain.surface.colour import QUALITATIVE
from saebrain.surface.marks import png_url
from saebrain.ui import data, login
from saebrain.ui.selection import PAGES, View, kept, whole_page_is_due
from saebrain.ui.style import STYLE
from saebrain.ui.text import plain

FILES = {
    "overview": "app.py",
    "features": "pages/1_Features.py",
    "cortex": "pages/2_Cortex.py",
    "quality": "pages/3_SAE_quality.py",
    "encoding": "pages/4_Encoding.py",
    "topography": "pages/5_Topography.py",
    "annotate": "pages/6_Annotate.py",
    "adjudicate": "pages/7_Adjudicate.py",
    "agreement": "pages/8_Agreement.py",
    "text": "pages/9_Your_text.py",
}
TITLES = {
    "overview": "Overview",
    "features": "Features",
    "cortex": "Cortex",
    "quality": "SAE quality",
    "encoding": "Encoding",
    "topography": "Topography",
    "annotate": "Annotate",
    "adjudicate": "Adjudicate",
    "agreement": "Agreement",
    "text": "Your text",
}
_ICONS = {
    "overview": ":material/overview:",
    "features": ":material/blur_on:",
    "cortex": ":material/neurology:",
    "quality": ":material/monitoring:",
    "encoding": ":material/tune:",
    "topography": ":material/grid_on:",
    "annotate": ":material/label:",
    "adjudicate": ":material/gavel:",
    "agreement": ":material/handshake:",
    "text": ":material/edit_note:",
}
P = ParamSpec("P")
SIMULATED = "Simulated responses"
SIDEBAR_WIDTH = 260


@contextmanager
def frame(page: str) -> Iterator[Study]:
    """Draw what all pages share and give the open study to the block.

    An error of saebrain that ends the block is shown on the page; for a missing result, with the commands that make it.
    """
    name = TITLES[page]
    st.set_page_config(page_title=f"{name} · saebrain", page_icon=_icon(), layout="wide", initial_sidebar_state=SIDEBAR_WIDTH)
    st.html(STYLE)
    study = None
    try:
        study = Study.open(default_folder())
    except SaebrainError as error:
        _links()
        st.title(name)
        _explain(error, study)
        st.stop()
    study = _at_layer(page, study)
    _sidebar(study)
    with explained(study):
        login.gate(study)
        yield study


@contextmanager
def explained(study: Study) -> Iterator[None]:
    """Show an error of saebrain that ends the block where it happened."""
    try:
        yield
    except SaebrainError as error:
        _explain(error, study)


def part(draw: Callable[Concatenate[View, Study, P], None]) -> Callable[Concatenate[View, Study, P], None]:
    """A part of a page that can be drawn again by itself (a fragment), unless the rest of the page has changed, too.

    Its errors do not leave it, so it explains them as `frame` does.
    """

    @st.fragment
    @wraps(draw)
    def drawn(view: View, study: Study, /, *args: P.args, **options: P.kwargs) -> None:
        if whole_page_is_due():
            st.rerun()
        with explained(study):
            draw(view.inside(), study, *args, **options)

    return drawn


def heading(title: str, study: Study) -> None:
    """Title of a page, with a badge if what it shows is simulated."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.title(plain(title), width="content", anchor=False)
        if study.simulated:
            st.badge(SIMULATED, icon=":material/science:", color="orange", help=simulated_sentence(study))


def simulated_sentence(study: Study) -> str:
    """What exactly is simulated."""
    section = study.config.simulation
    assert section is not None
    return (
        f"The responses of this study's {section.subjects} subjects are simulated: signals that follow words of the stimulus, planted at strength "
        f"{section.strength:g} on real resting-state BOLD. Model, features and text are real."
    )


def export_name(study: Study, *parts: str) -> str:
    """Name of an exported file, without its ending; that responses are simulated goes with it."""
    return "_".join([study.name, *(["simulated"] if study.simulated else []), *parts])


def link(page: str, text: str, /, *, icon: str | None = None, **query: str) -> None:
    """A link to a page; with a query, to that very view."""
    st.page_link(FILES[page], label=text, icon=icon, query_params=query or None)


@lru_cache(maxsize=1)
def _icon() -> str:
    """The icon in the browser's tab, drawn here: Streamlit would fetch one of its own from elsewhere."""
    icon = np.zeros((32, 32, 4), np.uint8)
    y, x = np.mgrid[:32, :32]
    for number, colour in enumerate(QUALITATIVE[:4]):
        inside = np.hypot(x - (8 + 15 * (number % 2)), y - (8 + 15 * (number // 2))) <= 6.5
        icon[inside] = [*colour, 255]
    return png_url(icon)


def _links() -> None:
    with st.sidebar:
        st.markdown("### saebrain")
        for page in PAGES:
            st.page_link(FILES[page], label=TITLES[page], icon=_ICONS[page], query_params=kept(page) or None)


def _at_layer(page: str, study: Study) -> Study:
    """The study at the layer that the address names; a study of several layers lets the reader choose."""
    _links()
    if len(study.layers) == 1:
        return study
    view, layers, main = View(page), [str(layer) for layer in study.layers], str(study.main_layer)
    chosen = view.choice("layer", layers, main)
    with st.sidebar:
        what = "Layer of the language model whose features are shown. All pages keep it."
        st.radio("Layer", layers, horizontal=True, help=what, **view.widget("layer", chosen, main))
    return study.at(int(chosen))


def _sidebar(study: Study) -> None:
    with st.sidebar:
        st.divider()
        st.markdown(f"**{plain(study.config.title)}**")
        st.caption(f"Study `{study.name.replace('`', '')}` · layer {study.layer} · {len(study.run_names)} runs")
        if study.simulated:
            st.caption(
                f":orange-badge[:material/science: {SIMULATED}]  \nSignals planted on real resting-state BOLD. Model, features and text are real."
            )
        if data.outdated(study):
            st.caption(
                ":red-badge[:material/update: Out of date]  \nstudy.toml or an input file has changed since these results were computed. "
                "They are shown as they were; the overview lists the commands that renew them."
            )


def _explain(error: SaebrainError, study: Study | None) -> None:
    if not isinstance(error, MissingStepError):
        st.error(plain(error), icon=":material/error:")
        return
    commands = commands_for(study, error.command) if study is not None else [error.command]
    st.warning(f"**Not computed yet:** {plain(error.what)}", icon=":material/hourglass_empty:")
    st.markdown("Run this in a terminal, in the folder of saebrain, and reload the page:")
    st.code("\n".join(commands), language="bash")
