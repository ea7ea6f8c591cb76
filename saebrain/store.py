"""Parquet files of a study: written here, and queried here with DuckDB; the only SQL over features.

Tables are read through in-memory views, a cursor per thread, so that a running step is never locked out.
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
from saebrain.codes import SparseCodes
from saebrain.errors import InputError, MissingStepError

CODES_PER_ROW_GROUP = 16_384


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
        raise InputError(f"{path}: damaged ({_first_line(error)}); remove it and run: {command}") from error


def write_codes(path: Path, codes: SparseCodes) -> None:
    """Write sparse codes; small row groups make one feature's codes a small read."""
    table = pa.table({"feature": codes.feature, "token": codes.token, "value": codes.value})
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=CODES_PER_ROW_GROUP)


def read_codes(path: Path, n_features: int) -> SparseCodes:
    """Read all codes of a layer."""
    table = read_table(path, "python -m saebrain sae encode")
    return SparseCodes.sort(table["feature"].to_numpy(), table["token"].to_numpy(), table["value"].to_numpy(), n_features)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


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
        for name, (path, step) in needed.items():
            if not path.is_file():
                raise MissingStepError(f"{name} table of study {tokens.parent}", f"python -m saebrain {step} {tokens.parent}")
        self._connection = duckdb.connect()
        for name, (path, step) in needed.items():
            try:
                self._connection.read_parquet(str(path), file_row_number=name == "tokens").create_view(name)
            except duckdb.Error as error:
                raise InputError(f"{path}: damaged ({_first_line(error)}); remove it and run: python -m saebrain {step} {tokens.parent}") from error
        self._study, self._features = tokens.parent, features
        self._local = threading.local()

    def _query(self, sql: str, parameters: list[Any] | None = None) -> pd.DataFrame:
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._connection.cursor()
        try:
            return pd.DataFrame(self._local.cursor.execute(sql, parameters or []).df())
        except duckdb.Error as error:
            again = f"python -m saebrain sae encode {self._study} && python -m saebrain features {self._study}"
            raise InputError(f"{self._features}: a table cannot be read ({_first_line(error)}); remove the folder and run: {again}") from error

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
        table = self._query("SELECT token, value::FLOAT AS value FROM codes WHERE feature = ? ORDER BY token", [feature])
        return table["token"].to_numpy(np.int64), table["value"].to_numpy(np.float32)

    def contexts(self, feature: int) -> pd.DataFrame:
        """The strongest contexts, a row a token: rank, peak (bool), run, position, word, text, value (0 where inactive)."""
        return self._query(
            """
            SELECT c.rank, t.file_row_number = c.token AS peak, t.run, t.position, t.word, t.text, coalesce(a.value, 0)::FLOAT AS value
            FROM contexts c
            JOIN tokens t ON t.file_row_number >= c.start AND t.file_row_number < c.stop
            LEFT JOIN (SELECT * FROM codes WHERE feature = ?) a ON a.token = t.file_row_number
            WHERE c.feature = ?
            ORDER BY c.rank, t.file_row_number
            """,
            [feature, feature],
        )

    def labels(self, feature: int) -> pd.DataFrame:
        """Labels of one feature: annotator, kind, label, confidence, reason."""
        return self._query("SELECT annotator, kind, label, confidence, reason FROM labels WHERE feature = ? ORDER BY annotator", [feature])
