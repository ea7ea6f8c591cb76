"""Who is asked what next. A slot asks one person for one label of one feature; it is claimed in the database, so no two people race for it.

Queues are worked through in the order of `ORDER`. A repeat is slipped in now and then, and nothing that a page is given tells it
from any other feature.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Row, and_, bindparam, case, func, insert, or_, select, update

from saebrain.annotation.database import Database
from saebrain.annotation.log import not_undone
from saebrain.annotation.people import require
from saebrain.annotation.schema import Queue, event, slot
from saebrain.config import AnnotationSection

ORDER: tuple[Queue, ...] = ("overlap", "random", "impact", "disagreement")
SAMPLED: tuple[Queue, ...] = ("overlap", "random")
"""The random sample, which is what agreement is reported on."""


@dataclass(frozen=True)
class Ticket:
    """What a person is asked: all that a page knows of a slot. That it is a repeat, or which queue it is in, is not part of it."""

    slot: int
    turn: int
    layer: int
    feature: int


@dataclass(frozen=True)
class Desk:
    """Where a person works: a database, a layer, a version of the codebook, the study's settings, and one queue if they chose one."""

    database: Database
    layer: int
    codebook: str
    settings: AnnotationSection
    queue: Queue | None = None

    @property
    def here(self) -> dict[str, Any]:
        """Values of the conditions that a slot is of this layer and version."""
        return {"layer": self.layer, "codebook": self.codebook}


# The statements that every label needs are built once: building them takes SQLAlchemy longer than the database to answer.
HERE = and_(slot.c.layer == bindparam("layer"), slot.c.codebook == bindparam("codebook"))
_OWN = and_(HERE, slot.c.annotator == bindparam("annotator"))
_HELD = select(slot).where(_OWN, ~slot.c.filled).order_by(slot.c.claimed, slot.c.id)
_MINE = select(slot.c.feature).where(_OWN)
_LAPSED = slot.c.claimed < bindparam("lapsed", type_=slot.c.claimed.type)
_FREE = (
    select(slot)
    .where(HERE, slot.c.queue == bindparam("queue"), ~slot.c.filled, or_(slot.c.annotator.is_(None), _LAPSED), slot.c.feature.not_in(_MINE))
    .order_by(slot.c.place, slot.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)  # PostgreSQL: what somebody else is taking is passed over
)
_TAKE = update(slot).where(slot.c.id == bindparam("taken")).values(annotator=bindparam("annotator"), claimed=bindparam("claimed"))
_REPEATED = select(slot.c.feature).where(_OWN, slot.c.queue == "repeat")
_SAID = and_(event.c.kind == "label", event.c.annotator == bindparam("annotator"), event.c.layer == bindparam("layer"))
_LABELLED = (
    select(event.c.feature, event.c.stratum, event.c.queue)
    .where(_SAID, event.c.codebook == bindparam("codebook"), event.c.queue != "repeat", not_undone())
    .order_by(event.c.id)
)
_SPENT = select(event.c.seconds).where(_SAID, event.c.codebook == bindparam("codebook"), not_undone(), event.c.seconds.is_not(None))
_OLD = (
    select(event.c.feature, event.c.stratum)
    .where(_SAID, event.c.codebook != bindparam("codebook"), not_undone(), event.c.feature.not_in(_MINE))
    .order_by(event.c.id)
    .limit(1)
)
_SEAT = select(func.coalesce(func.max(slot.c.seat) + 1, 0)).where(HERE, slot.c.queue == bindparam("queue"), slot.c.feature == bindparam("feature"))


def plan(desk: Desk, wanted: pd.DataFrame) -> int:
    """Add the slots that are not there yet; returns their number.

    Parameters
    ----------
    wanted : DataFrame
        queue, feature, stratum, place (order within the queue), seats (how many people are to label it).
    """
    rows = [
        {"layer": desk.layer, "codebook": desk.codebook, "queue": row.queue, "feature": int(row.feature), "seat": seat}
        | {"stratum": row.stratum, "place": float(row.place), "turn": 0, "filled": False}
        for row in wanted.itertuples()
        for seat in range(row.seats)
    ]
    with desk.database.writing() as connection:
        there = {tuple(row) for row in connection.execute(select(slot.c.queue, slot.c.feature, slot.c.seat).where(HERE), desk.here)}
        new = [row for row in rows if (row["queue"], row["feature"], row["seat"]) not in there]
        if new:
            connection.execute(insert(slot), new)
    return len(new)


def planned(desk: Desk) -> bool:
    """Whether there are queues of this layer and version."""
    with desk.database.reading() as connection:
        return connection.execute(select(slot.c.id).where(HERE, slot.c.queue.in_(ORDER)).limit(1), desk.here).first() is not None


def claim(desk: Desk, annotator: str, count: int = 1) -> list[Ticket]:
    """The next features of a person, first those that they hold already; fewer than ``count`` at the end of the queues.

    Raises
    ------
    NotAllowed
        If the person may not label.
    """
    with desk.database.reading() as connection:
        require(connection, annotator, "label")
        tickets = _held(connection, desk, annotator)
    if len(tickets) < count:
        with desk.database.writing(lock_of(annotator)) as connection:
            tickets = hold(connection, desk, annotator, count)
    return tickets[:count]


