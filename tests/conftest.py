"""What tests of every kind share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BROWSER_TESTS = ROOT / "tests" / "browser"
LONG = ("test_encode.py", "test_resume.py", "test_items.py", "test_topography.py", "test_pages.py", "test_viewer.py", "test_features.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no worker is left with one at the end; tests in a browser, which are marked, come last.

    Playwright keeps an event loop in its thread, and switches stacks, which other tests may not expect.
    """
    for item in items:
        if item.path.is_relative_to(BROWSER_TESTS):
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: (item.path.is_relative_to(BROWSER_TESTS), item.path.name not in LONG))


@pytest.fixture(scope="session")
def demo_study() -> Path:
    """Folder of a finished demo study: ``$SAEBRAIN_DEMO``, or ``studies/demo``, which is built when it is missing or out of date."""
    if elsewhere := os.environ.get("SAEBRAIN_DEMO"):
        return Path(elsewhere).resolve()
    subprocess.run([sys.executable, "-m", "saebrain", "demo"], cwd=ROOT, stdin=subprocess.DEVNULL, check=True)
    return ROOT / "studies" / "demo"
