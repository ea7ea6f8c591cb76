"""Slots: order, seats, claims, repeats, assignment."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from saebrain.annotation import answers
from saebrain.annotation.log import read_events
from saebrain.annotation.queues import Ticket, claim, progress
from saebrain.annotation.schema import slot
from saebrain.taxonomy import Codebook
from tests.annotation.conftest import Make
from tests.annotation.work import planned, say, say_all


def test_planning_twice_adds_nothing_and_more_adds_the_rest(desk: Make) -> None:
    at = desk()
    for overlap in (2, 2, 3):
        planned(at, overlap=overlap)
    with at.database.reading() as connection:
        rows = connection.execute(select(slot.c.feature, slot.c.seat)).all()
    assert sorted(map(tuple, rows)) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_queues_come_in_order(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, overlap=1, random=1, impact=1)
    say_all(at, codebook, "ana", "lexical", "lexical", "lexical")
    assert read_events(at.database)["queue"].tolist() == ["overlap", "random", "impact"]
    assert claim(at, "ana") == []


def test_next_is_claimed_ahead_and_stays(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, random=3)
    first, second = claim(at, "ana", count=2)
    assert claim(at, "ana", count=2) == [first, second]
    assert [ticket.feature for ticket in claim(at, "ben", count=2)] == [2]
    answers.label(at, codebook, "ana", first, "lexical")
    assert claim(at, "ana", count=2) == [second]


def test_overlap_is_labelled_by_different_people(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, overlap=3)
    say_all(at, codebook, "ana", *["lexical"] * 3)
    assert claim(at, "ana") == []
    say_all(at, codebook, "ben", *["lexical"] * 3)
    assert claim(at, "cleo") == []


def test_nobody_races_for_a_slot(desk: Make) -> None:
    at = desk()
    planned(at, random=40)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda number: claim(at, ("ana", "ben", "cleo", "ada")[number % 4], count=10), range(8)))
    assert Counter(ticket.feature for tickets in taken[:4] for ticket in tickets) == Counter(range(40))
    assert taken[:4] == taken[4:]


def test_claim_lapses(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, random=1)
    (ticket,) = claim(at, "ana")
    assert claim(at, "ben") == []
    with at.database.writing() as connection:
        claimed = connection.scalar(select(slot.c.claimed))
        assert claimed is not None
        connection.execute(update(slot).values(claimed=claimed - timedelta(minutes=at.settings.claim_minutes + 1)))
    assert claim(at, "ana") == [ticket]
    assert claim(at, "ben") == [ticket]
    assert not answers.label(at, codebook, "ben", ticket, "lexical").repeated


def test_assignment(desk: Make) -> None:
    at = desk(assign={"impact": ["ben"]})
    planned(at, random=1, impact=1)
    assert [ticket.feature for ticket in claim(at, "ana", count=2)] == [0]
    assert [ticket.feature for ticket in claim(at, "ben", count=2)] == [1]


def test_one_queue_alone(desk: Make) -> None:
    at = desk()
    planned(at, random=1, impact=1)
    assert [ticket.feature for ticket in claim(replace(at, queue="impact"), "ana")] == [1]
    assert [ticket.feature for ticket in claim(replace(at, queue="random"), "ana")] == [0]


def test_repeats_come_late_and_look_like_anything_else(desk: Make, codebook: Codebook) -> None:
    at = desk(repeats=0.25, repeat_after=4)
    planned(at, random=20)
    for _ in range(25):
        for ticket in claim(at, "ana"):
            assert {field.name for field in fields(Ticket)} == {"slot", "turn", "layer", "feature"}
            answers.label(at, codebook, "ana", ticket, "lexical")
    events = read_events(at.database)
    again = events[events["queue"] == "repeat"]
    assert len(again) == 5 and again["feature"].is_unique
    for row in again.itertuples():
        first = events[(events["feature"] == row.feature) & (events["queue"] != "repeat")].iloc[0]
        between = events[(events["id"] > first["id"]) & (events["id"] < row.id)]
        assert (between["queue"] != "repeat").sum() >= 4
    assert "repeat" not in set(progress(at)["queue"])


def test_disagreement_goes_to_a_third(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, overlap=2)
    say_all(at, codebook, "ana", "lexical", "lexical")
    say_all(at, codebook, "ben", "lexical", "syntactic")
    assert claim(at, "ana") == [] and claim(at, "ben") == []
    assert say(at, codebook, "cleo", "syntactic").feature == 1
    assert read_events(at.database)["queue"].tolist()[-1] == "disagreement"
    assert claim(at, "ada") == []


def test_layers_and_versions_are_apart(desk: Make, codebook: Codebook) -> None:
    planned(desk(), random=1)
    planned(desk(layer=5), random=1)
    say(desk(), codebook, "ana", "lexical")
    assert claim(desk(), "ana") == [] and claim(desk(version="2.0"), "ana") == []
    assert [ticket.layer for ticket in claim(desk(layer=5), "ana")] == [5]


def test_progress(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, overlap=2, random=3)
    say(at, codebook, "ana", "lexical")
    assert progress(at).to_dict("list") == {"queue": ["overlap", "random"], "slots": [4, 3], "filled": [1, 0], "people": [1, 0]}


@pytest.mark.parametrize("count", [1, 3])
def test_taken_back_comes_before_what_was_claimed_ahead(desk: Make, codebook: Codebook, count: int) -> None:
    at = desk()
    planned(at, random=5)
    say(at, codebook, "ana", "lexical")
    claim(at, "ana", count=2)
    answers.undo(at, "ana")
    assert claim(at, "ana", count=count)[0].feature == 0
