"""Every page by link and by click, in both themes, at two widths; how long it takes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from saebrain.ui.frame import TITLES
from tests.browser.dashboard import ROOT, Dashboard, serving
from tests.browser.watching import PATIENCE_MS, at_rest, report, settled, turn, wait_until_drawn, watched

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
HEAVIEST = ("overview", "features", "cortex", "encoding")
"""Pages that are opened first, each of a fresh server; all are opened by their links below."""
PICTURED = {"overview": "/", "features": "/Features?label=semantic%2Fplace", "quality": "/SAE_quality"}
"""Pages that the documentation shows, and how."""
FIRST_S, NEXT_S = 3.0, 2.0


@pytest.mark.parametrize("name", HEAVIEST)
def test_first_page_by_a_link(browser: Browser, demo_study: Path, tmp_path: Path, record_property: object, name: str) -> None:
    with serving(demo_study, tmp_path / "streamlit.log") as fresh, watched(browser, first=True) as page:
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


# Parts of a page that are wider than their place.
TOO_WIDE = """() => {
    const main = document.querySelector('[data-testid=stMain]'), parts = [...document.querySelectorAll('.sb')];
    return [...(main.scrollWidth > main.clientWidth ? [main] : []), ...parts.filter(part => part.scrollWidth > part.clientWidth + 1)]
        .map(part => part.className);
}"""


@pytest.mark.parametrize("name", LINKS)
def test_every_page_fits_in_both_themes(browser: Browser, dashboard: Dashboard, tmp_path: Path, name: str) -> None:
    """Opened in a dark browser, at two widths, and then in a light one."""
    with watched(browser, width=1920, theme="dark") as page:
        page.goto(dashboard.url + PICTURED.get(name, LINKS[name]))
        wait_until_drawn(page, name)
        for width, theme in ((1920, "dark"), (1280, "dark"), (1920, "light"), (1280, "light")):
            page.set_viewport_size({"width": width, "height": 900})
            turn(page, theme)
            settled(page)
            assert page.evaluate(TOO_WIDE) == []
        expect(page.get_by_text("Simulated responses").first).to_be_visible()
        if name in PICTURED:
            take_picture(page, name, tmp_path)


def test_map_of_categories(browser: Browser, dashboard: Dashboard, tmp_path: Path) -> None:
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Cortex?show=categories&outlines=on")
        page.locator("canvas[role=img][aria-label]").first.wait_for(timeout=PATIENCE_MS)
        settled(page)
        take_picture(page, "cortex", tmp_path)


def take_picture(page: Page, name: str, folder: Path) -> None:
    """With SAEBRAIN_SCREENSHOTS=1 for the documentation."""
    path = (ROOT / "docs" / "images" if os.environ.get("SAEBRAIN_SCREENSHOTS") == "1" else folder) / f"{name}.png"
    page.wait_for_timeout(1500)
    page.screenshot(path=path)
    assert path.stat().st_size > 50_000
