"""What tests of every kind share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

TESTS = Path(__file__).parent
BUILDS_DEMO = "pipeline/test_encode.py"
LONG = {
    "browser/test_encoding.py",
    "browser/test_features.py",
    "browser/test_pages.py",
    "browser/test_viewer.py",
    "pages/test_encoding.py",
    "pipeline/test_items.py",
    "pipeline/test_live.py",
    "pipeline/test_resume.py",
    "sae/training/test_learning.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One file that needs the demo study comes first, and while its worker builds the demo, the others take what does without it.

    Files that take long come before their like, so that no worker is left with one at the end. Tests in a browser, which are marked,
    come last: Playwright keeps an event loop in its thread, and switches stacks, which other tests may not expect.
    """
    with_demo = {item.path for item in items if "demo_study" in getattr(item, "fixturenames", ())}

    def place(item: pytest.Item) -> tuple[bool, ...]:
        name = item.path.relative_to(TESTS).as_posix()
        return name.startswith("browser/"), name != BUILDS_DEMO, item.path in with_demo, name not in LONG

    for item in items:
        if item.path.is_relative_to(TESTS / "browser"):
            item.add_marker(pytest.mark.browser)
    items.sort(key=place)


@pytest.fixture(scope="session")
def demo_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished demo study: ``$SAEBRAIN_DEMO``, or ``studies/demo``, which is built when it is missing or out of date."""
    if elsewhere := os.environ.get("SAEBRAIN_DEMO"):
        return Path(elsewhere).resolve()
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}  # on all cores, unlike the tests
    with FileLock(tmp_path_factory.getbasetemp().parent / "demo.lock"):
        subprocess.run([sys.executable, "-m", "saebrain", "demo"], cwd=TESTS.parent, env=environment, stdin=subprocess.DEVNULL, check=True)
    return TESTS.parent / "studies" / "demo"
