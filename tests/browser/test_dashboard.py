"""The dashboard in a real browser: every page by link and by click, in both themes, at two widths; how long it takes."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from saebrain.store import write_table
from saebrain.study import SHIPPED
from saebrain.ui.frame import TITLES
from tests.browser.dashboard import ROOT, Dashboard, serving
from tests.studies import copy_study

LINKS = {
    "overview": "/",
    "features": "/Features",
    "cortex": "/Cortex",
    "quality": "/SAE_quality",
    "encoding": "/Encoding",
    "topography": "/Topography",
    "annotate": "/Annotate",
    "adjudicate": "/Adjudicate",
    "agreement": "/Agreement",
    "text": "/Your_text",
}
DRAWN = {
    "overview": ["[data-testid=stVegaLiteChart] svg.marks", "[data-testid=stImage] img"],
    "features": ["[data-testid=stDataFrame] canvas", ".sb-context", "canvas[role=img][aria-label]", "[data-testid=stVegaLiteChart] svg.marks"],
    "cortex": ["canvas[role=img][aria-label]", "[data-testid=stDataFrame] canvas", "[data-testid=stVegaLiteChart] svg.marks"],
    "encoding": ["[data-testid=stImage] img", "[data-testid=stDataFrame] canvas", "[data-testid=stVegaLiteChart] svg.marks"],
    "topography": ["[data-testid=stAlert], [data-testid=stVegaLiteChart] svg.marks"],
    "quality": [".sb table", "[data-testid=stVegaLiteChart] svg.marks", "[data-testid=stVegaLiteChart] >> nth=10"],
    "annotate": ["[data-testid=stSelectbox]"],
    "adjudicate": ["[data-testid=stSelectbox]"],
    "agreement": ["[data-testid=stAlert]"],
    "text": ["textarea"],
}
FIRST_S, NEXT_S = 3.0, 2.0
SLACK = 5.0
"""A busy machine may take this many times as long before the test fails; the times themselves are printed."""
PATIENCE_MS = 60_000
# Of a page in a folder, Streamlit tries its own addresses there before it tries them at the root.
EXPECTED_404 = re.compile(r"/_stcore/(health|host-config)$")


@contextmanager
def watched(browser: Browser, *, width: int = 1280, theme: str = "light") -> Iterator[Page]:
    """A fresh page; at the end nothing may have gone wrong in it."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if theme == "dark" else "light")
    page = context.new_page()
    problems: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not EXPECTED_404.search(message.location["url"]):
            problems.append(f"{message.text} ({message.location['url']})")

    page.on("console", note)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0)
    context.close()
    assert problems == []


def wait_until_drawn(page: Page, name: str) -> None:
    """All of a page is there: its heading, charts, tables and pictures, and the server has nothing left to do."""
    page.locator("h1", has_text="" if name == "overview" else TITLES[name]).wait_for(timeout=PATIENCE_MS)
    for selector in DRAWN[name]:
        page.locator(selector).first.wait_for(timeout=PATIENCE_MS)
    page.wait_for_function(
        """() => document.querySelector('[data-test-script-state="notRunning"]')
            && [...document.querySelectorAll('[data-testid=stImage] img')].every(image => image.complete && image.naturalWidth)""",
        timeout=PATIENCE_MS,
    )


def changed(page: Page, before: str) -> None:
    page.wait_for_function("before => location.search !== before", arg=before, timeout=PATIENCE_MS)


def settled(page: Page) -> None:
    """Wait until the server has answered what was just done."""
    page.wait_for_timeout(200)
    page.wait_for_function("""() => document.querySelector('[data-test-script-state="notRunning"]')""", timeout=PATIENCE_MS)


def at_rest(page: Page) -> None:
    """Wait until the viewer has fetched what it wants, too. Its report, if a link is clicked meanwhile, may overtake the change of page:
    Streamlit runs the page that spoke last."""
    page.wait_for_function(
        """() => {
            const viewer = window.saebrain && [...saebrain.shared.viewers][0], talk = viewer?.talk;
            return document.querySelector('[data-test-script-state="notRunning"]') && (!viewer || (!Object.keys(talk.open).length
                && !talk.timers.flip && !talk.timers.look && viewer.header.around.every(({ id }) => saebrain.shared.maps.has(id))));
        }""",
        timeout=PATIENCE_MS,
    )
    settled(page)


def query(page: Page) -> str:
    return str(page.evaluate("location.search"))


def report(record_property: object, name: str, seconds: float, limit: float) -> None:
    print(f"\n{name}: {seconds:.2f} s (wanted: {limit:g} s)")
    assert callable(record_property)
    record_property(name, round(seconds, 2))
    assert seconds <= limit * SLACK, f"{name} took {seconds:.1f} s"


