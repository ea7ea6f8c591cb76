"""The tokens of a text on disk, opened for reading a few stretches out of millions: tokens.parquet in small row groups.

Only the row groups that a stretch lies in are read, and the last ones are kept, so what it costs does not grow with the text.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int

from saebrain.codes import damaged
from saebrain.errors import MissingStepError

TOKENS_PER_ROW_GROUP = 1 << 11
"""A stretch of 40 tokens needs one row group, seldom two; 10 million tokens have 4,883, whose footer is read in 50 ms."""
GROUPS_KEPT = 256
COLUMNS = ("run", "position", "word", "text")


class Corpus:
    """A table of tokens, opened; row number is token number. Threads may share it."""

    def __init__(self, path: Path, command: str) -> None:
        """Open, reading the footer alone.

        Raises
        ------
        MissingStepError
            If there is no such file; ``command`` is what writes it.
        InputError
            If it is damaged.
        """
        if not path.is_file():
            raise MissingStepError(f"tokens table of study {path.parent}", command)
        self.path, self._command = path, command
        self._kept: OrderedDict[int, pa.Table] = OrderedDict()
        self._lock = Lock()
        try:
            self._source = pa.OSFile(str(path))
            self._metadata = pq.ParquetFile(self._source).metadata
            rows = [self._metadata.row_group(n).num_rows for n in range(self._metadata.num_row_groups)]
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, error, command) from error
        self._starts = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, tokens: Int[np.ndarray, " tokens"]) -> pa.Table:
        """Run, position, word and text of some tokens, a row each, in the order given.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        group = np.searchsorted(self._starts, tokens, side="right") - 1
        needed, place = np.unique(group, return_inverse=True)
        parts = [self._group(int(number)) for number in needed]
        if not parts:
            return pa.schema([("run", pa.string()), ("position", pa.int32()), ("word", pa.int32()), ("text", pa.string())]).empty_table()
        before = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        return pa.concat_tables(parts).take(before[place] + tokens - self._starts[group])

    def around(self, tokens: Int[np.ndarray, " windows"], before: int, after: int) -> tuple[Int[np.ndarray, " rows"], pa.Table]:
        """The stretch around each of some tokens, within its run: the window of every row, and the rows as `read` gives them, with ``token``."""
        span = np.arange(-before, after + 1)
        rows = tokens[:, None] + span
        window = np.repeat(np.arange(len(tokens)), len(span))
        rows, inside = rows.ravel(), ((rows >= 0) & (rows < len(self))).ravel()
        rows, window = rows[inside], window[inside]
        table = self.read(rows)
        runs = table["run"].combine_chunks().dictionary_encode().indices.to_numpy()
        own = np.zeros(len(tokens), runs.dtype)
        peak = rows == tokens[window]
        own[window[peak]] = runs[peak]
        same = runs == own[window]
        return window[same], table.append_column("token", pa.array(rows)).filter(pa.array(same))

    def _group(self, number: int) -> pa.Table:
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
        try:
            # A reader of its own is what lets threads read at the same time; the footer is not parsed again.
            file = pq.ParquetFile(self._source, metadata=self._metadata, page_checksum_verification=True)
            found = file.read_row_group(number, columns=list(COLUMNS), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise damaged(self.path, error, self._command) from error
        with self._lock:
            self._kept[number] = found
            while len(self._kept) > GROUPS_KEPT:
                self._kept.popitem(last=False)
        return found
