"""The annotate page: who may use it, what it never shows, what its buttons save."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from saebrain.annotation.database import the_database
from saebrain.annotation.log import Entry, append, read_events
from saebrain.annotation.people import enrol
from saebrain.annotation.queues import claim
from saebrain.annotation.schema import Role
from saebrain.pipeline.annotating import desk
from saebrain.store import read_table
from saebrain.study import Study
from saebrain.surface.atlas import desikan_killiany
from saebrain.ui import annotate_page
from tests.pages.conftest import Open, html_of
from tests.studies import configure
from tests.studies import copy_study as copied


@pytest.fixture
def study(demo_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study to label in; tests answer faster than people read."""
    monkeypatch.setattr(annotate_page, "TOO_SOON_S", 0.0)
    return Study.open(copied(demo_study, tmp_path / "study"))


def at(study: Study, page: Open, name: str = "ana", role: Role = "annotator", **query: str) -> AppTest:
    enrol(the_database(study), name, role)
    app = page(study.folder, "annotate", **{"as": name, **query})
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def said(study: Study) -> pd.DataFrame:
    return read_events(the_database(study), study.layer)


def everything(app: AppTest) -> str:
    """All text that the page sends to the browser, but for the codebook."""
    kinds = ("markdown", "caption", "text", "info", "warning", "error", "badge")
    values = [getattr(element, "value", "") for kind in kinds for element in app.get(kind)]
    bodies = [element.proto.body for element in app.html if "sb-guide" not in element.proto.body]
    return "\n".join([*bodies, *map(str, values), *(button.label for button in app.button)])


def test_asks_for_a_name_first(open_page: Open, study: Study) -> None:
    enrol(the_database(study), "Ana", "annotator")
    app = open_page(study.folder, "annotate")
    assert not app.exception and not app.button
    app.selectbox[0].set_value("Ana").run()
    assert app.query_params["as"] == "Ana" and any(button.label == "Lexical" for button in app.button)
    assert said(study).empty


def test_label_in_one_step_and_in_two(open_page: Open, study: Study) -> None:
    app = at(study, open_page)
    press(app, "Lexical")
    press(press(app, "Semantic"), "Place")
    press(press(app, "Semantic"), "None of these kinds")
    events = said(study)
    assert events["label"].tolist() == ["lexical", "semantic/place", "semantic"] and events["feature"].is_unique
    assert any("3 labels" in caption.value and "Only you see" in caption.value for caption in app.caption)
    assert re.search(r"saved, \d\d:\d\d:\d\d, #3 · feature \d+: semantic<", html_of(app))


def test_back_confidence_note_skip_flag_undo(open_page: Open, study: Study) -> None:
    app = at(study, open_page)
    press(press(app, "Semantic"), "Back")
    assert not any(button.label == "Place" for button in app.button)
    press(app, "Unsure")
    next(field for field in app.text_input if field.label == "Note").set_value("two meanings").run()
    press(app, "Flag")
    press(app, "Lexical")
    press(app, "Flag")
    assert any("flag without a note" in warning.value for warning in app.warning)
    press(app, "Skip")
    press(app, "Undo")
    events = said(study)
    assert events["kind"].tolist() == ["flag", "label", "skip", "undo"]
    assert events["confidence"].dropna().tolist() == [1] and events["note"].tolist()[:2] == ["two meanings"] * 2


def test_second_press_at_once_is_refused(open_page: Open, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotate_page, "TOO_SOON_S", 60.0)
    app = press(at(study, open_page), "Lexical")
    assert said(study).empty and any("double press" in warning.value for warning in app.warning)


def test_neither_map_nor_others_labels_before_submitting(open_page: Open, study: Study) -> None:
    """The page is compared with all that the study and the log hold of parcels and of labels of this feature."""
    database = the_database(study)
    for name in ("ben", "cleo"):
        enrol(database, name, "annotator")
    app = at(study, open_page)
    parcels = read_table(study.features / "parcels.parquet", "").set_index("feature")
    labels = read_table(study.labels, "")
    with database.writing() as connection:
        for number, ticket in enumerate(claim(desk(study, database), "ana", count=2)):
            entry = Entry(f"k{number}", "label", "ben", study.layer, ticket.feature, "1.0", label="semantic/emotion", note="ben says so")
            append(connection, entry)
    for _ in range(5):
        app.run()
        (ticket,) = claim(desk(study, database), "ana")
        shown = everything(app)
        assert not app.get("image") and not app.get("vega_lite_chart") and not app.get("component_instance")
        assert "ben" not in re.findall(r"\w+", shown) and "semantic / emotion" not in shown and "semantic/emotion" not in shown
        assert "machine:" not in shown and f"{parcels.at[ticket.feature, 'parcel']}" not in shown
        assert not any(f"{side} {name}" in shown for side, name in desikan_killiany().parcels)
        for reason in labels.loc[labels["feature"] == ticket.feature, "reason"]:
            assert reason not in shown
        assert f"feature {ticket.feature}" not in shown.lower()
        press(app, "Unclear")


def test_suggestion_comes_after_the_label_and_is_logged(open_page: Open, study: Study) -> None:
    configure(study.folder, annotation={"suggestions": "after"})
    app = at(Study.open(study.folder), open_page)
    assert "by machine" not in html_of(app)
    press(app, "Lexical")
    assert "by machine: machine:forms" in html_of(app)
    events = said(study)
    assert events["kind"].tolist() == ["label", "reveal"] and events["suggestion_visible"].tolist() == [False, False]
    press(app, "Undo")
    press(app, "Syntactic")
    assert said(study)["suggestion_visible"].tolist() == [False, False, True, True]


def test_no_suggestion_unless_asked_for(open_page: Open, study: Study) -> None:
    assert "by machine" not in html_of(press(at(study, open_page), "Lexical"))
    assert said(study)["kind"].tolist() == ["label"]


def test_viewer_cannot_label(open_page: Open, study: Study) -> None:
    app = at(study, open_page, "vic", "viewer")
    assert not app.button and any("does not label" in info.value for info in app.info)


def test_stale_labels_become_a_worklist(open_page: Open, study: Study) -> None:
    database = the_database(study)
    with database.writing() as connection:
        append(connection, Entry("old", "label", "ana", study.layer, 7, "0.9", label="lexical"))
    app = at(study, open_page, queue="stale")
    press(app, "Syntactic")
    assert said(study)[["feature", "codebook", "queue"]].values.tolist()[-1] == [7, "1.0", "stale"]
    assert any("Nothing is left" in success.value for success in app.success)


def test_decisions_are_shown_on_demand(open_page: Open, study: Study) -> None:
    app = press(at(study, open_page), "Lexical")
    feature = int(said(study)["feature"].iloc[0])
    with the_database(study).writing() as connection:
        append(connection, Entry("d", "adjudicate", "cleo", study.layer, feature, "1.0", label="syntactic", note="<b>closed</b> class"))
    app.run()
    assert "closed" not in html_of(app)
    app.toggle[0].set_value(True).run()
    assert "&lt;b&gt;closed&lt;/b&gt; class" in html_of(app) and "<b>closed" not in html_of(app)
    assert said(study)["kind"].tolist()[-1] == "reveal"


def test_unknown_name_in_the_address_is_asked_for(open_page: Open, study: Study) -> None:
    app = open_page(study.folder, "annotate", **{"as": "<script>"})
    assert not app.exception and not app.button and app.selectbox
