"""The browser of the tests can draw what the dashboard draws."""

from __future__ import annotations

from playwright.sync_api import Page


def test_webgl2_draws(page: Page) -> None:
    pixel = page.evaluate(
        """() => {
            const gl = document.createElement("canvas").getContext("webgl2");
            gl.clearColor(1, 0.5, 0, 1);
            gl.clear(gl.COLOR_BUFFER_BIT);
            const rgba = new Uint8Array(4);
            gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
            return Array.from(rgba);
        }"""
    )
    assert pixel[0] == 255 and pixel[1] in (127, 128) and pixel[2:] == [0, 255]
