"""A real browser and a running dashboard for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.dashboard import Dashboard, serving
from tests.browser.watching import page_of
from tools.find_browser import BrowserError, find

# Of what Chromium does besides showing the page: Playwright's own list, as a second one replaces it, and panels of the address
# bar, for which every new window would start two more processes while the page is being drawn.
WITHOUT = [
    "AimEnabled",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "OptimizationHints",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxPopup",
]
# WebGL is drawn in software, so that the surface viewer looks the same on every machine; nothing is fetched in the background.
BROWSER_ARGUMENTS = [
    f"--disable-features={','.join(WITHOUT)}",
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium with one context, for `page_of`. Without a browser the test is skipped, or fails where CI=true."""
    try:
        path = find()
    except BrowserError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGUMENTS)
        chromium.new_context()
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page, 1400 x 900 pixels."""
    with page_of(browser, 1400) as page:
        yield page


@pytest.fixture(scope="session")
def dashboard(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The dashboard on the demo study; one server for all tests."""
    with serving(demo_study, tmp_path_factory.mktemp("dashboard") / "streamlit.log") as running:
        yield running
