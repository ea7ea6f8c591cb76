"""The sparse table of a SAE's codes: which feature is active at which token, and how strongly.

In memory it is :class:`SparseCodes`. On disk it is a Parquet file with a row a code, read by :class:`CodesFile` in parts
of any size and written by :mod:`saebrain.spill`. The file's footer holds an :class:`Index`: under ``saebrain.active``
the number of codes of each feature (int64), under ``saebrain.largest`` the largest value of each (float16), both
little-endian in base64. As codes are sorted by feature, the running sum of ``active`` is every feature's first row.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from saebrain.errors import InputError, MissingStepError

CODES_AT_ONCE = 1 << 20
"""Codes of one part of a streamed pass: 14 MB, and several times that while it is worked on."""
_FOOTER = ("saebrain.active", "saebrain.largest")


@dataclass(frozen=True)
class SparseCodes:
    """Non-zero codes, sorted by feature, then token: all codes of a text, or a part of them.

    ``token`` counts the rows of tokens.parquet; ``value`` is half precision.
    """

    feature: Int[np.ndarray, " codes"]
    token: Int[np.ndarray, " codes"]
    value: Float[np.ndarray, " codes"]
    n_features: int

    @classmethod
    def of(cls, table: pa.Table, n_features: int) -> SparseCodes:
        """Rows of a file."""
        feature, token, value = (table[name].to_numpy() for name in ("feature", "token", "value"))
        return cls(feature.astype(np.int32, copy=False), token.astype(np.int64, copy=False), value.astype(np.float16, copy=False), n_features)

    @property
    def start(self) -> Int[np.ndarray, " n_features_plus_1"]:
        """The codes of feature f are ``start[f]:start[f + 1]``."""
        return np.searchsorted(self.feature, np.arange(self.n_features + 1))

    @property
    def firsts(self) -> Int[np.ndarray, " present"]:
        """The first code of each feature that has any."""
        return np.flatnonzero(np.diff(self.feature, prepend=-1))


class Index:
    """What is known of every feature without reading its codes; grown over the parts of a streamed pass.

    active : number of codes. largest : largest value, 0 for a feature that is never active.
    """

    def __init__(self, n_features: int) -> None:
        self.active = np.zeros(n_features, np.int64)
        self.largest = np.zeros(n_features, np.float16)

    @classmethod
    def of(cls, codes: SparseCodes) -> Index:
        """Of codes that are all in memory."""
        index = cls(codes.n_features)
        index.update(codes)
        return index

    def update(self, codes: SparseCodes) -> None:
        """Count more codes."""
        firsts = codes.firsts
        if len(firsts):
            present = codes.feature[firsts]
            self.active[present] += np.diff(firsts, append=len(codes.feature))
            self.largest[present] = np.maximum(self.largest[present], np.maximum.reduceat(codes.value, firsts))

    @property
    def start(self) -> Int[np.ndarray, " n_features_plus_1"]:
        """The codes of feature f are the rows ``start[f]:start[f + 1]`` of the file."""
        return np.concatenate([[0], np.cumsum(self.active)])

    def to_footer(self) -> dict[str, str]:
        """As entries of a Parquet file's footer."""
        values = (self.active.astype("<i8"), self.largest.astype("<f2"))
        return {key: base64.b64encode(array.tobytes()).decode() for key, array in zip(_FOOTER, values, strict=True)}

    @classmethod
    def from_footer(cls, footer: dict[bytes, bytes]) -> Index | None:
        """Back from there; None if it has no such entries."""
        if not all(key.encode() in footer for key in _FOOTER):
            return None
        active, largest = (base64.b64decode(footer[key.encode()], validate=True) for key in _FOOTER)
        index = cls(len(active) // 8)
        index.active[:], index.largest[:] = np.frombuffer(active, "<i8"), np.frombuffer(largest, "<f2")
        return index


class CodesFile:
    """A file of codes, opened: it stays the file that was opened when another takes its name. Threads may share it."""

    def __init__(self, path: Path, command: str, *, n_features: int = 0) -> None:
        """Open, reading the footer alone; of a file without an index, all of it once.

        Parameters
        ----------
        command : str
            What writes the file.
        n_features : int
            Features to count, at the least, in a file without an index.

        Raises
        ------
        MissingStepError
            If there is no such file.
        InputError
            If it is damaged.
        """
        if not path.is_file():
            raise MissingStepError(f"{path.name} of study {path.parent}", command)
        self.path, self._command = path, command
        try:
            self._stamp = _stamp(path)  # before it is opened: one that is replaced in between counts as replaced
            self._source = pa.OSFile(str(path))
            self._metadata = pq.ParquetFile(self._source).metadata
            self._ends = np.cumsum([self._metadata.row_group(n).num_rows for n in range(self._metadata.num_row_groups)], dtype=np.int64)
            self.index = self._read_index(n_features)
        except (pa.ArrowException, OSError, ValueError, LookupError) as error:
            raise damaged(path, error, command) from error
        self._start = self.index.start

    @property
    def n_features(self) -> int:
        return len(self.index.active)

    @property
    def n_codes(self) -> int:
        return int(self._metadata.num_rows)

    @property
    def replaced(self) -> bool:
        """Whether another file has the name by now, or none."""
        return not self.path.is_file() or _stamp(self.path) != self._stamp

    def read(self, first: int, stop: int | None = None) -> SparseCodes:
        """Codes of the features ``first:stop``, by default of ``first`` alone; features that are not there have none.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        low, high = (int(self._start[min(max(feature, 0), self.n_features)]) for feature in (first, first + 1 if stop is None else stop))
        if low >= high:
            return SparseCodes(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float16), self.n_features)
        groups = range(int(np.searchsorted(self._ends, low, side="right")), int(np.searchsorted(self._ends, high - 1, side="right")) + 1)
        before = int(self._ends[groups.start - 1]) if groups.start else 0
        return SparseCodes.of(self._rows(groups).slice(low - before, high - low), self.n_features)

    def parts(self, codes_at_once: int = CODES_AT_ONCE) -> Iterator[SparseCodes]:
        """All codes in order, in parts of whole row groups; a feature may run on from one part to the next.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        for groups in self._spans(codes_at_once):
            yield SparseCodes.of(self._rows(groups), self.n_features)

    def _spans(self, codes_at_once: int) -> Iterator[range]:
        """Neighbouring row groups that hold so many codes together; at least one."""
        first = before = 0
        while first < len(self._ends):
            stop = max(first + 1, int(np.searchsorted(self._ends, before + codes_at_once, side="right")))
            yield range(first, stop)
            first, before = stop, int(self._ends[stop - 1])

    def _rows(self, groups: range) -> pa.Table:
        # The footer is not parsed again; a reader of its own is what lets threads read at the same time.
        file = pq.ParquetFile(self._source, metadata=self._metadata, page_checksum_verification=True)
        try:
            return file.read_row_groups(list(groups), columns=["feature", "token", "value"], use_threads=len(groups) > 1)
        except (pa.ArrowException, OSError) as error:
            raise damaged(self.path, error, self._command) from error

    def _read_index(self, n_features: int) -> Index:
        index = Index.from_footer(self._metadata.metadata or {})
        if index is None:
            return self._scan(n_features)
        if index.active.sum() != self._metadata.num_rows:
            raise ValueError("its index does not belong to its rows")
        return index

    def _scan(self, n_features: int) -> Index:
        """The index of a file that has none."""
        if not self._metadata.num_rows:
            return Index(n_features)
        groups = len(self._ends)
        last = int(self._rows(range(groups - 1, groups))["feature"][-1].as_py())
        index, before = Index(max(n_features, last + 1)), 0
        for span in self._spans(CODES_AT_ONCE):
            codes = SparseCodes.of(self._rows(span), len(index.active))
            if codes.feature[0] < before or codes.feature[-1] > last or (np.diff(codes.feature) < 0).any():
                raise ValueError("its codes are not sorted by feature")
            index.update(codes)
            before = codes.feature[-1]
        return index


def damaged(path: Path, error: Exception, command: str) -> InputError:
    """The error to raise for a file that cannot be read; ``command`` writes it anew."""
    return InputError(f"{path}: damaged ({first_line(error)}); remove it and run: {command}")


def first_line(error: Exception) -> str:
    """What an error says, short."""
    return str(error).strip().partition("\n")[0]


def _stamp(path: Path) -> tuple[int, int, int]:
    state = path.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size
