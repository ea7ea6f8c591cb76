"""The log as a file, CSV or Parquet, and back: what is read is what was written, to the last bit.

In CSV nothing between two commas is what has no value; times are ISO 8601 in UTC, to the microsecond; numbers are written so that
reading gives the same.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, func, insert, select, text

from saebrain.annotation.database import Database
from saebrain.annotation.log import COLUMNS, read_events
from saebrain.annotation.schema import KINDS, QUEUES, event
from saebrain.atomic import replacing
from saebrain.errors import InputError

_INTEGERS, _OPTIONAL = {"id", "layer", "feature", "confidence"}, {"label", "confidence", "note", "stratum", "seconds", "supersedes"}
_SCHEMA = pa.schema(
    [
        pa.field(
            name,
            pa.int64()
            if name in _INTEGERS
            else {"time": pa.timestamp("us", tz="UTC"), "suggestion_visible": pa.bool_(), "seconds": pa.float64()}.get(name, pa.string()),
        )
        for name in COLUMNS
    ]
)


def export(database: Database, path: Path) -> int:
    """Write the whole log to a ``.csv`` or ``.parquet`` file; returns the number of events.

    Raises
    ------
    InputError
        If the name ends otherwise.
    """
    _check_name(path)
    rows = _plain(read_events(database))
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), temporary, compression="zstd")
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows([_written(row[name]) for name in COLUMNS] for row in rows)
    return len(rows)


def load(database: Database, path: Path) -> tuple[int, int]:
    """Add the events of a file to the log, all or none; those that it holds already are passed over.

    Into an empty log they come with their numbers; otherwise they are numbered on from its last.

    Returns
    -------
    added, known : int

    Raises
    ------
    InputError
        If the file is not such a table, or an event of it is in the log, but says something else.
    """
    _check_name(path)
    rows = _read(path)
    with database.writing() as connection:
        known = {row.uuid: dict(row._mapping) for row in connection.execute(select(event))}
        empty = not known
        new = []
        for row in rows:
            there = known.get(row["uuid"])
            if there is None:
                new.append(row if empty else {name: value for name, value in row.items() if name != "id"})
            elif {**there, "id": None} != {**row, "id": None}:
                raise InputError(
                    f"{path}: event {row['uuid']} (#{row['id']}) is in the log, but differs; one of the two was changed, so none is added"
                )
        missing = {row["supersedes"] for row in new} - {None} - set(known) - {row["uuid"] for row in new}
        if missing:
            raise InputError(f"{path}: supersedes event {min(map(str, missing))}, which neither file nor log has; export the whole log")
        keys = {row["key"] for row in new}
        if len(keys) < len(new) or keys & {there["key"] for there in known.values()}:
            raise InputError(f"{path}: two different events have one key; these logs do not belong together")
        if new:
            connection.execute(insert(event), new)
        if empty:
            _number_on(connection, database)
    return len(new), len(rows) - len(new)


def _number_on(connection: Connection, database: Database) -> None:
    """PostgreSQL counts apart from the table; what was put in with a number has to be told."""
    last = connection.scalar(select(func.max(event.c.id)))
    if last is not None and not database.is_sqlite:
        connection.execute(text("SELECT setval(pg_get_serial_sequence('event', 'id'), :last)"), {"last": last})


def _plain(events: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of Python's own types, None where there is no value."""
    rows = events.astype(object).where(events.notna(), None).to_dict("records")
    return [{**row, "time": row["time"].to_pydatetime()} for row in rows]


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return repr(value) if isinstance(value, float) else str(value)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            rows = pq.read_table(path).to_pylist()
            found = set(rows[0]) if rows else set(COLUMNS)
        else:
            with path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                rows, found = list(reader), set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())}); give a file that `annotations export` wrote") from error
    if missing := [name for name in COLUMNS if name not in found]:
        raise InputError(f"{path}: no column {', '.join(missing)}; give a file that `annotations export` wrote")
    read = []
    for number, row in enumerate(rows, start=1):
        try:
            read.append({name: _value(name, row[name]) for name in COLUMNS})
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: event {number}: {error}; mend it, or export anew") from error
    return sorted(read, key=lambda row: row["id"])  # what is superseded comes before what supersedes it


def _value(name: str, raw: Any) -> Any:
    """A value of a file as the database takes it."""
    if raw is None or raw == "":
        if name not in _OPTIONAL:
            raise ValueError(f"no {name}")
        return None
    if name == "suggestion_visible":
        if str(raw) not in ("True", "False"):
            raise ValueError(f"suggestion_visible {raw!r} is neither True nor False")
        return str(raw) == "True"
    if name == "time":
        moment = raw if isinstance(raw, datetime) else datetime.fromisoformat(raw)
        if moment.tzinfo is None:
            raise ValueError(f"time {raw!r} has no time zone")
        return moment.astimezone(UTC)
    if name in _INTEGERS:
        return int(raw)
    if name == "seconds":
        return float(raw)
    if (name == "kind" and raw not in KINDS) or (name == "queue" and raw not in QUEUES):
        raise ValueError(f"{name} {raw!r} is not known")
    return str(raw)


def _check_name(path: Path) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path}: ends in {path.suffix or 'nothing'!r}; give a name that ends in .csv or .parquet")
