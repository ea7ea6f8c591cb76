"""What a change of map costs on a page, and what pictures cost without one, against nilearn.

    python -m benchmarks.surface [--json] [--flips 20] [--peer-flips 5] [--width 1200] [--without-peer]

In Chromium with software GL, through Streamlit on this machine: bytes on the web socket and time from the key (or the
click) to the drawn picture, for this project's viewer, and for nilearn's plotly engine (``plot_surf`` of four views in one
figure) under ``st.plotly_chart``, in the same run. Static: a strip of four views as PNG bytes, against the same with
nilearn's matplotlib engine at the same size. nilearn's plotting needs matplotlib (requirements-dev.txt).
``map_ms`` is one feature's correlation with 20,484 vertices x 2,816 samples.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from saebrain.maps import correlation_map, deviation, standardised
from saebrain.surface.marks import png_url
from saebrain.surface.mesh import fsaverage5
from saebrain.surface.render import strip, thumbnail
from tests.browser.conftest import BROWSER_ARGUMENTS
from tests.browser.dashboard import Socket, serving, serving_app
from tools.find_browser import find

APPS = Path(__file__).parent / "surface_apps"
SAMPLES = 2816
PATIENCE_MS = 120_000
# From a key to its picture. A pixel is read back once the viewer has heard of the key: only then is the picture really there.
DRAWN_MS = """() => {
    document.addEventListener("keydown", () => { window.pressed = performance.now(); }, { capture: true });
    const { canvas, gl } = [...saebrain.shared.viewers][0].scene;
    canvas.addEventListener("keydown", () => {
        gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
        window.drawn = performance.now() - window.pressed;
    });
}"""


def viewer_flips(page: Page, url: str, flips: int) -> dict[str, Any]:
    """Arrow keys; every flip waits until the maps around are there again."""
    counted = Socket(page)
    page.goto(url)
    ready = """number => { const viewer = window.saebrain && [...saebrain.shared.viewers][0];
        return viewer?.drawn?.map === `test wave ${number}` && !Object.keys(viewer.talk.open).length && !viewer.talk.timers.flip
            && viewer.header.around.every(({ id }) => saebrain.shared.maps.has(id))
            && document.querySelector('[data-test-script-state="notRunning"]'); }"""
    page.wait_for_function(ready, arg=0, timeout=PATIENCE_MS)
    first, before = counted.bytes, counted.bytes
    page.locator("canvas[role=img]").focus()
    page.evaluate(DRAWN_MS)
    times = []
    for number in range(1, flips + 1):
        page.keyboard.press("ArrowRight")
        times.append(page.evaluate("drawn"))
        page.wait_for_function(ready, arg=number, timeout=PATIENCE_MS)
        page.wait_for_timeout(100)
    return {"first_bytes": first, "bytes_per_flip": round((counted.bytes - before) / flips), "draw_ms": round(statistics.median(times), 1)}


PLOTTED_MS = """title => new Promise(done => {
    // plotly has the new figure once its layout says so (the theme sets the title in bold), and draws its scenes in the frame after
    const look = () => {
        const layout = [...document.querySelectorAll('.js-plotly-plot')].at(-1)?._fullLayout;
        const there = layout?.title?.text?.replace(/<[^>]*>/g, "") === title && layout.scene4?._scene?.glplot;
        requestAnimationFrame(there ? () => requestAnimationFrame(() => done(performance.now())) : look);
    };
    look();
})"""


def peer_flips(page: Page, url: str, flips: int) -> dict[str, Any]:
    """A button for the next map; drawn a frame after plotly has the figure, which favours it if anything."""
    counted = Socket(page)
    page.goto(url)
    drawn = "() => document.querySelector('.js-plotly-plot')?._fullLayout && document.querySelector('[data-test-script-state=\"notRunning\"]')"
    page.wait_for_function(drawn, timeout=PATIENCE_MS)
    page.wait_for_timeout(3000)
    before, times = counted.bytes, []
    for number in range(1, flips + 1):
        started = page.evaluate("performance.now()")
        page.get_by_role("button", name="Next").click()
        times.append(page.evaluate(PLOTTED_MS, f"map {number}") - started)
        page.wait_for_timeout(500)
    return {"bytes_per_flip": round((counted.bytes - before) / flips), "draw_ms": round(statistics.median(times), 1)}


def page_changes(page: Page, url: str, changes: int) -> dict[str, Any]:
    """From one page of the dashboard to another and back: graphics contexts that were made, megabytes of the heap after a tenth and at the end."""
    page.add_init_script(
        """window.contexts = 0; const get = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            window.contexts += kind === "webgl2" && !this.contexted; this.contexted ||= kind === "webgl2"; return get.call(this, kind, ...rest); };"""
    )
    page.goto(f"{url}/Cortex")
    inspector, heap = page.context.new_cdp_session(page), []
    drawn = "shown => Boolean(window.saebrain) && [...saebrain.shared.viewers].some(viewer => viewer.drawn) === shown"
    page.wait_for_function(drawn, arg=True, timeout=PATIENCE_MS)
    for number in range(changes):
        shown = number % 2 == 1
        page.get_by_test_id("stSidebar").get_by_role("link", name="Cortex" if shown else "Overview", exact=True).click()
        page.wait_for_function(drawn, arg=shown, timeout=PATIENCE_MS)
        page.wait_for_function("() => document.querySelector('[data-test-script-state=\"notRunning\"]')", timeout=PATIENCE_MS)
        if number + 1 in (changes // 10, changes):
            inspector.send("HeapProfiler.collectGarbage")
            heap.append(round(inspector.send("Runtime.getHeapUsage")["usedSize"] / 2**20, 1))
    return {"changes": changes, "contexts": page.evaluate("contexts"), "heap_mb": heap}


def of_dashboard(study: Path, changes: int) -> dict[str, Any]:
    """Page changes in the dashboard of a study. Without compilers, whose code on the heap grows as a page is used; data are what is asked about."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=find(), args=[*BROWSER_ARGUMENTS, "--js-flags=--no-opt --no-maglev --no-sparkplug"])
        with serving(study, Path(folder) / "streamlit.log") as app:
            found = page_changes(browser.new_context(viewport={"width": 1400, "height": 900}).new_page(), app.url, changes)
        browser.close()
    return found


