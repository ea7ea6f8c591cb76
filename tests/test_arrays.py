"""Arrays are written whole, and what is no plain array is refused, not unpickled."""

from __future__ import annotations

import ast
import gc
import io
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from saebrain.arrays import read_array, write_array

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
BOTH = pytest.mark.parametrize("mapped", [False, True])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_array(tmp_path / "result.npy", ARRAY)
    return tmp_path / "result.npy"


def test_arrays_are_written_without_pickle(path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_array(path, np.array([{}], dtype=object))
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), ARRAY)
    assert list(path.parent.iterdir()) == [path]


@BOTH
@pytest.mark.parametrize("array", [ARRAY, ARRAY.T, np.float64(3.0), np.zeros((4, 0), np.int8), np.array(["town", "Stadt"])])
def test_what_was_written_is_read(tmp_path: Path, array: np.ndarray, mapped: bool) -> None:
    write_array(tmp_path / "array.npy", array)
    found = read_array(tmp_path / "array.npy", mapped=mapped)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype and found.flags.f_contiguous == array.flags.f_contiguous
    assert isinstance(found, np.memmap) == mapped and found.flags.writeable != mapped


def archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=ARRAY)
    return file.getvalue()


class Trap:
    """Tells that it was unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise RuntimeError('unpickled')",)


def with_header(header: bytes, data: bytes = bytes(24)) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@BOTH
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        pickle.dumps(Trap()),
        archive(),
        with_header(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", pickle.dumps(Trap())),
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, "),
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 'x')}"),
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (200, 300)}"),
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}"),
        with_header(b"{{'descr': '<f4'}: 1}"),
        with_header(b"{'descr': '<f\x00', 'fortran_order': False, 'shape': (2, 3)}"),
    ],
)
def test_what_is_no_plain_array_is_refused(path: Path, content: bytes, mapped: bool) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError):
        read_array(path, mapped=mapped)
    assert path.read_bytes() == content


@BOTH
def test_a_missing_file(tmp_path: Path, mapped: bool) -> None:
    with pytest.raises(FileNotFoundError):
        read_array(tmp_path / "none.npy", mapped=mapped)


@pytest.fixture
def another_parses_meanwhile() -> Iterator[None]:
    """As another thread may, while garbage is collected in the midst of parsing; once."""
    to_do = ["{}"]

    def parse(phase: str, _: dict[str, int]) -> None:
        if to_do and phase == "stop" and sys._getframe(1).f_code is ast.parse.__code__:
            ast.parse(to_do.pop(), mode="eval")

    before = gc.get_threshold()
    gc.callbacks.append(parse)
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)
    gc.callbacks.remove(parse)


@BOTH
@pytest.mark.usefixtures("another_parses_meanwhile")
def test_reading_while_another_thread_parses(path: Path, mapped: bool) -> None:
    """Some versions of Python then fail in either thread, with an error of their own."""
    np.testing.assert_array_equal(read_array(path, mapped=mapped), ARRAY)


@BOTH
def test_an_error_that_stays_is_told(path: Path, monkeypatch: pytest.MonkeyPatch, mapped: bool) -> None:
    def fails(*_: object, **__: object) -> None:
        raise SystemError("broken")

    monkeypatch.setattr(np.lib.format, "open_memmap" if mapped else "read_array", fails)
    with pytest.raises(SystemError, match="broken"):
        read_array(path, mapped=mapped)
