"""Pages of the dashboard as a test sees them: when they are drawn and at rest, what went wrong in them, how long it took."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from saebrain.ui.frame import TITLES

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
SLACK = 5.0
"""A busy machine may take this many times as long before the test fails; the times themselves are printed."""
PATIENCE_MS = 60_000
# Of a page in a folder, Streamlit tries its own addresses there before it tries them at the root.
EXPECTED_404 = re.compile(r"/_stcore/(health|host-config)$")


@contextmanager
def watched(browser: Browser, *, width: int = 1280, theme: str = "light", first: bool = False) -> Iterator[Page]:
    """A fresh page; at the end nothing may have gone wrong in it. ``first``: of somebody who has never been here."""
    with page_of(browser, width, first=first) as page:
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        with _watching(page):
            yield page


@contextmanager
def page_of(browser: Browser, width: int, *, first: bool = False) -> Iterator[Page]:
    """A page that shares nothing with other pages but, unless it is the ``first``, what the browser keeps of the server's files."""
    context = browser.new_context() if first else browser.contexts[0]
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 900})
    try:
        yield page
    finally:
        page.close()
        context.clear_cookies()
        if first:
            context.close()


@contextmanager
def _watching(page: Page) -> Iterator[None]:
    problems: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not EXPECTED_404.search(message.location["url"]):
            problems.append(f"{message.text} ({message.location['url']})")

    page.on("console", note)
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        yield
    except Exception as error:
        error.add_note(f"The page then: {state(page)}. Its console: {problems}")
        raise
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert problems == [], problems


def state(page: Page) -> dict[str, object]:
    """What a page is at, for a test that failed: where it is, whether it is connected and draws, and what has the keyboard."""
    found = page.evaluate(
        """async () => {
            const app = document.querySelector('.stApp')?.dataset ?? {}, began = performance.now();
            const frame = new Promise(resolve => requestAnimationFrame(() => resolve(Math.round(performance.now() - began))));
            const late = new Promise(resolve => setTimeout(() => resolve('none in 2000'), 2000));
            return {address: location.href, headings: [...document.querySelectorAll('h1, h2')].map(each => each.innerText),
                    script: app.testScriptState, connection: app.testConnectionState, 'next frame, ms': await Promise.race([frame, late]),
                    visible: document.visibilityState, focus: document.hasFocus(), focused: document.activeElement?.outerHTML.slice(0, 100)};
        }"""
    )
    assert isinstance(found, dict)
    return found


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


def turn(page: Page, theme: str) -> None:
    """Let the browser prefer light or dark, and wait until the page has followed."""
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.wait_for_function("theme => getComputedStyle(document.querySelector('.stApp')).colorScheme === theme", arg=theme, timeout=PATIENCE_MS)


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
