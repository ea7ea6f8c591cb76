"""The tables. What people said is in ``event`` alone; ``slot`` says who is asked what, ``person`` who may do what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

HEAD = "0001"
"""Revision of the newest migration."""

Kind = Literal["label", "skip", "flag", "undo", "adjudicate", "reveal"]
"""reveal: the machine's suggestion, or other people's labels, were shown to a person."""
Role = Literal["annotator", "adjudicator", "viewer", "admin"]
Queue = Literal["overlap", "random", "impact", "disagreement", "repeat", "stale", "free"]
"""overlap: the part of the random sample that several people label; free: what an event outside every queue bears."""
KINDS: tuple[Kind, ...] = get_args(Kind)
ROLES: tuple[Role, ...] = get_args(Role)
QUEUES: tuple[Queue, ...] = get_args(Queue)

metadata = MetaData()
Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows in columns of this very type only


class Moment(TypeDecorator[datetime]):
    """A time in UTC, to the microsecond; stored without its zone, which SQLite does not keep."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=f"{column}_known")


person = Table(
    "person",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("login", String(320), unique=True),  # e-mail address at the identity provider
    Column("created", Moment, nullable=False),
    _one_of("role", ROLES),
)

slot = Table(
    "slot",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("layer", Integer, nullable=False),
    Column("codebook", String(40), nullable=False),
    Column("queue", String(16), nullable=False),
    Column("feature", Integer, nullable=False),
    Column("seat", Integer, nullable=False),
    Column("stratum", String(80), nullable=False),
    Column("place", Double, nullable=False),  # order within the queue
    Column("annotator", String(80)),  # who holds it or has filled it
    Column("claimed", Moment),
    Column("turn", Integer, nullable=False, default=0),  # raised by an undo: one label a turn
    Column("filled", Boolean, nullable=False, default=False),
    UniqueConstraint("layer", "codebook", "queue", "feature", "seat", name="slot_once"),
    Index("slot_of_annotator", "layer", "codebook", "annotator", "feature"),
    Index("slot_in_order", "layer", "codebook", "queue", "filled", "place", "id"),
    _one_of("queue", QUEUES),
    sqlite_autoincrement=True,
)

event = Table(
    "event",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("uuid", String(36), nullable=False, unique=True),
    Column("key", String(200), nullable=False, unique=True),
    Column("time", Moment, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("annotator", String(80), nullable=False),
    Column("layer", Integer, nullable=False),
    Column("feature", Integer, nullable=False),
    Column("label", String(200)),
    Column("confidence", Integer),  # 1 unsure, 2 fairly sure, 3 sure
    Column("note", Text),
    Column("codebook", String(40), nullable=False),
    Column("queue", String(16), nullable=False),
    Column("stratum", String(80)),
    Column("suggestion_visible", Boolean, nullable=False),
    Column("seconds", Double),
    Column("supersedes", String(36), ForeignKey("event.uuid")),
    Index("event_of_feature", "layer", "feature"),
    Index("event_of_annotator", "annotator", "layer"),
    _one_of("kind", KINDS),
    _one_of("queue", QUEUES),
    sqlite_autoincrement=True,
)
