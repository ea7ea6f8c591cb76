"""Arrays kept on disk up to a limit."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from saebrain.pipeline.array_cache import ArrayCache

ARRAY = np.arange(1000, dtype=np.float32).reshape(10, 100)
BYTES = 4128
"""Of the file that holds it."""


def fill(cache: ArrayCache, *keys: str) -> None:
    """One after the other, each a second younger."""
    for number, key in enumerate(keys):
        cache.put(key, ARRAY + number)
        os.utime(cache.folder / f"{key}.npy", (1_000_000 + number, 1_000_000 + number))


def test_what_is_put_comes_back(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path / "cache")
    assert cache.get("a") is None
    fill(cache, "a", "b")
    found = ArrayCache(tmp_path / "cache").get("b")
    assert found is not None and found.dtype == np.float32
    np.testing.assert_array_equal(found, ARRAY + 1)


def test_files_used_longest_ago_go_when_it_is_full(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path, 3 * BYTES)
    fill(cache, "a", "b", "c")
    assert cache.get("a") is not None  # used: now the youngest
    cache.put("d", ARRAY)
    assert [cache.get(key) is not None for key in "abcd"] == [True, False, True, True]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * BYTES


def test_array_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path, 100)
    cache.put("a", ARRAY)
    assert cache.get("a") is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"nothing", pickle.dumps(ARRAY)], ids=["empty", "text", "pickle"])
def test_damaged_file_counts_as_none_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    cache = ArrayCache(tmp_path)
    (tmp_path / "a.npy").write_bytes(content)
    assert cache.get("a") is None
    cache.put("a", ARRAY)
    np.testing.assert_array_equal(cache.get("a"), ARRAY)


def test_truncated_file_counts_as_none(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    cache.put("a", ARRAY)
    path = tmp_path / "a.npy"
    path.write_bytes(path.read_bytes()[:1000])
    assert cache.get("a") is None


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ArrayCache(tmp_path)

    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        cache.put("a", ARRAY)
    assert not list(tmp_path.iterdir())
