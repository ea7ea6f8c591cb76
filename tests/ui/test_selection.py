"""What is selected, and whose address it is written into."""

from __future__ import annotations

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
