"""Starting the server: when a browser is opened, and what is at hand before the first visitor comes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from saebrain.study import PROJECT
from saebrain.ui.serve import has_screen

SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
@pytest.mark.parametrize("variable", [None, *SCREENS])
def test_browser_opens_only_on_a_display(monkeypatch: pytest.MonkeyPatch, variable: str | None) -> None:
    for name in SCREENS:
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, ":0")
    assert has_screen() == (variable is not None)


def test_pages_import_nothing_heavy_after_the_warm_up() -> None:
    """What takes long to import is there before the first page; and it is no model code."""
    code = """
import sys
import streamlit.web.bootstrap
from saebrain.study import SHIPPED, Study
from saebrain.ui.serve import warm
warm(Study.open(SHIPPED / "demo"))
before = set(sys.modules)
assert not before & {"torch", "transformers"}
import saebrain.ui.overview, saebrain.ui.cortex_page, saebrain.ui.feature_page, saebrain.ui.feature_list, saebrain.ui.plots
new = {name.split(".")[0] for name in set(sys.modules) - before} - {"saebrain"}
print(sorted(new & {"altair", "duckdb", "nibabel", "pandas", "plotly", "pyarrow", "scipy", "sqlalchemy"}))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
