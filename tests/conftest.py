"""What tests of every kind share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BROWSER_TESTS = ROOT / "tests" / "browser"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests in a browser and put them last: Playwright keeps an event loop in the thread that other tests may not expect."""
    for item in items:
        if item.path.is_relative_to(BROWSER_TESTS):
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: item.path.is_relative_to(BROWSER_TESTS))


@pytest.fixture(scope="session")
def demo_study() -> Path:
    """Folder of a finished demo study: ``$SAEBRAIN_DEMO``, or ``studies/demo``, which is built when it is missing or out of date."""
    if elsewhere := os.environ.get("SAEBRAIN_DEMO"):
        return Path(elsewhere).resolve()
    subprocess.run([sys.executable, "-m", "saebrain", "demo"], cwd=ROOT, stdin=subprocess.DEVNULL, check=True)
    return ROOT / "studies" / "demo"
