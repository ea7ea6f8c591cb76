"""The feature browser in a real browser: how fast features are flipped through, by keyboard alone, and text of every kind."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from saebrain.store import write_table
from saebrain.study import Study
from tests.browser.dashboard import Dashboard, serving
from tests.browser.watching import PATIENCE_MS, SLACK, at_rest, changed, query, settled, turn, watched
from tests.studies import copy_study

FLIP_S = 0.3
FLIPS = 8
# What one long token, and text of many scripts, could break.
HOSTILE = [
    "<script>document.title='broken'</script>",
    "&amp;<b>&",
    "👩‍🚀🏳️‍🌈",
    "e\u0301\u0323o\u0308",
    "漢字仮名",
    "السلام عليكم",
    "x" * 10_000,
    '"><img src=x onerror="document.title=1">',
]


def drawn(page: Page) -> None:
    """List, contexts and charts are there, and the server has nothing left to do."""
    for selector in ("[data-testid=stDataFrame] canvas", ".sb-context", "[data-testid=stVegaLiteChart] svg.marks"):
        page.locator(selector).first.wait_for(timeout=PATIENCE_MS)
    settled(page)


def contexts(page: Page) -> str:
    return "".join(page.locator(".sb-context").all_text_contents())


def press_next(page: Page) -> float:
    """Press the keys for the next feature; returns the seconds until other contexts are there, seen by the browser itself."""
    page.evaluate(
        """before => {
            let began;
            window.flipped = null;
            const look = () => {
                const now = [...document.querySelectorAll('.sb-context')].map(each => each.textContent).join("");
                if (now && now !== before) window.flipped = performance.now() - began;
                else requestAnimationFrame(look);
            };
            window.addEventListener('keydown', () => { began = performance.now(); look(); }, {once: true, capture: true});
        }""",
        contexts(page),
    )
    page.keyboard.press("Alt+ArrowRight")
    page.wait_for_function("() => window.flipped", timeout=PATIENCE_MS)
    return float(page.evaluate("window.flipped")) / 1000


def test_flipping_by_keyboard(browser: Browser, dashboard: Dashboard, record_property: object) -> None:
    """Time from the key to the contexts of the next feature."""
    with watched(browser, width=1400) as page:
        page.goto(f"{dashboard.url}/Features")
        drawn(page)
        settled(page)
        times = []
        for _ in range(FLIPS):
            heading = page.locator("h2").first.inner_text()
            times.append(press_next(page))
            expect(page.locator("h2").first).not_to_have_text(heading)
            settled(page)
        median = statistics.median(times)
        print(f"\nflip to new contexts: median {median:.3f} s, slowest {max(times):.3f} s (wanted: {FLIP_S:g} s)")
        assert callable(record_property)
        record_property("feature flip, median", round(median, 3))
        assert median <= FLIP_S * SLACK


def test_click_in_the_moment_of_a_report_is_not_lost(browser: Browser, dashboard: Dashboard) -> None:
    """Streamlit sends what happens at once as one request: that of the viewer, to draw the viewer alone."""
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Features")
        drawn(page)
        at_rest(page)
        heading, before = page.locator("h2").first.inner_text(), contexts(page)
        page.get_by_role("button", name="Next Shortcut").evaluate(
            "button => { [...saebrain.shared.viewers][0].talk.report({need: []}); button.click(); }"
        )
        expect(page.locator("h2").first).not_to_have_text(heading, timeout=PATIENCE_MS)
        settled(page)
        assert contexts(page) != before


def test_keyboard_alone(browser: Browser, dashboard: Dashboard) -> None:
    """From the search to a feature, its examples and its neighbour in the list, without a mouse."""
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Features")
        drawn(page)
        page.get_by_label("Search", exact=True).focus()
        before = query(page)
        page.keyboard.type("harbour")
        page.keyboard.press("Enter")
        changed(page, before)
        settled(page)
        heading = page.locator("h2").first.inner_text()
        page.keyboard.press("Alt+ArrowRight")
        expect(page.locator("h2").first).not_to_have_text(heading, timeout=PATIENCE_MS)
        settled(page)
        page.get_by_role("radio", name="By activation").focus()
        page.keyboard.press("Space")
        expect(page.locator(".sb-interval").first).to_be_visible(timeout=PATIENCE_MS)
        assert "show=intervals" in query(page) and "q=harbour" in query(page)
        context = page.locator(".sb-context .text").first
        context.focus()  # a long one is scrolled by the arrow keys
        assert context.evaluate("element => element === document.activeElement")


def test_table_stays_where_it_was_scrolled_to(browser: Browser, dashboard: Dashboard) -> None:
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Features")
        drawn(page)
        table = page.get_by_test_id("stDataFrame").first
        box = table.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 300, box["y"] + 150)
        page.mouse.wheel(0, 2000)
        scroller = table.locator(".dvn-scroller")
        page.wait_for_function("() => document.querySelector('[data-testid=stDataFrame] .dvn-scroller').scrollTop > 500", timeout=PATIENCE_MS)
        scrolled, before = scroller.evaluate("element => element.scrollTop"), query(page)
        page.mouse.click(box["x"] + 250, box["y"] + 35 * 3.5)
        changed(page, before)
        settled(page)
        assert scroller.evaluate("element => element.scrollTop") == pytest.approx(scrolled, abs=40)


def test_click_on_a_neighbour_goes_there(browser: Browser, dashboard: Dashboard) -> None:
    """The last row is of another layer."""
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Features")
        drawn(page)
        table = page.get_by_test_id("stDataFrame").nth(1)
        table.scroll_into_view_if_needed()
        page.get_by_test_id("stMain").evaluate("element => element.scrollTo(0, element.scrollHeight)")
        settled(page)
        box, before = table.bounding_box(), query(page)
        assert box is not None
        page.mouse.click(box["x"] + 130, box["y"] + box["height"] - 20)
        changed(page, before)
        settled(page)
        gone = re.fullmatch(r"\?feature=(\d+)&layer=25", query(page))
        assert gone is not None
        expect(page.locator("h2").first).to_have_text(f"Feature {gone[1]}")


def test_heat_is_told_apart_by_lightness_in_both_themes(browser: Browser, dashboard: Dashboard) -> None:
    """Stronger activations are darker on a light page and lighter on a dark one, step by step, and text stays readable on all of them."""
    measure = """() => {
        const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
        const rgb = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
                                return [...canvas.getImageData(0, 0, 1, 1).data].map(value => value / 255); };
        const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                                       return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
        const page = rgb(getComputedStyle(document.querySelector('.stApp')).backgroundColor);
        const mark = document.querySelector('.sb-context mark');
        return [0, 25, 50, 75, 100].map(share => {
            mark.style.setProperty('--share', `${share}%`);
            const [r, g, b, a] = rgb(getComputedStyle(mark).backgroundColor);
            const shown = [r, g, b].map((value, n) => value * a + page[n] * (1 - a));
            const [one, other] = [light(shown), light(rgb(getComputedStyle(mark).color))].sort((m, n) => n - m);
            return [light(shown), (one + 0.05) / (other + 0.05)];
        });
    }"""
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Features")
        drawn(page)
        for theme in ("light", "dark"):
            turn(page, theme)
            settled(page)
            found = page.evaluate(measure)
            steps = [lightness for lightness, _ in found]
            assert steps == sorted(steps, reverse=theme == "light") and len({round(step, 3) for step in steps}) == 5
            assert min(contrast for _, contrast in found) >= 4.5, (theme, found)


@pytest.fixture(scope="module")
def hostile(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A study whose text holds what could break a page, and the feature in whose strongest context it stands."""
    study = copy_study(demo_study, tmp_path_factory.mktemp("hostile") / "study", without=("tokens.parquet",))
    tokens = pd.read_parquet(demo_study / "tokens.parquet")
    contexts = pd.read_parquet(Study.open(demo_study).features / "contexts.parquet")
    first = contexts[(contexts["rank"] == 0) & (contexts["token"] - contexts["start"] > len(HOSTILE))].iloc[0]
    text = tokens["text"].to_numpy(object).copy()
    text[int(first["token"]) - len(HOSTILE) + 1 : int(first["token"]) + 1] = HOSTILE
    tokens.assign(text=text).to_parquet(study / "tokens.parquet")
    return study, int(first["feature"])


