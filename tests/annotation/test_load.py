"""Many annotators at once, and a writer that is killed; `benchmarks.annotation` does the same at full size."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL

from benchmarks.annotation import kills, load
from tests.annotation.conftest import Fresh


def test_parallel_annotators_lose_and_double_nothing(fresh: Fresh) -> None:
    database = fresh()
    found = load(database.url, annotators=4, labels=60)
    assert (found.events, found.lost, found.doubled, found.errors) == (240, 0, 0, 0)


def test_killed_writer_keeps_every_receipt(tmp_path: Path) -> None:
    found = kills(URL.create("sqlite", database=str(tmp_path / "a.db")), times=5)
    assert found.receipts >= 5 and found.lost == 0
