"""What a person does with a feature: label it, skip it, flag it, take an answer back, settle a disagreement.

Every answer has a key that the server derives from what was asked, so that a double click, a reload or a second tab
gives one event; whoever comes second gets the receipt of the first.
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, insert, select, update

from saebrain.annotation.log import OF_PERSON, Entry, Receipt, append, clean, not_undone
from saebrain.annotation.people import require
from saebrain.annotation.queues import SAMPLED, Desk, Ticket, hold, lock_of, next_seat
from saebrain.annotation.schema import Queue, event, slot
from saebrain.errors import InputError
from saebrain.taxonomy import Codebook

CONFIDENCES = {1: "unsure", 2: "fairly sure", 3: "sure"}
LONGEST_S = 24 * 3600.0
HELD = 2
"""Features that a person holds: the one shown, and the next. An answer claims what is missing, in its own transaction."""


def label(
    desk: Desk, codebook: Codebook, annotator: str, ticket: Ticket, path: str, *, confidence: int | None = None, note: str = "", seconds: float = 0.0
) -> Receipt:
    """Save a label. The receipt is that of an earlier answer if there is one (``repeated``).

    Raises
    ------
    InputError
        If the codebook has no such label or is of another version, or the feature was given to somebody else meanwhile.
    NotAllowed
        If the person may not label.
    """
    codebook.validate_label(path)
    if codebook.version != desk.codebook:
        raise InputError(f"codebook {codebook.version}: the feature was given out by version {desk.codebook}; reload the page")
    if confidence is not None and confidence not in CONFIDENCES:
        raise InputError(f"confidence {confidence!r}: give one of {', '.join(map(str, CONFIDENCES))}")
    with desk.database.writing(*_locks(annotator, ticket)) as connection:
        row = _asked(connection, annotator, ticket)
        previous = _standing(connection, annotator, desk.layer, row.feature) if row.queue != "repeat" else None
        spent = min(max(float(seconds), 0.0), LONGEST_S) if math.isfinite(seconds) else None
        entry = Entry(
            **_about(row, annotator, ticket),
            kind="label",
            label=path,
            confidence=confidence,
            note=note,
            seconds=spent,
            supersedes=None if previous is None else previous.uuid,
        )
        receipt = append(connection, entry)
        if not receipt.repeated:
            connection.execute(_FILL, {"filled_one": row.id})
            if row.queue != "repeat":
                _ask_a_third(connection, desk, row)
            hold(connection, desk, annotator, HELD)
    return receipt


def skip(desk: Desk, annotator: str, ticket: Ticket, *, note: str = "", seconds: float = 0.0) -> Receipt:
    """Pass a feature on: somebody else is asked instead. Raises as `label` does."""
    with desk.database.writing(*_locks(annotator, ticket)) as connection:
        row = _asked(connection, annotator, ticket)
        receipt = append(connection, Entry(**_about(row, annotator, ticket), kind="skip", note=note, seconds=min(max(seconds, 0.0), LONGEST_S)))
        if not receipt.repeated:
            connection.execute(_FILL, {"filled_one": row.id})
            if row.queue not in ("repeat", "stale"):
                _add_seat(connection, desk, row.queue, row)
            hold(connection, desk, annotator, HELD)
    return receipt


def flag(desk: Desk, annotator: str, ticket: Ticket, note: str) -> Receipt:
    """Say that something is wrong with a feature; it stays to be labelled.

    Raises
    ------
    InputError
        If there is no note that says what.
    """
    if clean(note) is None:
        raise InputError("a flag without a note; write what is wrong with this feature")
    with desk.database.writing(*_locks(annotator, ticket)) as connection:
        row = _asked(connection, annotator, ticket)
        values = {**_about(row, annotator, ticket), "key": f"flag:{row.id}:{row.turn}:{annotator}"}
        return append(connection, Entry(**values, kind="flag", note=note))


def undo(desk: Desk, annotator: str) -> Receipt | None:
    """Take back the last answer that stands, and be asked again; None if there is none."""
    own = (event.c.annotator == annotator) & (event.c.layer == desk.layer) & (event.c.codebook == desk.codebook)
    last = select(event).where(own, event.c.kind.in_(["label", "skip"]), not_undone()).order_by(event.c.id.desc()).limit(1)
    with desk.database.writing(lock_of(annotator)) as connection:
        require(connection, annotator, "label")
        row = connection.execute(last).first()
        if row is None:
            return None
        about = {"layer": row.layer, "feature": row.feature, "codebook": row.codebook, "queue": row.queue, "stratum": row.stratum}
        entry = Entry(key=f"undo:{row.uuid}", kind="undo", annotator=annotator, supersedes=row.uuid, label=row.label, **about)
        receipt = append(connection, entry)
        its = (slot.c.layer == row.layer) & (slot.c.codebook == row.codebook) & (slot.c.queue == row.queue) & (slot.c.feature == row.feature)
        reopened = {"filled": False, "turn": slot.c.turn + 1, "claimed": receipt.time}
        connection.execute(update(slot).where(its, slot.c.annotator == annotator).values(reopened))
        if row.kind == "skip":  # nobody else need be asked, unless somebody has been
            spare = select(slot.c.id).where(its, slot.c.annotator.is_(None)).order_by(slot.c.seat.desc()).limit(1).scalar_subquery()
            connection.execute(delete(slot).where(slot.c.id == spare))
    return receipt


def adjudicate(desk: Desk, codebook: Codebook, adjudicator: str, feature: int, path: str, rationale: str, *, seen: int) -> Receipt:
    """Settle a feature's label.

    Parameters
    ----------
    rationale : str
        Why; annotators read it.
    seen : int
        Number of the feature's last event that the adjudicator has seen. Of two who settle the same state the first counts.

    Raises
    ------
    InputError
        If the codebook has no such label, there is no rationale, or there is more to be seen by now.
    NotAllowed
        If the person may not adjudicate.
    """
    codebook.validate_label(path)
    if clean(rationale) is None:
        raise InputError("no rationale; say in a sentence why this label is right, as the annotators will read it")
    key = f"adjudicate:{desk.layer}:{feature}:{desk.codebook}:{seen}"
    said = (event.c.layer == desk.layer) & (event.c.feature == feature) & event.c.kind.in_(["label", "undo", "adjudicate"]) & (event.c.key != key)
    with desk.database.writing(f"feature {desk.layer} {feature}") as connection:
        require(connection, adjudicator, "adjudicate")
        entry = Entry(key, "adjudicate", adjudicator, desk.layer, feature, desk.codebook, label=path, note=rationale)
        receipt = append(connection, entry)
        newest = connection.scalar(select(event.c.id).where(said).order_by(event.c.id.desc()).limit(1))
        if newest is None:
            raise InputError(f"feature {feature}: nobody has labelled it yet; there is nothing to settle")
        if newest > seen and not receipt.repeated:
            raise InputError(f"feature {feature}: event #{newest} came in meanwhile; look at it again, nothing was saved")
    return receipt


def _locks(annotator: str, ticket: Ticket) -> tuple[str, str]:
    """Who answers, and about what: others' answers about the feature, and what follows from them, come before or after."""
    return lock_of(annotator), f"feature {ticket.layer} {ticket.feature}"


