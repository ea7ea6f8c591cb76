"""The dashboard opens in a browser, started by our own command or by Streamlit's."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.dashboard import Dashboard, serving


def opens(page: Page, dashboard: Dashboard) -> None:
    page.goto(dashboard.url)
    expect(page.get_by_test_id("stMain").get_by_role("heading").first).to_be_visible(timeout=30_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert "Traceback" not in dashboard.log.read_text()


def test_overview_opens_without_an_error(page: Page, dashboard: Dashboard) -> None:
    opens(page, dashboard)


def test_streamlit_run_opens_the_study_named_in_the_environment(page: Page, demo_study: Path, tmp_path: Path) -> None:
    with serving(demo_study, tmp_path / "streamlit.log", plainly=True) as plain:
        opens(page, plain)