def in_browser(flips: int, peer: int) -> list[dict[str, Any]]:
    """This project's pages and the peer's in one browser, one after the other; without flips of the peer, only this project's."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=find(), args=BROWSER_ARGUMENTS)
        found: list[dict[str, Any]] = []
        for name, script, run in (
            ("viewer", Path(__file__).parents[1] / "tests" / "browser" / "viewer_app.py", lambda page, url: viewer_flips(page, url, flips)),
            ("viewer, 327,684 vertices", APPS / "dense_page.py", lambda page, url: viewer_flips(page, url, flips // 2)),
            ("nilearn's plotly engine", APPS / "plotly_page.py", lambda page, url: peer_flips(page, url, peer)),
        ):
            if "nilearn" in name and not peer:
                break
            with serving_app(script, Path(folder) / "streamlit.log") as app:
                page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
                print(f"{name} ...", file=sys.stderr)
                found.append(run(page, app.url))
                print(f"  {found[-1]}", file=sys.stderr)
                page.context.close()
        browser.close()
    return found


def median_ms(what: Callable[[], object], times: int) -> float:
    """After one call that is not counted."""
    what()
    found = []
    for _ in range(times):
        started = time.perf_counter()
        what()
        found.append(1000 * (time.perf_counter() - started))
    return round(statistics.median(found), 1)


def nilearn_strip(values: np.ndarray, width: int) -> bytes:
    """Four views side by side as PNG, with nilearn's matplotlib engine."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from nilearn import plotting

    surfaces = fsaverage5()
    figure, axes = plt.subplots(1, 4, figsize=(width / 100, width / 600), dpi=100, subplot_kw={"projection": "3d"})
    for axis, (side, view) in zip(axes, (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral")), strict=True):
        inside = surfaces.vertices_of("left" if side == "left" else "right")
        mesh = surfaces.mesh("inflated")
        faces = mesh.faces_of("left" if side == "left" else "right") - inside.start
        plotting.plot_surf(
            (mesh.coordinates[inside].copy(), faces),
            values[inside],
            bg_map=surfaces.sulc[inside],
            hemi=side,
            view=view,
            axes=axis,
            figure=figure,
            cmap="RdBu_r",
        )
    file = io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    return file.getvalue()


def static(width: int, *, peer: bool) -> dict[str, float]:
    """Pictures and maps without a browser; saebrain's first call, which makes the pixel table, is not counted, nor is nilearn's."""
    values = np.sin(fsaverage5().mesh("white").coordinates[:, 1] / 15).astype(np.float32)
    rng = np.random.default_rng(0)
    measured = rng.standard_normal((SAMPLES, len(values)), np.float32)
    spread, course = deviation(measured), standardised(rng.standard_normal((SAMPLES, 1)))[:, 0]
    return {
        "static_ms": median_ms(lambda: png_url(strip(values, width=width)), 7),
        **({"peer_static_ms": median_ms(lambda: nilearn_strip(values, width), 2)} if peer else {}),
        "thumbnail_ms": median_ms(lambda: thumbnail(values), 15),
        "map_ms": median_ms(lambda: correlation_map(course, measured, spread), 9),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--flips", type=int, default=20)
    parser.add_argument("--peer-flips", type=int, default=5)
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--study", type=Path, help="a built study, for changes between pages of its dashboard")
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--without-peer", action="store_true", help="measure this project alone")
    options = parser.parse_args()
    if not options.without_peer and importlib.util.find_spec("matplotlib") is None:
        parser.error("nilearn's plotting needs matplotlib, which is not installed; pip install -r requirements-dev.txt, or add --without-peer")
    pictures = static(options.width, peer=not options.without_peer)
    print(f"static: {pictures}", file=sys.stderr)
    own, dense, *peers = in_browser(options.flips, 0 if options.without_peer else options.peer_flips)
    figures = own | pictures | {"vertices_327684": dense}
    if options.study:
        figures["page_changes"] = of_dashboard(options.study, options.changes)
    for peer in peers:
        figures["peer"] = {"name": "nilearn plotly engine in st.plotly_chart", **peer}
    if options.json:
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
