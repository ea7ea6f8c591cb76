"""Annotation in a real browser: a session by keyboard; a double click, a reload and a second tab give one label."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from saebrain.annotation.database import the_database
from saebrain.annotation.log import read_events
from saebrain.annotation.people import enrol, find
from saebrain.study import Study
from saebrain.ui.annotate_bench import TOO_SOON_S
from tests.browser.dashboard import Dashboard, serving
from tests.browser.watching import PATIENCE_MS, SLACK, watched
from tests.studies import copy_study

WANTED_MS = 150
LABELS = 10


@pytest.fixture(scope="module")
def study(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study.open(copy_study(demo_study, tmp_path_factory.mktemp("annotate") / "study"))


@pytest.fixture(scope="module")
def served(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with serving(study.folder, tmp_path_factory.mktemp("annotate") / "streamlit.log") as running:
        yield running
        assert "Traceback" not in running.log.read_text()


def labels_of(study: Study, name: str) -> pd.DataFrame:
    events = read_events(the_database(study), study.layer)
    return events[(events["annotator"] == name) & (events["kind"] == "label")]


def receipts(page: Page) -> Locator:
    return page.locator(".sb-receipts").first


def open_annotate(page: Page, served: Dashboard, study: Study, name: str) -> None:
    enrol(the_database(study), name)
    page.goto(f"{served.url}/Annotate?as={name}")
    page.get_by_role("button", name="Lexical").wait_for(timeout=PATIENCE_MS)
    settled(page)


def settled(page: Page) -> None:
    """The server has nothing left to do, and the feature has been there long enough to be answered."""
    page.wait_for_timeout(1000 * TOO_SOON_S + 100)
    page.wait_for_function("""() => document.querySelector('[data-test-script-state="notRunning"]')""", timeout=PATIENCE_MS)


def test_session_by_keyboard(browser: Browser, served: Dashboard, study: Study, record_property: object) -> None:
    keys = [("2",), ("1", "2"), ("3",), ("1", "0"), ("5",)]
    paths = ["syntactic", "semantic/place", "lexical", "semantic", "unclear"]
    server, seen = [], []
    with watched(browser) as page:
        open_annotate(page, served, study, "kim")
        for number in range(LABELS):
            for key in keys[number % len(keys)]:
                began = time.monotonic()
                page.keyboard.press(key)
                if key != keys[number % len(keys)][-1]:
                    page.get_by_role("button", name="Back").wait_for(timeout=PATIENCE_MS)
            path = paths[number % len(paths)].replace("/", " / ")
            expect(receipts(page).locator("div").first).to_have_text(
                re.compile(rf"^saved, \d\d:\d\d:\d\d, #\d+ · feature \d+: {path}$"), timeout=PATIENCE_MS
            )
            page.wait_for_function(
                "n => document.querySelectorAll('.sb-receipts[data-server-ms] div').length >= Math.min(n, 6)", arg=number + 1, timeout=PATIENCE_MS
            )
            seen.append(1000 * (time.monotonic() - began))
            server.append(float(receipts(page).get_attribute("data-server-ms") or "nan"))
            settled(page)
    labels = labels_of(study, "kim")
    assert labels["label"].tolist() == [paths[number % len(paths)] for number in range(LABELS)]
    assert labels["key"].is_unique and (labels["confidence"] == 3).all() and (labels["seconds"] > 0).all()
    median = statistics.median(server)
    browser_ms = statistics.median(seen)
    print(f"\nkey to next feature: server {median:.0f} ms (wanted: {WANTED_MS} ms), in the browser {browser_ms:.0f} ms, medians of {LABELS}")
    assert callable(record_property)
    record_property("key to next feature, server, ms", round(median))
    assert median <= WANTED_MS * SLACK


def test_double_click_is_one_label(browser: Browser, served: Dashboard, study: Study) -> None:
    with watched(browser) as page:
        open_annotate(page, served, study, "dora")
        page.get_by_role("button", name="Lexical").dblclick()
        expect(receipts(page)).to_contain_text("saved", timeout=PATIENCE_MS)
        settled(page)
        assert len(labels_of(study, "dora")) == 1
        page.get_by_role("button", name="Lexical").click()
        expect(receipts(page).locator("div")).to_have_count(2, timeout=PATIENCE_MS)
    assert len(labels_of(study, "dora")) == 2


def test_reload_in_mid_submission_is_one_label(browser: Browser, served: Dashboard, study: Study) -> None:
    with watched(browser) as page:
        open_annotate(page, served, study, "rita")
        page.keyboard.press("3")
        page.reload()
        page.get_by_role("button", name="Lexical").wait_for(timeout=PATIENCE_MS)
        settled(page)
        before = len(labels_of(study, "rita"))
        assert before <= 1
        page.keyboard.press("2")
        expect(receipts(page)).to_contain_text("syntactic", timeout=PATIENCE_MS)
    labels = labels_of(study, "rita")
    assert len(labels) == before + 1 and labels["feature"].is_unique


def test_two_tabs_are_one_label(browser: Browser, served: Dashboard, study: Study) -> None:
    with watched(browser) as one, watched(browser) as two:
        for page in (one, two):
            open_annotate(page, served, study, "tina")
        one.keyboard.press("3")
        expect(receipts(one)).to_contain_text("lexical", timeout=PATIENCE_MS)
        two.keyboard.press("2")
        expect(two.get_by_text("had been answered before")).to_be_visible(timeout=PATIENCE_MS)
        expect(two.get_by_text("What you sent now was not saved")).to_be_visible()
    assert labels_of(study, "tina")["label"].tolist() == ["lexical"]


def test_note_undo_and_typing_does_not_answer(browser: Browser, served: Dashboard, study: Study) -> None:
    with watched(browser) as page:
        open_annotate(page, served, study, "nora")
        page.get_by_placeholder("A note").fill("")
        page.get_by_placeholder("A note").press_sequentially("12 of 3 suf")
        page.keyboard.press("Tab")
        settled(page)
        assert labels_of(study, "nora").empty
        page.keyboard.press("q")
        settled(page)
        page.keyboard.press("3")
        expect(receipts(page)).to_contain_text("lexical", timeout=PATIENCE_MS)
        settled(page)
        labels = labels_of(study, "nora")
        assert labels["note"].tolist() == ["12 of 3 suf"] and labels["confidence"].tolist() == [1]
        page.keyboard.press("u")
        expect(receipts(page)).to_contain_text("taken back", timeout=PATIENCE_MS)
        settled(page)
        page.keyboard.press("2")
        expect(receipts(page)).to_contain_text("syntactic", timeout=PATIENCE_MS)
    labels = labels_of(study, "nora")
    assert labels["feature"].nunique() == 1 and labels["label"].tolist() == ["lexical", "syntactic"]


def test_new_name_is_typed(browser: Browser, served: Dashboard, study: Study) -> None:
    with watched(browser) as page:
        page.goto(f"{served.url}/Annotate")
        field = page.get_by_role("combobox", name="Your name")
        field.wait_for(timeout=PATIENCE_MS)
        field.click()
        field.press_sequentially("Newcomer Noé")
        field.press("Enter")
        page.get_by_role("button", name="Lexical").wait_for(timeout=PATIENCE_MS)
        assert "as=Newcomer" in page.url
    assert find(the_database(study), name="Newcomer Noé") is not None
