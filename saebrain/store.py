"""Parquet files of a study: written here, and queried here with DuckDB; the only SQL over features.

Tables are read through in-memory views, a cursor per thread, so that a running step is never locked out. Codes are not
among them: a file of many codes has an index that finds one feature's rows a hundred times faster (:mod:`saebrain.codes`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
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
from saebrain.corpus import Corpus
from saebrain.errors import InputError, MissingStepError

FEATURES_PER_ROW_GROUP, CONTEXTS_PER_ROW_GROUP = 1 << 10, 1 << 13
"""What has to be read for one feature."""


def write_table(path: Path, table: pd.DataFrame, *, rows_per_group: int | None = None) -> None:
    """Write a table as Parquet (zstd), complete or not at all."""
    with replacing(path) as temporary:
        content = pa.Table.from_pandas(table, preserve_index=False)
        pq.write_table(content, temporary, compression="zstd", row_group_size=rows_per_group, write_page_checksum=True)


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
        return pd.DataFrame(pq.read_table(path, columns=columns, page_checksum_verification=True).to_pandas())
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
            If a table is damaged, or was not made from the codes that are there.
        """
        needed = {
            "tokens": (tokens, "activations"),
            "codes": (features / "codes.parquet", "sae encode"),
            "features": (features / "features.parquet", "features"),
            "contexts": (features / "contexts.parquet", "features"),
            "labels": (labels, "labels"),
        }
        self._commands = {name: f"python -m saebrain {step} {tokens.parent}" for name, (_, step) in needed.items()}
        for name, (path, _) in needed.items():
            if not path.is_file():
                raise MissingStepError(f"{name} table of study {tokens.parent}", self._commands[name])
        self._study, self._features = tokens.parent, features
        self._codes = CodesFile(needed["codes"][0], self._commands["codes"])
        self.corpus = Corpus(tokens, self._commands["tokens"])
        self._connection = duckdb.connect(config={"threads": "1"})  # a feature's rows lie in one row group
        self._connection.execute("SET parquet_metadata_cache = true")
        for name in ("features", "contexts", "labels"):
            self._view(name, needed[name][0])
        self._local = threading.local()
        self._last: tuple[int, Int[np.ndarray, " codes"], Float[np.ndarray, " codes"]] | None = None
        self._check()

    def _view(self, name: str, path: Path) -> None:
        try:
            self._connection.read_parquet(str(path)).create_view(name)
        except duckdb.Error as error:
            raise damaged(path, error, self._commands[name]) from error

    def _check(self) -> None:
        """Make sure that the tables belong together: a step that was interrupted leaves those of a later one behind."""
        (row,) = self._query("SELECT count(*) AS features, coalesce(sum(active), 0)::BIGINT AS codes FROM features").itertuples()
        (last,) = self._query("SELECT coalesce(max(stop), 0) AS token FROM contexts")["token"]
        if row.features != self._codes.n_features or row.codes != self._codes.n_codes:
            found = (
                f"{row.features:,} features with {row.codes:,} codes, but codes.parquet holds {self._codes.n_features:,} with {self._codes.n_codes:,}"
            )
            raise InputError(f"{self._features / 'features.parquet'}: made from other codes ({found}); run: {self._commands['features']}")
        if last > len(self.corpus):
            found = f"token {last - 1:,} of {len(self.corpus):,}"
            raise InputError(f"{self._features / 'contexts.parquet'}: made from another text ({found}); run: {self._commands['features']}")

    def _query(self, sql: str, parameters: list[Any] | None = None) -> pd.DataFrame:
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._connection.cursor()
        try:
            return pd.DataFrame(self._local.cursor.execute(sql, parameters or []).df())
        except duckdb.Error as error:
            again = f"{self._commands['codes']} && {self._commands['features']}"
            raise InputError(f"{self._features}: a table cannot be read ({first_line(error)}); remove the folder and run: {again}") from error

    def _columns(self, table: str) -> list[str]:
        return list(self._query(f"SELECT * FROM {table} LIMIT 0").columns)

    def features(self) -> pd.DataFrame:
        """One row a feature: statistics, the word at its strongest activation, every machine label."""
        noted = [name for name in ("peak", "top_words") if name in self._columns("features")]
        table = self._query(
            f"SELECT {', '.join(['feature, active, density, mean, max, promoted_text, suppressed_text', *noted])} FROM features ORDER BY feature"
        )
        if "peak" not in noted:  # by the features step of an earlier version
            strongest = self._query("SELECT feature, token FROM contexts WHERE rank = 0")
            text = self.corpus.read(strongest["token"].to_numpy())["text"].to_pandas()
            table["peak"] = table["feature"].map(pd.Series(text.to_numpy(), strongest["feature"]).str.strip(" "))
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
            raise InputError(f"feature {feature}: this SAE has features 0 to {self._codes.n_features - 1}; choose one of them")
        return table.iloc[0]

    def codes(self, feature: int) -> tuple[Int[np.ndarray, " codes"], Float[np.ndarray, " codes"]]:
        """Tokens at which a feature is active, ascending, and its activations there."""
        if self._codes.replaced:
            self._codes, self._last = CodesFile(self._codes.path, self._commands["codes"]), None
        if (last := self._last) is not None and last[0] == feature:  # the parts of a page ask for the same ones in turn
            return last[1:]
        codes = self._codes.read(feature)
        token, value = codes.token, codes.value.astype(np.float32)
        token.flags.writeable = value.flags.writeable = False
        self._last = (feature, token, value)
        return token, value

    def strongest(self, features: Sequence[int]) -> pd.DataFrame:
        """The strongest activations of some features, at most one a word: feature, rank (0 first), token, value."""
        marks = ", ".join("?" * len(features))
        return self._query(
            f"SELECT feature, rank, token, value FROM contexts WHERE feature IN ({marks}) ORDER BY feature, rank", [*map(int, features)]
        )

    def peaks(self, features: Sequence[int]) -> dict[int, str]:
        """The token at the strongest activation of some features; none for one that is never active."""
        marks = ", ".join("?" * len(features))
        found = self._query(f"SELECT feature, token FROM contexts WHERE rank = 0 AND feature IN ({marks})", [*map(int, features)])
        return dict(zip(found["feature"].tolist(), self.corpus.read(found["token"].to_numpy())["text"].to_pylist(), strict=True))

    def contexts(self, feature: int, *, before: int = 24, after: int = 12) -> pd.DataFrame:
        """The strongest contexts, as `windows` gives them, the window called ``rank``."""
        table = self.strongest([feature])
        return self.windows(feature, table["token"].to_numpy(), before=before, after=after).rename(columns={"window": "rank"})

    def windows(self, feature: int, tokens: Int[np.ndarray, " windows"], *, before: int = 24, after: int = 12) -> pd.DataFrame:
        """The text around some tokens, within their runs, with a feature's activations.

        Parameters
        ----------
        before, after : int
            Tokens to show on either side.

        Returns
        -------
        DataFrame
            A row a token shown: window (index into ``tokens``), peak (bool: the token itself), run, position, word, text,
            value (0 where inactive), token.
        """
        window, rows = self.corpus.around(np.asarray(tokens, np.int64), before, after)
        shown = rows["token"].to_numpy()
        at, value = self.codes(feature)
        found = np.searchsorted(at, shown)
        on = np.append(at, -1)[found] == shown
        columns = {name: rows[name].to_pandas() for name in ("run", "position", "word", "text")}
        values = np.where(on, np.append(value, np.float32(0))[found], np.float32(0))
        return pd.DataFrame({"window": window, "peak": shown == np.asarray(tokens)[window], **columns, "value": values, "token": shown})

    def labels(self, feature: int) -> pd.DataFrame:
        """Labels of one feature: annotator, kind, label, confidence, reason."""
        return self._query("SELECT annotator, kind, label, confidence, reason FROM labels WHERE feature = ? ORDER BY annotator", [feature])

    def neighbours(self, feature: int) -> pd.DataFrame:
        """What is near a feature: kind ("decoder", "coactive" or "layer"), layer and other (feature there), similarity; nearest first.

        Raises
        ------
        MissingStepError
            If the step that finds them has not run.
        """
        path, command = self._features / "neighbours.parquet", f"python -m saebrain neighbours {self._study}"
        if not path.is_file():
            raise MissingStepError(f"neighbours of the features of study {self._study}", command)
        try:
            table = pq.read_table(path, filters=[("feature", "=", feature)], columns=["kind", "layer", "other", "similarity"]).to_pandas()
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, error, command) from error
        return pd.DataFrame(table.sort_values(["kind", "similarity"], ascending=[True, False], kind="stable", ignore_index=True))