@pytest.mark.parametrize("name", LINKS)
def test_first_page_by_a_link(browser: Browser, demo_study: Path, tmp_path: Path, record_property: object, name: str) -> None:
    with serving(demo_study, tmp_path / "streamlit.log") as fresh, watched(browser) as page:
        started = time.monotonic()
        page.goto(fresh.url + LINKS[name])
        page.locator("h1").wait_for(timeout=PATIENCE_MS)
        report(record_property, f"first page, heading of {name}", time.monotonic() - started, FIRST_S)
        wait_until_drawn(page, name)
        report(record_property, f"first page, all of {name}", time.monotonic() - started, FIRST_S)
        log = fresh.log.read_text()
    assert "Traceback" not in log and "Warning" not in log and "deprecat" not in log.lower()


def test_pages_by_clicking(browser: Browser, dashboard: Dashboard, record_property: object) -> None:
    with watched(browser) as page:
        page.goto(dashboard.url)
        wait_until_drawn(page, "overview")
        for name in ("features", "cortex", "quality", "overview", "cortex", "features"):
            at_rest(page)
            started = time.monotonic()
            page.get_by_test_id("stSidebar").get_by_role("link", name=TITLES[name]).click()
            wait_until_drawn(page, name)
            report(record_property, f"next page, {name}", time.monotonic() - started, NEXT_S)
    assert "Traceback" not in dashboard.log.read_text()


@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_fits_in_both_themes(browser: Browser, dashboard: Dashboard, theme: str, width: int) -> None:
    for name, link in LINKS.items():
        with watched(browser, width=width, theme=theme) as page:
            page.goto(dashboard.url + link)
            wait_until_drawn(page, name)
            assert page.evaluate(
                "document.querySelector('[data-testid=stMain]').scrollWidth <= document.querySelector('[data-testid=stMain]').clientWidth"
            )
            too_wide = (
                """() => [...document.querySelectorAll('.sb')].filter(part => part.scrollWidth > part.clientWidth + 1).map(part => part.className)"""
            )
            assert page.evaluate(too_wide) == []
            assert page.evaluate("getComputedStyle(document.querySelector('.stApp')).colorScheme") == theme
            expect(page.get_by_text("Simulated responses").first).to_be_visible()


def test_click_on_a_row_opens_the_feature(browser: Browser, dashboard: Dashboard) -> None:
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Features")
        wait_until_drawn(page, "features")
        before, heading = query(page), page.locator("h2").first.inner_text()
        box = page.get_by_test_id("stDataFrame").first.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 250, box["y"] + 35 * 4.5)  # any cell of the fourth row
        changed(page, before)
        expect(page.locator("h2").first).not_to_have_text(heading)
        number = re.search(r"feature=(\d+)", query(page))
        assert number is not None
        expect(page.locator("h2").first).to_have_text(f"Feature {number[1]}")
        settled(page)
        page.reload()
        expect(page.locator("h2").first).to_have_text(f"Feature {number[1]}", timeout=PATIENCE_MS)


def test_search_changes_address_and_list(browser: Browser, dashboard: Dashboard) -> None:
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Features")
        wait_until_drawn(page, "features")
        before = query(page)
        page.get_by_label("Search", exact=True).fill("harbour")
        page.keyboard.press("Enter")
        changed(page, before)
        assert "q=harbour" in query(page)
        settled(page)
        expect(page.get_by_text(re.compile(r"^\d+ of [\d,]+ features"))).to_be_visible()
        before = page.locator("h2").first.inner_text()
        page.get_by_role("button", name="Next Shortcut").click()
        expect(page.locator("h2").first).not_to_have_text(before, timeout=PATIENCE_MS)
        page.wait_for_function(
            "() => document.querySelector('h2').innerText.trim() === `Feature ${new URLSearchParams(location.search).get('feature')}`",
            timeout=PATIENCE_MS,
        )


def test_threshold_changes_the_picture(browser: Browser, dashboard: Dashboard) -> None:
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Cortex?select=semantic%2Fplace&part=features")
        wait_until_drawn(page, "cortex")
        before = query(page)
        page.locator("canvas[role=img]").focus()
        for _ in range(12):
            page.keyboard.press("ArrowUp")
        expect(page.get_by_text(re.compile(r"^below 0\.\d+$"))).to_be_visible()  # at once
        changed(page, before)
        settled(page)
        assert re.search(r"threshold=0\.\d+", query(page)) and "select=semantic" in query(page)
        page.reload()
        wait_until_drawn(page, "cortex")
        expect(page.get_by_text(re.compile(r"^below 0\.\d+$"))).to_be_visible()


