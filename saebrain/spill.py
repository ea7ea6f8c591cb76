"""A file of codes sorted by feature, written from codes that come token by token, in memory that does not grow with their number.

External sort. A code is one 64-bit key, from the highest bits to the lowest::

    feature | token | value (the 16 bits of a half-precision number)

so that sorting the keys sorts the codes. They are gathered, sorted and spilled in chunks. At the end the chunks are
merged one range of features after another: the part of each chunk that lies in the range is read, and the range is
sorted. All temporary files, 8 bytes a code and the new file, are in one hidden folder beside the target, which is
removed at the end; what a killed run has left there is removed by the next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int, UInt64

from saebrain.codes import CODES_AT_ONCE, Index, SparseCodes
from saebrain.errors import InputError

CODES_PER_CHUNK = 1 << 24
"""Codes sorted in memory before they are spilled, 8 bytes each."""
CODES_PER_ROW_GROUP = 1 << 14
ROW_GROUPS = 4096
"""Larger files have larger row groups instead of more: all are listed in the footer, which every reader takes in whole."""
SCHEMA = pa.schema([("feature", pa.int32()), ("token", pa.int64()), ("value", pa.float16())])
_VALUE_BITS = 16


@contextmanager
def writing_codes(path: Path, n_features: int, *, codes_at_once: int = CODES_PER_CHUNK) -> Iterator[Spill]:
    """Yield what takes the codes, then write them to ``path``: complete, or after an error not at all.

    Parameters
    ----------
    codes_at_once : int
        Codes to hold in memory.

    Raises
    ------
    InputError
        If another process is writing the same file.
    """
    with _hidden_folder(path) as folder:
        spill = Spill(folder, n_features, codes_at_once)
        yield spill
        temporary = folder / path.name
        _write(temporary, spill.merged(), n_features, spill.n_codes)
        temporary.replace(path)


class Spill:
    """Takes codes, and gives them back sorted."""

    def __init__(self, folder: Path, n_features: int, codes_at_once: int) -> None:
        self.n_codes = 0
        self._folder, self._n_features, self._codes_at_once = folder, n_features, codes_at_once
        self._token_bits = 64 - _VALUE_BITS - max(1, (n_features - 1).bit_length())
        self._keys = np.empty(codes_at_once, np.uint64)
        self._held = 0
        self._starts: list[Int[np.ndarray, " n_features_plus_1"]] = []
        """Of each chunk: its first code of every feature."""

    def add(self, feature: Int[np.ndarray, " codes"], token: Int[np.ndarray, " codes"], value: Float[np.ndarray, " codes"]) -> None:
        """Take more codes, in any order, of the last call's last token or later ones.

        Raises
        ------
        InputError
            If the text has more tokens than can be numbered beside so many features.
        """
        if token.max(initial=0) >> self._token_bits:
            raise InputError(f"{token.max() + 1:,} tokens: with {self._n_features:,} features at most {1 << self._token_bits:,}; split the text")
        keys = self._pack(feature, token, value)
        self.n_codes += len(keys)
        while len(keys):
            taken, keys = np.split(keys, [len(self._keys) - self._held])
            self._keys[self._held : self._held + len(taken)] = taken
            self._held += len(taken)
            if self._held == len(self._keys):
                self._spill()

    def merged(self) -> Iterator[SparseCodes]:
        """All codes in order, in parts of a bounded size."""
        self._spill()
        start = np.sum(self._starts, axis=0)
        first = 0
        while first < self._n_features:
            stop = max(first + 1, int(np.searchsorted(start, start[first] + min(self._codes_at_once, CODES_AT_ONCE), side="right")) - 1)
            chunks = range(len(self._starts))
            if stop == first + 1:  # of one feature the chunks are in order as they are; together they may be too many
                yield from (self._unpack(self._read([chunk], first, stop)) for chunk in chunks)
            else:
                keys = self._read(chunks, first, stop)
                keys.sort()
                yield self._unpack(keys)
            first = stop

    def _spill(self) -> None:
        keys = self._keys[: self._held]
        keys.sort()
        feature = np.arange(self._n_features, dtype=np.uint64) << np.uint64(self._token_bits + _VALUE_BITS)
        keys.tofile(self._chunk(len(self._starts)))
        self._starts.append(np.append(np.searchsorted(keys, feature), len(keys)))
        self._held = 0

    def _chunk(self, number: int) -> Path:
        return self._folder / f"{number:05d}.keys"

    def _read(self, chunks: Iterable[int], first: int, stop: int) -> UInt64[np.ndarray, " codes"]:
        """The keys of the features ``first:stop``, chunk after chunk, in the memory that is free now that all is spilled."""
        held = 0
        for chunk in chunks:
            low, high = self._starts[chunk][[first, stop]].tolist()
            with self._chunk(chunk).open("rb") as file:
                file.seek(low * self._keys.itemsize)
                file.readinto(self._keys[held : held + high - low].data)
            held += high - low
        return self._keys[:held]

    def _pack(
        self, feature: Int[np.ndarray, " codes"], token: Int[np.ndarray, " codes"], value: Float[np.ndarray, " codes"]
    ) -> UInt64[np.ndarray, " codes"]:
        keys = feature.astype(np.uint64)
        keys <<= np.uint64(self._token_bits)
        keys |= token.astype(np.uint64)
        keys <<= np.uint64(_VALUE_BITS)
        keys |= value.astype(np.float16).view(np.uint16)
        return keys

    def _unpack(self, keys: UInt64[np.ndarray, " codes"]) -> SparseCodes:
        feature = (keys >> np.uint64(self._token_bits + _VALUE_BITS)).astype(np.int32)
        token = keys >> np.uint64(_VALUE_BITS)
        token &= np.uint64((1 << self._token_bits) - 1)
        return SparseCodes(feature, token.view(np.int64), keys.astype(np.uint16).view(np.float16), self._n_features)


def rows_per_group(n_codes: int) -> int:
    """A row group is what has to be read for the codes of one feature; a power of two."""
    size = CODES_PER_ROW_GROUP
    while n_codes > size * ROW_GROUPS:
        size *= 2
    return size


def _write(path: Path, parts: Iterator[SparseCodes], n_features: int, n_codes: int) -> None:
    """Write parts as row groups of one size, and their index."""
    size, index, rest = rows_per_group(n_codes), Index(n_features), SCHEMA.empty_table()
    # Sorted tokens differ by little, so their differences take less than half the space.
    options: dict[str, Any] = {"use_dictionary": ["feature"], "column_encoding": {"token": "DELTA_BINARY_PACKED"}}
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", write_page_checksum=True, **options) as writer:
        for codes in parts:
            index.update(codes)
            rest = pa.concat_tables([rest, pa.table([codes.feature, codes.token, codes.value], schema=SCHEMA)])
            full = len(rest) - len(rest) % size
            if full:
                writer.write_table(rest.slice(0, full), row_group_size=size)
            rest = rest.slice(full)
        if len(rest):
            writer.write_table(rest)
        writer.add_key_value_metadata(index.to_footer())


@contextmanager
def _hidden_folder(path: Path) -> Iterator[Path]:
    """An empty folder for this process alone, removed at the end. The lock goes with the process, whatever ends it."""
    folder = path.with_name(f".{path.name}.spill")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        if _taken(handle):
            raise InputError(f"{path}: another process is writing it; wait until it has finished")
        for left in folder.iterdir():
            left.unlink()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    """Lock an open folder; returns whether another process has. On a file system without locks none has."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    return False
