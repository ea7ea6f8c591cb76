"""The event log: the one place that writes to it, and the table it is read as."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Row, and_, bindparam, exists, insert, select

from saebrain.annotation.database import Database
from saebrain.annotation.schema import Kind, Queue, event
from saebrain.errors import InputError

COLUMNS = tuple(column.name for column in event.columns)
MOST_LETTERS = 4000
"""Of a note."""


@dataclass(frozen=True)
class Receipt:
    """Proof that an event is on disk.

    number : its number in the log.
    time : when, by the server's clock (UTC).
    label : what the log says, which may differ from what was sent if ``repeated``.
    repeated : the same thing had been answered before, and nothing was written now.
    """

    number: int
    time: datetime
    kind: Kind
    feature: int
    label: str | None
    repeated: bool = False


@dataclass(frozen=True)
class Entry:
    """What an event says; number, uuid and time come from the log. See `saebrain.annotation.schema.event`."""

    key: str
    kind: Kind
    annotator: str
    layer: int
    feature: int
    codebook: str
    label: str | None = None
    confidence: int | None = None
    note: str = ""
    queue: Queue = "free"
    stratum: str | None = None
    seconds: float | None = None
    supersedes: str | None = None


def append(connection: Connection, entry: Entry) -> Receipt:
    """Add an event, unless one with its key is there. What is returned counts once the transaction is committed.

    Raises
    ------
    InputError
        If the note cannot be kept.
    """
    if found := connection.execute(_WITH_KEY, {"key": entry.key}).first():
        return _receipt(found, repeated=True)
    values: dict[str, Any] = {
        **vars(entry),
        "uuid": str(uuid.uuid4()),
        "time": datetime.now(UTC),
        "note": clean(entry.note),
        "suggestion_visible": was_shown(connection, entry.annotator, entry.layer, entry.feature),
    }
    number = connection.execute(insert(event), values).inserted_primary_key
    assert number is not None
    return Receipt(number[0], values["time"], entry.kind, entry.feature, entry.label)


def reveal(database: Database, annotator: str, layer: int, feature: int, codebook: str, what: str) -> None:
    """Log that a person is shown what others, or the machine, say of a feature; before it is shown."""
    key = f"reveal:{layer}:{feature}:{codebook}:{what}:{annotator}"
    with database.reading() as connection:
        if connection.execute(_WITH_KEY, {"key": key}).first():
            return
    with database.writing(f"person {annotator}", f"feature {layer} {feature}") as connection:
        append(connection, Entry(key, "reveal", annotator, layer, feature, codebook, note=what))


def was_shown(connection: Connection, annotator: str, layer: int, feature: int) -> bool:
    """Whether a person has seen what others, or the machine, say of a feature."""
    return bool(connection.scalar(_SHOWN, {"annotator": annotator, "layer": layer, "feature": feature}))


def not_undone() -> Any:
    """Condition: no undo supersedes the event."""
    undo = event.alias("undo")
    return ~exists().where(undo.c.supersedes == event.c.uuid, undo.c.kind == "undo")


OF_PERSON = and_(event.c.annotator == bindparam("annotator"), event.c.layer == bindparam("layer"), event.c.feature == bindparam("feature"))
"""Condition: an event of one person and feature."""
_SHOWN = select(exists().where(OF_PERSON, event.c.kind == "reveal"))
_WITH_KEY = select(event).where(event.c.key == bindparam("key"))


def read_events(database: Database, layer: int | None = None) -> pd.DataFrame:
    """The log as a table, in order.

    Returns
    -------
    DataFrame
        The columns of `saebrain.annotation.schema.event`; what is empty is None, a number that may be empty of type Int64 or Float64.
    """
    query = select(event).order_by(event.c.id)
    if layer is not None:
        query = query.where(event.c.layer == layer)
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return as_table([tuple(row) for row in rows])


def as_table(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Rows of the log, as a table with the types of `read_events`."""
    columns = dict(zip(COLUMNS, zip(*rows, strict=True) if rows else [[]] * len(COLUMNS), strict=True))
    table = pd.DataFrame({name: pd.Series(list(values), dtype=object) for name, values in columns.items()})
    types = {"id": "int64", "layer": "int64", "feature": "int64", "suggestion_visible": "bool", "confidence": "Int64", "seconds": "Float64"}
    return table.astype(types).assign(time=pd.to_datetime(table["time"], utc=True).astype("datetime64[us, UTC]"))


def clean(note: str | None) -> str | None:
    """A note as it is kept; None if there is nothing in it.

    Raises
    ------
    InputError
        If it is too long, or holds what no database keeps.
    """
    note = (note or "").strip()
    if len(note) > MOST_LETTERS:
        raise InputError(f"a note of {len(note):,} characters: at most {MOST_LETTERS:,} are kept; shorten it")
    if any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in note):
        raise InputError("the note holds a character that cannot be stored (NUL or half a surrogate pair); remove it")
    return note or None


def _receipt(row: Row[Any], *, repeated: bool) -> Receipt:
    return Receipt(row.id, row.time, row.kind, row.feature, row.label, repeated)
