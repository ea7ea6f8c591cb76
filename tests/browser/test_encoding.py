"""The live flow of the encoding page in a real browser: parcels after a click, the map as a job, a reload and a restart meanwhile."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from saebrain import jobs
from saebrain.pipeline import runs
from saebrain.study import Study
from tests.browser.dashboard import serving
from tests.browser.watching import PATIENCE_MS, query, report, settled, watched
from tests.studies import copy_study

CLICK_S = 1.0
MAP_MS = 240_000


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Iterator[Study]:
    """A copy with the demo's kernels; no job outlives the test."""
    folder = copy_study(demo_study, tmp_path / "study")
    if (demo_study / "cache").is_dir():
        shutil.copytree(demo_study / "cache", folder / "cache")
    opened = Study.open(folder)
    yield opened
    for job in jobs.all_jobs(folder / "jobs"):
        job.cancel()


def tick(page: Page, name: str) -> None:
    page.locator("label", has_text=re.compile(rf"^{name} · [\d,]+")).click()


def source(page: Page) -> str | None:
    return page.get_by_test_id("stImage").locator("img").first.get_attribute("src")


def test_click_to_parcels_to_a_map(browser: Browser, study: Study, tmp_path: Path, record_property: object) -> None:
    with serving(study.folder, tmp_path / "first.log") as server, watched(browser) as page:
        page.goto(f"{server.url}/Encoding?pick=semantic%2Fplace")
        page.get_by_text("r of every vertex").wait_for(timeout=PATIENCE_MS)
        settled(page)
        tick(page, "Syntactic")  # the first answer loads the engine
        page.get_by_text("Parcels answered in").wait_for(timeout=PATIENCE_MS)
        settled(page)
        assert "pick=semantic%2Fplace%2Bsyntactic" in query(page)
        before = source(page)
        started = time.monotonic()
        tick(page, "Lexical")
        page.wait_for_function(
            "before => document.querySelector('[data-testid=stImage] img')?.getAttribute('src') !== before", arg=before, timeout=PATIENCE_MS
        )
        report(record_property, "click to the parcels' picture", time.monotonic() - started, CLICK_S)
        settled(page)
        expect(page.get_by_text(re.compile(r"Parcels answered in \d+\.\d\d s"))).to_be_visible()
        parcels = source(page)
        page.get_by_role("button", name="Map every vertex").click()
        expect(page.get_by_role("button", name="Cancel")).to_be_visible(timeout=PATIENCE_MS)
        page.reload()
        expect(page.get_by_role("button", name="Cancel")).to_be_visible(timeout=PATIENCE_MS)
        address = query(page)
    assert "Traceback" not in server.log.read_text()
    (job,) = jobs.all_jobs(study.folder / "jobs")
    assert job.status().state in ("running", "done")  # the server has stopped, the job has not
    with serving(study.folder, tmp_path / "second.log") as server, watched(browser) as page:
        page.goto(f"{server.url}/Encoding{address}")
        page.get_by_text("r of every vertex").wait_for(timeout=MAP_MS)  # nobody clicks: the page follows the job
        settled(page)
        assert source(page) != parcels
        expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        page.get_by_text("Recorded runs", exact=True).click()
        expect(page.get_by_text(re.compile("^Where .* comes from"))).to_be_visible(timeout=PATIENCE_MS)
    (run,) = runs.all_runs(study)
    assert run.selection == "lexical+semantic/place+syntactic" and run.seconds > 0
    assert "Traceback" not in server.log.read_text()