def lock_of(annotator: str) -> str:
    """Name of a person's lock: two tabs of one person do not claim at once."""
    return f"person {annotator}"


def hold(connection: Connection, desk: Desk, annotator: str, count: int) -> list[Ticket]:
    """Claim slots within a transaction until a person holds ``count``; returns what they hold."""
    tickets = _held(connection, desk, annotator)
    while len(tickets) < count and (found := _next(connection, desk, annotator)) is not None:
        tickets.append(found)
    return tickets


def _held(connection: Connection, desk: Desk, annotator: str) -> list[Ticket]:
    """What a person was given and has not answered; what they took back comes first, the latest of it before all."""
    rows = connection.execute(_HELD, {**desk.here, "annotator": annotator}).all()
    if desk.queue is not None:
        rows = [row for row in rows if row.queue in (desk.queue, "repeat")]
    reopened = [row for row in reversed(rows) if row.turn > 0]
    return [_ticket(row) for row in [*reopened, *(row for row in rows if row.turn == 0)]]


def _next(connection: Connection, desk: Desk, annotator: str) -> Ticket | None:
    """Claim one more slot."""
    if desk.queue == "stale":
        return _stale(connection, desk, annotator)
    if found := _repeat(connection, desk, annotator):
        return found
    assigned = {str(name): people for name, people in desk.settings.assign.items()}
    now = datetime.now(UTC)
    lapsed = now - timedelta(minutes=desk.settings.claim_minutes)
    for name in ORDER if desk.queue is None else (desk.queue,):
        if annotator not in assigned.get(name, [annotator]):
            continue
        row = connection.execute(_FREE, {**desk.here, "annotator": annotator, "queue": name, "lapsed": lapsed}).first()
        if row is not None:
            connection.execute(_TAKE, {"taken": row.id, "annotator": annotator, "claimed": now})
            return _ticket(row)
    return None


def _repeat(connection: Connection, desk: Desk, annotator: str) -> Ticket | None:
    """A feature of the random sample that the person labelled long enough ago, if it is time for one."""
    settings = desk.settings
    if settings.repeats == 0:
        return None
    labelled = connection.execute(_LABELLED, {**desk.here, "annotator": annotator}).all()
    repeated = set(connection.scalars(_REPEATED, {**desk.here, "annotator": annotator}))
    if len(repeated) + 1 > len(labelled) * settings.repeats:
        return None
    old = [row for row in labelled[: -settings.repeat_after] if row.feature not in repeated and row.queue in SAMPLED]
    if not old:
        return None
    chosen = min(old, key=lambda row: hashlib.sha256(f"{settings.seed}:{annotator}:{row.feature}".encode()).digest())
    return _own(connection, desk, annotator, "repeat", chosen.feature, chosen.stratum)


def _stale(connection: Connection, desk: Desk, annotator: str) -> Ticket | None:
    """A feature that the person last labelled by another version of the codebook."""
    row = connection.execute(_OLD, {**desk.here, "annotator": annotator}).first()
    return None if row is None else _own(connection, desk, annotator, "stale", row.feature, row.stratum)


def _own(connection: Connection, desk: Desk, annotator: str, queue: Queue, feature: int, stratum: str | None) -> Ticket:
    """A slot made for one person."""
    seat = zlib.crc32(annotator.encode()) >> 1  # the person's own: others may be getting a slot like it at this moment
    values = {**desk.here, "queue": queue, "feature": feature, "seat": seat, "stratum": stratum or "", "place": 0.0, "turn": 0, "filled": False}
    key = connection.execute(insert(slot).values(**values, annotator=annotator, claimed=datetime.now(UTC))).inserted_primary_key
    assert key is not None
    return Ticket(key[0], 0, desk.layer, feature)


def next_seat(connection: Connection, desk: Desk, queue: Queue, feature: int) -> int:
    """The first seat at a feature that no slot has."""
    return int(connection.scalar(_SEAT, {**desk.here, "queue": queue, "feature": feature}) or 0)


def _ticket(row: Row[Any]) -> Ticket:
    return Ticket(row.id, row.turn, row.layer, row.feature)


def time_spent(desk: Desk, annotator: str) -> list[float]:
    """Seconds that a person spent on each of their labels that stand; for that person to see."""
    with desk.database.reading() as connection:
        return [float(seconds) for seconds in connection.scalars(_SPENT, {**desk.here, "annotator": annotator})]


def progress(desk: Desk) -> pd.DataFrame:
    """How far each queue is: queue, slots, filled, people (who filled some); repeats are not told of."""
    people = func.count(case((slot.c.filled, slot.c.annotator)).distinct())
    query = select(slot.c.queue, func.count().label("slots"), func.sum(slot.c.filled.cast(slot.c.seat.type)).label("filled"), people.label("people"))
    with desk.database.reading() as connection:
        rows = connection.execute(query.where(HERE, slot.c.queue != "repeat").group_by(slot.c.queue), desk.here).all()
    table = pd.DataFrame([tuple(row) for row in rows], columns=["queue", "slots", "filled", "people"])
    return table.sort_values("queue", key=lambda names: names.map({name: number for number, name in enumerate([*ORDER, "stale"])}), ignore_index=True)
