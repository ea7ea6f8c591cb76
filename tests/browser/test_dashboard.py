"""The dashboard in a real browser: clicks, keys, the back button, downloads, and a page that follows a run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from playwright.sync_api import Browser, expect

from saebrain.store import write_table
from saebrain.study import SHIPPED
from tests.browser.dashboard import Dashboard, serving
from tests.browser.watching import PATIENCE_MS, at_rest, changed, query, settled, wait_until_drawn, watched
from tests.studies import copy_study


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
        page.get_by_role("button", name="Download map").click()
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
