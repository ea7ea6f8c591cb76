"""The adjudication page."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from saebrain.annotation.database import the_database
from saebrain.annotation.log import Entry, append, read_events
from saebrain.annotation.people import enrol
from saebrain.pipeline.live import current_labels
from saebrain.study import Study
from tests.pages.conftest import Open, html_of
from tests.studies import copy_study as copied


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Study:
    """ana and ben differ on features 3 and 5 and agree on 4."""
    found = Study.open(copied(demo_study, tmp_path / "study"))
    database = the_database(found)
    for name, role in (("cleo", "adjudicator"), ("ana", "annotator")):
        enrol(database, name, "adjudicator" if role == "adjudicator" else "annotator")
    with database.writing() as connection:
        for feature, labels in {3: ("lexical", "syntactic"), 4: ("lexical", "lexical"), 5: ("semantic", "semantic/place")}.items():
            for name, label in zip(("ana", "ben"), labels, strict=True):
                note = "<i>one</i> spelling" if name == "ana" else None
                append(connection, Entry(f"{name}{feature}", "label", name, 15, feature, "1.0", label=label, note=note or "", queue="overlap"))
    return found


def opened(study: Study, page: Open, **query: str) -> AppTest:
    app = page(study.folder, "adjudicate", **{"as": "cleo", **query})
    assert not app.exception
    return app


def settle(app: AppTest, label: str, why: str) -> AppTest:
    next(box for box in app.selectbox if box.label == "Final label").set_value(label)
    app.text_area[0].set_value(why)
    next(button for button in app.button if button.label == "Settle").click().run()
    assert not app.exception
    return app


def test_opinions_stand_side_by_side(open_page: Open, study: Study) -> None:
    app = opened(study, open_page)
    assert app.header[0].value == "Feature 3" and list(app.dataframe[0].value.index) == [3, 5]
    shown = html_of(app)
    assert "<b>ana</b>" in shown and "<b>ben</b>" in shown and "&lt;i&gt;one&lt;/i&gt; spelling" in shown and "sb-context" in shown
    assert read_events(the_database(study))["kind"].tolist()[-1] == "reveal"


def test_settling_leads_to_the_next_and_keeps_the_first_labels(open_page: Open, study: Study) -> None:
    app = settle(opened(study, open_page), "lexical", "one spelling")
    assert app.header[0].value == "Feature 5" and any("settled" in success.value for success in app.success)
    settle(app, "semantic/place", "all are towns")
    assert any("No feature is left" in info.value for info in app.info)
    events = read_events(the_database(study))
    final = events[events["kind"] == "adjudicate"]
    assert final[["feature", "label", "note", "annotator"]].values.tolist() == [
        [3, "lexical", "one spelling", "cleo"],
        [5, "semantic/place", "all are towns", "cleo"],
    ]
    assert (events["kind"] == "label").sum() == 6


def test_rationale_is_needed(open_page: Open, study: Study) -> None:
    app = settle(opened(study, open_page), "lexical", " ")
    assert app.header[0].value == "Feature 3" and any("no rationale" in warning.value for warning in app.warning)


def test_link_to_a_settled_feature(open_page: Open, study: Study) -> None:
    settle(opened(study, open_page), "lexical", "one spelling")
    app = opened(study, open_page, feature="3")
    assert app.header[0].value == "Feature 3" and any("Settled as" in info.value for info in app.info)
    assert opened(study, open_page, feature="<x>").header[0].value == "Feature 5"


def test_labels_are_taken_over_by_a_button(open_page: Open, study: Study) -> None:
    app = settle(opened(study, open_page), "semantic/emotion", "grief")
    before = current_labels(study)[3]
    next(button for button in app.button if button.label == "Use them").click().run()
    assert not app.exception and not any(button.label == "Use them" for button in app.button)
    assert before != current_labels(study)[3] == "semantic/emotion" and current_labels(study)[4] == "lexical"


def test_annotators_may_not_look(open_page: Open, study: Study) -> None:
    app = open_page(study.folder, "adjudicate", **{"as": "ana"})
    assert not app.dataframe and not app.header and "ben" not in html_of(app)
    assert any("takes the role adjudicator" in info.value for info in app.info)
