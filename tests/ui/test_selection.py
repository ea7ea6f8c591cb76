"""What is selected, and whose address it is written into."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest


def a_page_that_is_left() -> None:
    import streamlit as st

    from saebrain.ui import selection

    view = selection.View("features")
    view.set("q", "town")
    here = selection._script
    selection._script = lambda: "another page's script"
    try:
        view.set("q", "city")
        view.set("feature", 7)
    finally:
        selection._script = here
    st.json({"address": dict(st.query_params), "kept": selection.kept("features")})


def test_what_a_page_reports_after_it_was_left_changes_nothing() -> None:
    app = AppTest.from_function(a_page_that_is_left).run()
    assert not app.exception
    assert app.json[0].value == '{"address": {"q": "town"}, "kept": {"q": "town"}}'


def a_page_whose_address_comes_late(come: dict[str, str], late_s: float, back: bool) -> None:
    """Three changes, then a request whose address was written without knowing of them, or by the reader."""
    import streamlit as st

    from saebrain.ui import selection

    usual, selection.LATE_S = selection.LATE_S, late_s
    here, selection._went_back = selection._went_back, lambda: back
    try:
        st.query_params.from_dict({"feature": "3", "q": "town"})
        view = selection.View("features")
        view.set("feature", 5)
        view.set("feature", 8)
        view.set("show", "story", "strongest")
        view.set("q", "", "")
        st.query_params.from_dict(come)
        view = selection.View("features")
        shown = {"feature": view.number("feature", 0, 99, 0), "show": view.text("show"), "q": view.text("q")}
    finally:
        selection.LATE_S, selection._went_back = usual, here
    st.json({"shown": shown, "address": dict(st.query_params), "kept": selection.kept("features")})


OLD, NEW = {"feature": "3", "q": "town"}, {"feature": "8", "show": "story"}


@pytest.mark.parametrize(
    ("come", "late_s", "back", "address"),
    [
        (OLD, 60.0, False, NEW),  # from before all changes
        ({"feature": "5", "q": "town"}, 60.0, False, NEW),  # from between them
        (NEW, 60.0, False, NEW),
        ({"feature": "7", "show": "misses"}, 60.0, False, {"feature": "7", "show": "misses"}),  # a link to something else
        (OLD, 60.0, True, OLD),  # the reader went back
        (OLD, 0.0, False, OLD),  # long after the changes
    ],
)
def test_what_was_just_changed_stands_against_an_address_from_before(
    come: dict[str, str], late_s: float, back: bool, address: dict[str, str]
) -> None:
    app = AppTest.from_function(a_page_whose_address_comes_late, args=(come, late_s, back)).run()
    assert not app.exception
    found = json.loads(app.json[0].value)
    assert found["address"] == found["kept"] == address
    assert found["shown"] == {"feature": float(address["feature"]), "show": address.get("show", ""), "q": address.get("q", "")}
