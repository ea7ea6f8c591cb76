"""Arrays in ``.npy`` files of one plain array each: written whole or not at all; nothing is unpickled, no archive opened."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tokenize import TokenError

import numpy as np

from saebrain.atomic import replacing
from saebrain.errors import InputError

_TRIES = 5


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one array (ValueError if it holds Python objects)."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: Path, *, mapped: bool = False) -> np.ndarray:
    """Read one array, or map it into memory, read-only.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it does not hold one plain array, or not the whole of it.
    """
    for _ in range(_TRIES - 1):
        # NumPy lets Python parse the header. Python before 3.11.8 and 3.12.2 counts in one place how deep all threads are in what
        # they parse (gh-106905), so that one of two threads may be told of a mismatch that is none.
        with suppress(SystemError):
            return _read(path, mapped)
    return _read(path, mapped)


def read_brought(path: Path, *, mapped: bool = False) -> np.ndarray:
    """An array that somebody brought, as `read_array` reads it (InputError if it is missing or not readable)."""
    try:
        return read_array(path, mapped=mapped)
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not a readable .npy array ({error}); write it again with numpy.save") from error


def _read(path: Path, mapped: bool) -> np.ndarray:
    try:
        if mapped:
            return np.lib.format.open_memmap(path, mode="r")
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except (ArithmeticError, SyntaxError, TokenError, TypeError) as error:  # as NumPy lets them out
        raise ValueError(f"damaged header: {error}") from error