def _asked(connection: Connection, annotator: str, ticket: Ticket) -> Row[Any]:
    """The slot of a ticket.

    Raises
    ------
    InputError
        If it is somebody else's.
    """
    require(connection, annotator, "label")
    row = connection.execute(_SLOT, {"asked": ticket.slot}).first()
    if row is None or row.feature != ticket.feature or row.layer != ticket.layer:
        raise InputError(f"feature {ticket.feature}: is not asked for any more; reload the page, nothing was saved")
    if row.annotator != annotator:
        raise InputError(f"feature {ticket.feature}: was given to somebody else, as it waited too long; go on with the next, nothing was saved")
    return row


def _about(row: Row[Any], annotator: str, ticket: Ticket) -> dict[str, Any]:
    """What an answer says of its slot. The key is the ticket's: whatever a page sends, one turn has one answer."""
    return {
        "key": f"slot:{row.id}:{ticket.turn}",
        "annotator": annotator,
        "layer": row.layer,
        "feature": row.feature,
        "codebook": row.codebook,
        "queue": row.queue,
        "stratum": row.stratum or None,
    }


def _standing(connection: Connection, annotator: str, layer: int, feature: int) -> Row[Any] | None:
    """A person's label of a feature that stands."""
    return connection.execute(_STANDING, {"annotator": annotator, "layer": layer, "feature": feature}).first()


def _ask_a_third(connection: Connection, desk: Desk, row: Row[Any]) -> None:
    """If the people who have labelled a feature differ, put it once into the disagreement queue."""
    said = connection.execute(_SAID, {**desk.here, "feature": row.feature})
    latest = {one.annotator: one.label for one in said}
    if len(set(latest.values())) > 1 and row.queue in SAMPLED and next_seat(connection, desk, "disagreement", row.feature) == 0:
        _add_seat(connection, desk, "disagreement", row)


# Built once, as those of `saebrain.annotation.queues`.
_SLOT = select(slot).where(slot.c.id == bindparam("asked")).with_for_update()
_FILL = update(slot).where(slot.c.id == bindparam("filled_one")).values(filled=True)
_LABEL = and_(event.c.kind == "label", event.c.queue != "repeat", not_undone())
_STANDING = select(event).where(OF_PERSON, _LABEL).order_by(event.c.id.desc()).limit(1)
_OF_FEATURE = and_(event.c.layer == bindparam("layer"), event.c.feature == bindparam("feature"), event.c.codebook == bindparam("codebook"))
_SAID = select(event.c.annotator, event.c.label).where(_OF_FEATURE, _LABEL).order_by(event.c.id)


def _add_seat(connection: Connection, desk: Desk, queue: Queue, row: Row[Any]) -> None:
    seat = next_seat(connection, desk, queue, row.feature)
    made = {"layer": row.layer, "codebook": row.codebook, "queue": queue, "feature": row.feature, "seat": seat, "stratum": row.stratum}
    connection.execute(insert(slot).values(**made, place=row.place, turn=0, filled=False))
