"""What is measured while training, and the file that holds it: ``training_log.parquet``."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from saebrain.store import read_table, write_table

LOG = "training_log.parquet"
EVERY_S = 5.0


@dataclass(frozen=True)
class LogRow:
    """One training step, measured on its batch.

    ``step`` counts from 0, ``tokens`` those seen so far; ``dead_fraction`` is the share of features idle for longer than
    ``dead_after`` tokens; ``tokens_per_s`` is the rate since the row before; ``seconds`` is time spent training, over all
    sittings of a run that was resumed.
    """

    step: int
    tokens: int
    loss: float
    fvu: float
    l0: float
    dead_fraction: float
    learning_rate: float
    tokens_per_s: float
    seconds: float


class TrainingLog:
    """Rows kept in a Parquet file, rewritten whole every few seconds at most, so that training can be watched.

    A run that goes on from a checkpoint goes on in its file: rows of steps that it does again are replaced.
    """

    def __init__(self, path: Path, *, every_s: float = EVERY_S) -> None:
        self.path, self.every_s = path, every_s
        self.rows = self._read()
        self._written = -every_s

    def append(self, row: LogRow) -> None:
        """Add a row; written if the last time is long enough ago."""
        while self.rows and self.rows[-1].step >= row.step:
            self.rows.pop()
        self.rows.append(row)
        if time.monotonic() - self._written >= self.every_s:
            self.write()

    def write(self) -> None:
        """Write all rows."""
        write_table(self.path, pd.DataFrame([asdict(row) for row in self.rows]))
        self._written = time.monotonic()

    def _read(self) -> list[LogRow]:
        if not self.path.is_file():
            return []
        return [LogRow(**row) for row in read_table(self.path, "python -m saebrain sae train").to_dict("records")]
