"""Arrays that can be made again, kept on disk up to a limit: files named by a hash of what they hold."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

from saebrain.arrays import read_array, write_array

MOST_BYTES = 2 << 30


class ArrayCache:
    """A folder of arrays; those that were used longest ago go when it is full. Several processes may share it."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self.most_bytes = folder, most_bytes

    def get(self, key: str) -> np.ndarray | None:
        """The array filed under a key, or None; a damaged file counts as none."""
        path = self._path(key)
        try:
            array = read_array(path)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            path.unlink(missing_ok=True)
            return None
        return array

    def put(self, key: str, array: np.ndarray) -> None:
        """File an array, and make room for it."""
        if array.nbytes > self.most_bytes:
            return
        write_array(self._path(key), array)
        self._evict()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npy"

    def _evict(self) -> None:
        files = []
        for path in self.folder.glob("*.npy"):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                state = path.stat()
                files.append((state.st_mtime_ns, state.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.most_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size