def test_text_of_every_kind_is_shown_literally(browser: Browser, hostile: tuple[Path, int], tmp_path: Path) -> None:
    study, feature = hostile
    with serving(study, tmp_path / "streamlit.log") as server, watched(browser) as page:
        page.goto(f"{server.url}/Features?feature={feature}")
        page.locator(".sb-context").first.wait_for(timeout=PATIENCE_MS)
        settled(page)
        shown = str(page.locator(".sb-context .text").first.evaluate("element => element.textContent"))
        assert "".join(HOSTILE) in shown
        assert "broken" not in page.title() and page.locator(".sb-context img, .sb-context script, .sb-context b").count() == 0
        context = page.locator(".sb-context .text").first
        assert context.evaluate("element => element.scrollWidth <= element.clientWidth + 1")  # nothing runs out of its column
        assert context.evaluate("element => element.clientHeight") < 400
    assert "Traceback" not in server.log.read_text()


def test_lasso_on_the_map_of_features_makes_the_list(browser: Browser, demo_study: Path, tmp_path: Path) -> None:
    study = copy_study(demo_study, tmp_path / "study")
    places = Study.open(study).features / "layout.parquet"
    places.unlink(missing_ok=True)
    side = np.linspace(-1, 1, 64)
    x, y = np.meshgrid(side, side)
    write_table(places, pd.DataFrame({"feature": range(4096), "x": x.ravel(), "y": y.ravel()}))
    with serving(study, tmp_path / "streamlit.log") as server, watched(browser) as page:
        page.goto(f"{server.url}/Features?plane=on")
        drawn(page)
        plot = page.locator(".js-plotly-plot .nsewdrag").first
        plot.wait_for(timeout=PATIENCE_MS)
        box, before = plot.bounding_box(), query(page)
        assert box is not None
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(middle[0] - 60, middle[1] - 60)
        page.mouse.down()
        for dx, dy in ((60, -60), (60, 60), (-60, 60), (-60, -60)):
            page.mouse.move(middle[0] + dx, middle[1] + dy, steps=5)
        page.mouse.up()
        changed(page, before)
        assert "area=" in query(page)
        settled(page)
        listed = re.search(r"^([\d,]+) of 4,096 features", page.get_by_text(re.compile("of 4,096 features")).inner_text())
        assert listed is not None and 0 < int(listed[1].replace(",", "")) < 2000
        page.reload()
        expect(page.get_by_text(re.compile(f"^{listed[1]} of 4,096 features"))).to_be_visible(timeout=PATIENCE_MS)


def test_your_text(browser: Browser, dashboard: Dashboard) -> None:
    with watched(browser) as page:
        page.goto(f"{dashboard.url}/Your_text")
        box = page.get_by_label("Text", exact=True)
        box.wait_for(timeout=PATIENCE_MS)
        box.fill("The old harbour, <b>quiet</b> & 東京.")
        page.get_by_role("button", name=re.compile("^Read")).click()
        page.get_by_role("button", name="Cancel").wait_for(timeout=PATIENCE_MS)
        page.locator(".sb-context mark").first.wait_for(timeout=90_000)
        assert "The old harbour, <b>quiet</b> & 東京." in str(page.locator(".sb-context .text").first.evaluate("element => element.textContent"))
        assert page.locator(".sb-context mark").first.get_attribute("title", timeout=1000) is not None
        began = time.monotonic()
        box.fill("Eleven boats came back.")
        page.get_by_role("button", name=re.compile("^Read")).click()
        expect(page.locator(".sb-context .text").first).to_contain_text("Eleven boats", timeout=PATIENCE_MS)
        print(f"\nsecond text: {time.monotonic() - began:.2f} s")
