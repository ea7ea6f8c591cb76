"""What happens at the same moment comes out as if one had come after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import TypeVar

from sqlalchemy import func, select

from saebrain.annotation import answers
from saebrain.annotation.log import read_events
from saebrain.annotation.queues import claim
from saebrain.annotation.schema import slot
from saebrain.taxonomy import Codebook
from tests.annotation.conftest import Make
from tests.annotation.work import planned

Result = TypeVar("Result")
ROUNDS = 12


def at_once(*acts: Callable[[], Result]) -> list[Result]:
    """Do several things at the same moment."""
    start = Barrier(len(acts))

    def run(act: Callable[[], Result]) -> Result:
        start.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_many_sends_of_one_answer_are_one_event(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, random=ROUNDS)
    for _ in range(ROUNDS):
        (ticket,) = claim(at, "ana")
        paths = ["lexical", "syntactic"] * 3
        found = at_once(*(partial(answers.label, at, codebook, "ana", ticket, path) for path in paths))
        assert len({receipt.number for receipt in found}) == 1 and sum(not receipt.repeated for receipt in found) == 1
    assert len(read_events(at.database)) == ROUNDS


def test_two_tabs_never_hold_two_seats_of_one_feature(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, overlap=ROUNDS)
    for _ in range(ROUNDS // 2):
        first, second = at_once(*(lambda: claim(at, "ana", count=2) for _ in range(2)))
        assert [ticket.slot for ticket in first] == [ticket.slot for ticket in second]
        for ticket in first:
            answers.label(at, codebook, "ana", ticket, "lexical")
    held = select(slot.c.feature, func.count()).where(slot.c.annotator == "ana").group_by(slot.c.feature)
    with at.database.reading() as connection:
        assert {count for _, count in connection.execute(held)} == {1}


def test_labels_that_differ_at_the_same_moment_ask_one_third_person(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, overlap=ROUNDS)
    for _ in range(ROUNDS):
        (one,), (two,) = claim(at, "ana"), claim(at, "ben")
        assert one.feature == two.feature and one.slot != two.slot
        at_once(partial(answers.label, at, codebook, "ana", one, "lexical"), partial(answers.label, at, codebook, "ben", two, "syntactic"))
    asked = select(slot.c.feature).where(slot.c.queue == "disagreement")
    with at.database.reading() as connection:
        assert sorted(connection.scalars(asked)) == list(range(ROUNDS))


def test_skips_at_the_same_moment_ask_two_others(desk: Make) -> None:
    at = desk()
    planned(at, overlap=1)
    (one,), (two,) = claim(at, "ana"), claim(at, "ben")
    at_once(lambda: answers.skip(at, "ana", one), lambda: answers.skip(at, "ben", two))
    assert [len(claim(at, name)) for name in ("ana", "ben", "cleo", "ada")] == [0, 0, 1, 1]


def test_two_settle_at_once_and_one_counts(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, overlap=1)
    for name, path in (("ana", "lexical"), ("ben", "syntactic")):
        seen = answers.label(at, codebook, name, claim(at, name)[0], path).number
    found = at_once(
        lambda: answers.adjudicate(at, codebook, "cleo", 0, "lexical", "spelling", seen=seen),
        lambda: answers.adjudicate(at, codebook, "ada", 0, "syntactic", "construction", seen=seen),
    )
    assert len({receipt.number for receipt in found}) == 1 and sum(receipt.repeated for receipt in found) == 1
