"""The annotate page: evidence on the left, the answer and the codebook on the right, everything by keyboard."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from saebrain.annotation import answers
from saebrain.annotation.answers import CONFIDENCES, HELD
from saebrain.annotation.database import the_database
from saebrain.annotation.log import Receipt
from saebrain.annotation.people import Person
from saebrain.annotation.queues import Desk, Ticket, claim, progress
from saebrain.annotation.schema import QUEUES, Queue
from saebrain.errors import SaebrainError
from saebrain.pipeline.annotating import desk, ensure_planned
from saebrain.pipeline.selection import study_codebook
from saebrain.study import Study
from saebrain.taxonomy import Codebook
from saebrain.ui import annotate_evidence, annotate_own, login
from saebrain.ui.annotate_bench import TOO_SOON_S, Bench, bench
from saebrain.ui.annotate_guidelines import guidelines
from saebrain.ui.frame import explained
from saebrain.ui.selection import View
from saebrain.ui.text import escaped, plain

EVERY = "all"
TOO_SOON = "This came right after the answer before, so it was taken for a double press. Nothing was saved."
QUEUE_NAMES = {
    "overlap": "Sample, labelled by several",
    "random": "Sample, labelled by one",
    "impact": "Best predictors",
    "disagreement": "Others differ",
    "stale": "Older codebook",
}
CONFIDENCE_KEYS = {1: "Q", 2: "W", 3: "E"}
STYLE = """
<style>
.st-key-answer { position: sticky; top: 3.6rem; max-height: calc(100vh - 4.5rem); overflow-y: auto; gap: 0.45rem; }
.st-key-kinds { gap: 0.45rem; padding-left: 1.5rem; }
.sb-receipts { font-size: 0.85rem; }
.sb-receipts div:first-child { font-weight: 600; }
.sb-guide details { padding: 0.15rem 0; border-bottom: 1px solid var(--line); }
.sb-guide details.depth1 { margin-left: 1.2rem; }
.sb-guide summary { cursor: pointer; }
.sb-guide p { margin: 0.2rem 0; }
.sb-guide ul { margin: 0 0 0.3rem 1.1rem; padding: 0; }
.sb h4 { font-size: 1rem; padding: 0.6rem 0 0.2rem; margin: 0; }
</style>
"""


def show(view: View, study: Study) -> None:
    """Draw the page."""
    st.html(STYLE)
    database = the_database(study)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        person = login.person(view, study, database)
        if person is None:
            return
        if not person.may("label"):
            st.info(f"{plain(person.name)} is {person.role}: this role sees figures and does not label.", icon=":material/visibility:")
            return
        queue = _queue(view, study, person)
    at = desk(study, database, queue)
    ensure_planned(study, at)
    _work(study, at, person)
    annotate_own.show(at, person)


def _queue(view: View, study: Study, person: Person) -> Queue | None:
    """Draw the choice of a queue; None for all, in order."""
    at = desk(study, the_database(study))
    stale = annotate_own.stale_count(at, person.name)
    there = [*progress(at)["queue"], *(["stale"] if stale else [])]
    options = [EVERY, *(name for name in QUEUE_NAMES if name in there)]
    chosen = view.choice("queue", options, EVERY)
    titles = {EVERY: "All, in order", **QUEUE_NAMES}
    st.selectbox("Queue", options, format_func=titles.__getitem__, width=280, **view.widget("queue", chosen, EVERY))
    if stale and chosen != "stale":
        st.badge(f"{stale:,} of your labels are of an older codebook", icon=":material/update:", color="orange")
    return next((name for name in QUEUES if name == chosen), None)


@st.fragment
def _work(study: Study, at: Desk, person: Person) -> None:
    """One feature and the answer to it; the only part of the page that is drawn again at a key."""
    with explained(study):
        tickets = claim(at, person.name, count=HELD)
        _feature(study, at, person, tickets)


def _feature(study: Study, at: Desk, person: Person, tickets: list[Ticket]) -> None:
    """The first of the tickets; what is shown of the others is gathered ahead."""
    state, codebook = bench(at, person.name), study_codebook(study)
    left, right = st.columns([3, 2], gap="large")
    with right, st.container(key="answer"):
        if tickets:
            state.show(tickets[0])
            _answer(study, at, person, state, tickets[0], codebook)
        else:
            st.success("Nothing is left to label here.", icon=":material/done_all:")
            _undo_button(at, person, state)
        receipts = st.container()
        if tickets:
            opened = tuple(codebook.children(state.top)) if state.top else ()
            st.html(guidelines(codebook, opened))
    if tickets:
        with left:
            annotate_evidence.draw(study, annotate_evidence.gathered(study, tickets[0].feature))
    with receipts:
        _receipts(study, at, person, state)
    for ticket in tickets[1:]:
        annotate_evidence.gathered(study, ticket.feature)


def _answer(study: Study, at: Desk, person: Person, state: Bench, ticket: Ticket, codebook: Codebook) -> None:
    """The buttons; each has a key, and the ticket in its name, so that a late click on an old one cannot answer the next feature."""
    name = f"{ticket.slot} {ticket.turn}"
    if state.problem:
        st.warning(plain(state.problem), icon=":material/warning:")
        state.problem = None

    def button(text: str, key: str, act: Callable[[], None], *, shortcut: str | None, chosen: bool = False, about: str | None = None) -> None:
        st.button(text, key=f"{key} {name}", on_click=act, shortcut=shortcut, width="stretch", type="primary" if chosen else "secondary", help=about)

    def label(path: str) -> Callable[[], None]:
        note = f"note {name}"
        return lambda: _send(
            state,
            lambda: answers.label(
                at, codebook, person.name, ticket, path, confidence=state.confidence, note=st.session_state.get(note, ""), seconds=state.seconds
            ),
            path,
        )

    def narrow(path: str | None) -> Callable[[], None]:
        def act() -> None:
            state.top = path

        return act

    tops = [path for path in codebook.paths if codebook[path].parent is None]
    for number, path in enumerate(tops, start=1):
        kinds = codebook.children(path)
        shortcut = None if state.top else str(number)
        button(plain(codebook[path].name), f"top {path}", narrow(path) if kinds else label(path), shortcut=shortcut, chosen=state.top == path)
        if state.top == path:
            with st.container(key="kinds"):
                for place, kind in enumerate(kinds, start=1):
                    button(plain(codebook[kind].name), f"kind {kind}", label(kind), shortcut=str(place))
                button("None of these kinds", f"kind {path}", label(path), shortcut="0")
                button("Back", "back", narrow(None), shortcut="Esc")
    with st.container(horizontal=True, gap="small"):
        for grade, title in CONFIDENCES.items():

            def grade_it(grade: int = grade) -> None:
                state.confidence = grade

            button(title.capitalize(), f"confidence {grade}", grade_it, shortcut=CONFIDENCE_KEYS[grade], chosen=state.confidence == grade)
    st.text_input("Note", key=f"note {name}", placeholder="A note, if there is something to say; Tab leaves the field", label_visibility="collapsed")
    with st.container(horizontal=True, gap="small"):

        def note() -> str:
            return str(st.session_state.get(f"note {name}", ""))

        def pass_on() -> None:
            _send(state, lambda: answers.skip(at, person.name, ticket, note=note(), seconds=state.seconds), None)

        def flag() -> None:
            _send(state, lambda: answers.flag(at, person.name, ticket, note()), None, soon=True)

        button("Skip", "skip", pass_on, shortcut="S", about="Somebody else is asked instead.")
        button("Flag", "flag", flag, shortcut="F", about="Something is wrong with this feature: write in the note what. It stays to be labelled.")
        _undo_button(at, person, state)


def _undo_button(at: Desk, person: Person, state: Bench) -> None:
    def act() -> None:
        if state.ticket is not None and state.seconds < TOO_SOON_S:
            state.problem = TOO_SOON
            return
        state.pressed = time.monotonic()
        receipt = answers.undo(at, person.name)
        if receipt is None:
            state.problem = "There is nothing to take back."
        else:
            state.take(receipt, receipt.label)

    about = "Takes your last answer back and asks again. Both stay in the log."
    st.button("Undo", key="undo", on_click=act, shortcut="U", width="stretch", help=about)


def _send(state: Bench, act: Callable[[], Receipt], sent: str | None, *, soon: bool = False) -> None:
    """Save an answer, unless it came too soon to be meant for this feature."""
    state.pressed = time.monotonic()
    if state.seconds < TOO_SOON_S and not soon:
        state.problem = TOO_SOON
        return
    try:
        state.take(act(), sent)
    except SaebrainError as error:
        state.problem = str(error)


def _receipts(study: Study, at: Desk, person: Person, state: Bench) -> None:
    """What was saved last, and how long the server took to show what is on the page now."""
    took = "" if state.pressed is None else f' data-server-ms="{1000 * (time.monotonic() - state.pressed):.0f}"'
    state.pressed = None
    lines = "".join(f"<div>{escaped(line)}</div>" for line in state.receipts)
    st.html(f'<div class="sb sb-receipts num"{took}>{lines or "<div class=faint>Receipts of what you save appear here.</div>"}</div>')
    annotate_own.suggestion(study, at, person, state)
    annotate_own.spent(at, person)