def test_back_button_returns_to_the_view(browser: Browser, dashboard: Dashboard) -> None:
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Cortex?select=semantic%2Fplace")
        wait_until_drawn(page, "cortex")
        at_rest(page)
        page.get_by_role("link", name="Features labelled").click()
        wait_until_drawn(page, "features")
        assert "label=semantic%2Fplace" in query(page)
        at_rest(page)
        page.go_back()
        wait_until_drawn(page, "cortex")
        assert "select=semantic%2Fplace" in query(page)


def test_words_of_a_map_follow_the_theme_at_once(browser: Browser, dashboard: Dashboard) -> None:
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Cortex")
        wait_until_drawn(page, "cortex")
        colour = "getComputedStyle([...saebrain.shared.viewers][0].find('.legend')).color"
        light = page.evaluate(colour)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(f"light => {colour} !== light", arg=light, timeout=PATIENCE_MS)


def test_downloads(browser: Browser, dashboard: Dashboard, tmp_path: Path) -> None:
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Cortex?select=semantic")
        wait_until_drawn(page, "cortex")
        files = {}
        for name in ("PNG", "SVG", "PDF", "GIFTI left", "GIFTI right", "CSV", "HTML", "Parcels (CSV)"):
            with page.expect_download(timeout=PATIENCE_MS) as download:
                page.get_by_role("button", name=name, exact=True).click()
            files[name] = tmp_path / download.value.suggested_filename
            download.value.save_as(files[name])
    assert files["PNG"].read_bytes().startswith(b"\x89PNG") and files["PNG"].name.endswith("_semantic_whole_mean.png")
    assert files["SVG"].read_bytes().startswith(b"<?xml") and files["PDF"].read_bytes().startswith(b"%PDF") and "webgl2" in files["HTML"].read_text()
    left = nibabel.load(files["GIFTI left"])
    assert left.darrays[0].data.shape == (10_242,) and np.isfinite(left.darrays[0].data).any()
    assert files["GIFTI right"].name.endswith("hemi-R.func.gii")
    assert files["CSV"].read_text().count("\n") == 20_485
    assert files["Parcels (CSV)"].read_text().startswith("hemisphere,parcel,r,vertices,predicted")


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("overview", "/"),
        ("features", "/Features?label=semantic%2Fplace"),
        ("cortex", "/Cortex?show=categories&outlines=on"),
        ("quality", "/SAE_quality"),
    ],
)
def test_screenshots(browser: Browser, dashboard: Dashboard, tmp_path: Path, name: str, link: str) -> None:
    """With SAEBRAIN_SCREENSHOTS=1 those of the documentation are taken anew."""
    folder = ROOT / "docs" / "images" if os.environ.get("SAEBRAIN_SCREENSHOTS") == "1" else tmp_path
    with watched(browser) as page:
        page.goto(dashboard.url + link)
        if name == "cortex":
            page.locator("canvas[role=img][aria-label]").first.wait_for(timeout=PATIENCE_MS)
            settled(page)
        else:
            wait_until_drawn(page, name)
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / f"{name}.png")
    assert (folder / f"{name}.png").stat().st_size > 50_000


def test_training_in_progress_refreshes_itself(browser: Browser, demo_study: Path, tmp_path: Path) -> None:
    """A run that is not finished is drawn again without anybody's doing, and with its figures once it has ended."""
    study, run = copy_study(demo_study, tmp_path / "study"), tmp_path / "run"
    config = (study / "study.toml").read_text()
    (study / "study.toml").write_text(f"sae_folders = [{json.dumps(str(run))}]\n{config}")
    finished = SHIPPED / "sae" / "smollm2-135m-instruct" / "layer_15"
    run.mkdir()
    log = pd.read_parquet(finished / "training_log.parquet")
    write_table(run / "training_log.parquet", log.head(3))
    with serving(study, tmp_path / "streamlit.log") as server, watched(browser) as page:
        page.goto(f"{server.url}/SAE_quality?saes=run")
        expect(page.get_by_text(f"in training: step {int(log['step'][2]) + 1:,},")).to_be_visible(timeout=PATIENCE_MS)
        write_table(run / "training_log.parquet", log.head(6))
        expect(page.get_by_text(f"in training: step {int(log['step'][5]) + 1:,},")).to_be_visible(timeout=PATIENCE_MS)
        for name in ("cfg.json", "quality.json", "sae_weights.safetensors"):
            shutil.copy(finished / name, run / name)
        expect(page.get_by_text("in training: step")).to_have_count(0, timeout=PATIENCE_MS)
        expect(page.locator(".sb table")).to_contain_text("held-out documents")
    assert "Traceback" not in server.log.read_text()
