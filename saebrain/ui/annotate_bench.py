"""What an annotator is at: the feature shown, what is chosen so far, and the receipts; kept for the browser tab's session."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from saebrain.annotation.answers import CONFIDENCES
from saebrain.annotation.log import Receipt
from saebrain.annotation.queues import Desk, Ticket
from saebrain.ui.text import category

USUAL_CONFIDENCE = max(CONFIDENCES)
TOO_SOON_S = 0.4
"""Nobody reads a feature in less: a second press of a key or button within this time was meant for the feature before."""
KEPT = 6
_VERBS = {"label": "saved", "skip": "skipped", "flag": "flagged", "undo": "taken back", "adjudicate": "settled", "reveal": "shown"}


@dataclass
class Bench:
    """The state of one tab.

    shown : when the ticket was first shown (monotonic, s).
    top : top-level category that was chosen and has kinds of its own.
    pressed : when the last answer came in (monotonic, s), to tell how long the server takes.
    """

    ticket: Ticket | None = None
    shown: float = 0.0
    top: str | None = None
    confidence: int = USUAL_CONFIDENCE
    receipts: list[str] = field(default_factory=list)
    answered: Receipt | None = None
    problem: str | None = None
    pressed: float | None = None

    def show(self, ticket: Ticket) -> None:
        """Begin with a feature, unless it is the one that is shown."""
        if ticket != self.ticket:
            self.ticket, self.shown, self.top, self.confidence = ticket, time.monotonic(), None, USUAL_CONFIDENCE

    @property
    def seconds(self) -> float:
        """Since the feature was first shown."""
        return time.monotonic() - self.shown

    def take(self, receipt: Receipt, sent: str | None) -> None:
        """Keep a receipt; ``sent`` is the label that was meant to be saved."""
        if receipt.repeated and receipt.label != sent:
            said = f"as {category(receipt.label)}" if receipt.label else "(skipped)"
            self.problem = (
                f"This feature had been answered before, {said}, #{receipt.number}, perhaps in another tab. What you sent now was not saved."
            )
        elif not receipt.repeated:
            self.answered = receipt
            self.receipts = [written(receipt), *self.receipts][:KEPT]


def bench(at: Desk, name: str) -> Bench:
    """The state of this tab at a desk."""
    key = f"bench {at.database} {at.layer} {at.codebook} {at.queue} {name}"
    found: Bench = st.session_state.setdefault(key, Bench())
    return found


def written(receipt: Receipt) -> str:
    """A receipt as it is shown, in the browser's time."""
    what = category(receipt.label) if receipt.label and receipt.kind in ("label", "adjudicate") else ""
    return f"{_VERBS[receipt.kind]}, {local(receipt.time):%H:%M:%S}, #{receipt.number} · feature {receipt.feature}" + (f": {what}" if what else "")


def local(moment: datetime) -> datetime:
    """A time in the browser's time zone."""
    try:
        return moment.astimezone(ZoneInfo(st.context.timezone or "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        return moment
