"""Parquet files of a study: written here, and queried here with DuckDB; the only SQL over features.

Tables are read through in-memory views, a cursor per thread, so that a running step is never locked out. Codes are not
among them: a file of many codes has an index that finds one feature's rows a hundred times faster (:mod:`saebrain.codes`).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from saebrain.atomic import replacing
from saebrain.codes import CodesFile, SparseCodes, damaged, first_line
from saebrain.errors import InputError, MissingStepError


def write_table(path: Path, table: pd.DataFrame, *, rows_per_group: int | None = None) -> None:
    """Write a table as Parquet (zstd), complete or not at all."""
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), temporary, compression="zstd", row_group_size=rows_per_group)


def read_table(path: Path, command: str, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table.

    Raises
    ------
    MissingStepError
        If it has not been written; ``command`` is what writes it.
    InputError
        If it is damaged.
    """
    if not path.is_file():
        raise MissingStepError(f"{path.name} of study {path.parent}", command)
    try:
        return pd.DataFrame(pq.read_table(path, columns=columns).to_pandas())
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error, command) from error


def read_codes(path: Path, n_features: int) -> SparseCodes:
    """Read all codes of a layer, 14 bytes a code; `CodesFile` reads parts of them."""
    return CodesFile(path, "python -m saebrain sae encode", n_features=n_features).read(0, n_features)


class FeatureStore:
    """The feature tables of one layer, opened for queries."""

    def __init__(self, features: Path, tokens: Path, labels: Path) -> None:
        """Open; the files must be there, ``tokens`` in the study's own folder.

        Raises
        ------
        MissingStepError
            Naming the first missing table's command.
        InputError
            If a table is damaged.
        """
        needed = {
            "tokens": (tokens, "activations"),
            "codes": (features / "codes.parquet", "sae encode"),
            "features": (features / "features.parquet", "features"),
            "contexts": (features / "contexts.parquet", "features"),
            "labels": (labels, "labels"),
        }
        command = {name: f"python -m saebrain {step} {tokens.parent}" for name, (_, step) in needed.items()}
        for name, (path, _) in needed.items():
            if not path.is_file():
                raise MissingStepError(f"{name} table of study {tokens.parent}", command[name])
        codes, _ = needed.pop("codes")
        self._codes_command = command["codes"]
        self._codes = CodesFile(codes, self._codes_command)
        self._connection = duckdb.connect()
        for name, (path, _) in needed.items():
            try:
                self._connection.read_parquet(str(path), file_row_number=name == "tokens").create_view(name)
            except duckdb.Error as error:
                raise damaged(path, error, command[name]) from error
        self._study, self._features = tokens.parent, features
        self._local = threading.local()

    def _query(self, sql: str, parameters: list[Any] | None = None) -> pd.DataFrame:
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._connection.cursor()
        try:
            return pd.DataFrame(self._local.cursor.execute(sql, parameters or []).df())
        except duckdb.Error as error:
            again = f"python -m saebrain sae encode {self._study} && python -m saebrain features {self._study}"
            raise InputError(f"{self._features}: a table cannot be read ({first_line(error)}); remove the folder and run: {again}") from error

    def features(self) -> pd.DataFrame:
        """One row a feature: statistics, the word at its strongest activation, every machine label."""
        table = self._query(
            """
            SELECT f.feature, f.active, f.density, f.mean, f.max, trim(t.text) AS peak, f.promoted_text, f.suppressed_text
            FROM features f
            LEFT JOIN contexts c ON c.feature = f.feature AND c.rank = 0
            LEFT JOIN tokens t ON t.file_row_number = c.token
            ORDER BY f.feature
            """
        )
        labels = self._query("SELECT feature, annotator, label FROM labels").pivot(index="feature", columns="annotator", values="label")
        table = table.join(labels, on="feature")
        parcels = self._features / "parcels.parquet"
        if parcels.is_file():
            table = table.merge(read_table(parcels, f"python -m saebrain encode {self._study}"), on="feature", how="left")
        return table

    def feature(self, feature: int) -> pd.Series:
        """All stored about one feature.

        Raises
        ------
        InputError
            If there is no such feature.
        """
        table = self._query("SELECT * FROM features WHERE feature = ?", [feature])
        if table.empty:
            (count,) = self._query("SELECT count(*) AS n FROM features")["n"]
            raise InputError(f"feature {feature}: this SAE has features 0 to {count - 1}; choose one of them")
        return table.iloc[0]

    def codes(self, feature: int) -> tuple[Int[np.ndarray, " codes"], Float[np.ndarray, " codes"]]:
        """Tokens at which a feature is active, ascending, and its activations there."""
        if self._codes.replaced:
            self._codes = CodesFile(self._codes.path, self._codes_command)
        codes = self._codes.read(feature)
        return codes.token, codes.value.astype(np.float32)

    def contexts(self, feature: int) -> pd.DataFrame:
        """The strongest contexts, a row a token: rank, peak (bool), run, position, word, text, value (0 where inactive)."""
        table = self._query(
            """
            SELECT c.rank, t.file_row_number = c.token AS peak, t.run, t.position, t.word, t.text, t.file_row_number AS token
            FROM contexts c
            JOIN tokens t ON t.file_row_number >= c.start AND t.file_row_number < c.stop
            WHERE c.feature = ?
            ORDER BY c.rank, t.file_row_number
            """,
            [feature],
        )
        token, value = self.codes(feature)
        shown = table.pop("token").to_numpy()
        at = np.searchsorted(token, shown)
        table["value"] = np.where(np.append(token, -1)[at] == shown, np.append(value, np.float32(0))[at], np.float32(0))
        return table

    def labels(self, feature: int) -> pd.DataFrame:
        """Labels of one feature: annotator, kind, label, confidence, reason."""
        return self._query("SELECT annotator, kind, label, confidence, reason FROM labels WHERE feature = ? ORDER BY annotator", [feature])
