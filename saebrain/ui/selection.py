"""What is selected, shared between pages and in the address: any view can be sent as a link.

Values are kept as text, as in the query string, under one session key that belongs to no widget. An address that names
anything of a page describes the whole view: what it leaves out has its default. An address that names nothing opens the
page as it was left in this session.

Addresses come late: a browser that asks for something before it has heard of a change sends the address from before, and
Streamlit, which may run two requests of a session at once, takes the one that came last for the address of both. So what
was just changed stands against an address from before the change, for a while; any other address is the reader's.

And requests may be merged: what the reader changes in the very moment in which a part of the page reports something, Streamlit
sends as a request to draw that part alone. Such a change asks for the whole page (`View.inside`, `whole_page_is_due`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from saebrain.ui.text import plain

LOOK = ("surface", "threshold", "outlines", "range", "sides", "colours", "vertex")
"""How maps of the cortex are drawn, and the vertex that is pinned: the same on all pages."""

LISTING = ("from", "to", "least", "parcel", "least_r", "agree", "list", "unlabelled", "where", "area", "maps", "page", "plane", "colour")
"""Further filters of the list of features, and what is shown beside it."""

PAGES: dict[str, tuple[str, ...]] = {
    "overview": ("layer",),
    "features": (
        "layer",
        "feature",
        "q",
        "in",
        "label",
        "sort",
        "backwards",
        *LISTING,
        "show",
        "width",
        "whole",
        "story",
        "subject",
        "map",
        "fdr",
        *LOOK,
    ),
    "cortex": ("layer", "show", "select", "part", "subject", *LOOK),
    "quality": ("layer", "saes", "text", "over"),
    "encoding": ("layer", "pick", "run", "part", "subject", "surface", "section", "against"),
    "topography": ("layer", "question", "of"),
    "annotate": ("layer", "as", "queue"),
    "adjudicate": ("layer", "as", "feature"),
    "agreement": ("layer", "as", "codebook", "pair", "level", "cell"),
    "text": ("layer", "pick"),
}
_KEPT, _CHANGES, _DUE = "selection", "selection changes", "whole page is due"
LATE_S = 2.0
"""Seconds for which an address from before a change may still come."""


@dataclass(frozen=True)
class _Change:
    """What was selected last under a name (None: the default), and what was before, with the time at which that ended."""

    value: str | None
    ended: dict[str | None, float]

    def outlives(self, said: str | None) -> bool:
        """Whether an address that says this may be from before the change."""
        return monotonic() - self.ended.get(said, -math.inf) < LATE_S


def kept(page: str) -> dict[str, str]:
    """What is selected on a page, as the query string that opens it again."""
    held = st.session_state.get(_KEPT, {})
    return {name: held[name] for name in PAGES[page] if name in held}


def held(name: str) -> str:
    """What is selected under a name in this session, on whatever page; empty if nothing is."""
    return str(st.session_state.get(_KEPT, {}).get(name, ""))


def whole_page_is_due() -> bool:
    """Whether, while a part of the page is drawn alone, something was changed outside of it. To be asked once."""
    return bool(st.session_state.pop(_DUE, False))


class View:
    """The selection of one page while it is drawn."""

    def __init__(self, page: str) -> None:
        """Read the address, or, if it names nothing of this page, what was selected before; then bring the address up to date."""
        names = PAGES[page]
        held: dict[str, str] = st.session_state.setdefault(_KEPT, {})
        st.session_state.pop(_DUE, None)  # it is being drawn
        self._held, self._page, self._script, self._inside = held, page, _script(), False
        self._changes: dict[str, _Change] = st.session_state.setdefault(_CHANGES, {})
        address = {name: st.query_params[name] for name in names if name in st.query_params}
        changes = {} if _went_back() else dict(self._changes)  # a copy: another request of this session may be changing it
        late = {name: change.value for name, change in changes.items() if name in names and change.outlives(address.get(name))}
        if address:
            for name in names:
                held.pop(name, None)
            held.update(address)
        elif present := kept(page):
            st.query_params.update(present)
        for name, value in late.items():
            self._write(name, value)

    def inside(self) -> View:
        """The same selection for what belongs to a part of the page that can be drawn alone: what changes there concerns that part."""
        view = copy.copy(self)
        view._inside = True
        return view

    def given(self, name: str) -> bool:
        """Whether the address says anything of it."""
        return name in self._held

    def choice(self, name: str, options: Sequence[str], default: str) -> str:
        """One of some options."""
        return self._read(name, default, lambda raw: raw if raw in options else None)

    def several(self, name: str, options: Sequence[str], default: Sequence[str]) -> list[str]:
        """Some of some options, or none of them; commas part them in the address."""

        def parse(raw: str) -> list[str] | None:
            chosen = raw.split(",") if raw else []
            return [option for option in options if option in chosen] if set(chosen) <= set(options) else None

        return self._read(name, list(default), parse)

    def text(self, name: str, default: str = "", *, longest: int = 200) -> str:
        """Any text, cut where it gets too long."""
        return self._read(name, default, lambda raw: raw[:longest])

    def flag(self, name: str, default: bool) -> bool:
        """On or off."""
        return self._read(name, default, {"on": True, "off": False}.get)

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """A number within a range."""

        def parse(raw: str) -> float | None:
            try:
                value = float(raw)
            except ValueError:
                return None
            return value if low <= value <= high else None

        return self._read(name, default, parse)

    def set(self, name: str, value: Any, default: Any = None) -> None:
        """Select something; the default is left out of the address.

        What a widget of a page reports when the reader has left that page already is passed over: the address is another page's.
        """
        if _script() != self._script:
            return
        if not self._inside and _draws_a_part():
            st.session_state[_DUE] = True
        raw = None if value is None or value == default else _written(value)
        if (before := st.query_params.get(name)) != raw:
            now, last = monotonic(), self._changes.get(name)
            ended = {said: at for said, at in last.ended.items() if now - at < LATE_S} | {last.value: now} if last else {}
            self._changes[name] = _Change(raw, {said: at for said, at in (ended | {before: now}).items() if said != raw})
        self._write(name, raw)

    def _write(self, name: str, raw: str | None) -> None:
        """Into what is kept, and into the address if it says something else."""
        if raw is None:
            self._held.pop(name, None)
            if name in st.query_params:
                del st.query_params[name]
        elif self._held.get(name) != raw or st.query_params.get(name) != raw:
            self._held[name] = raw
            st.query_params[name] = raw

    def widget(self, name: str, value: Any, default: Any) -> dict[str, Any]:
        """Keyword arguments that tie a widget to a selection: its key, and what is done when it changes."""
        key = f"widget {self._page} {name}"  # pages have widgets of the same name with other options
        if st.session_state.get(key) != value:  # a widget that is being moved is not set back to where it was
            st.session_state[key] = value
        return {"key": key, "on_change": self._changed, "args": (name, key, default)}

    def _changed(self, name: str, key: str, default: Any) -> None:
        self.set(name, st.session_state[key], default)

    def _read(self, name: str, default: Any, parse: Callable[[str], Any]) -> Any:
        raw = self._held.get(name)
        if raw is None:
            return default
        value = parse(raw)
        if value is None:
            st.warning(
                f"This address asks for {plain(name)} = {plain(raw[:80])}, which is not there; the default is shown instead.",
                icon=":material/link_off:",
            )
            return default
        return value


def _script() -> str:
    """Which page's script runs."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.page_script_hash if context else ""


def _draws_a_part() -> bool:
    """Whether only some parts of the page are drawn now."""
    context = get_script_run_ctx(suppress_warning=True)
    return bool(context and context.fragment_ids_this_run)


def _went_back() -> bool:
    """Whether the reader went back or forth in the browser's history: an earlier address then is what is wanted."""
    context = get_script_run_ctx(suppress_warning=True)
    return bool(getattr(context, "is_history_navigation", False))


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ",".join(value)
    return str(value)
