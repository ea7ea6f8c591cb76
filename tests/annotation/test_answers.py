"""Labels, skips, flags, undo and adjudication, and that each is saved once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from saebrain.annotation import answers
from saebrain.annotation.log import read_events, reveal
from saebrain.annotation.people import NotAllowed
from saebrain.annotation.queues import Ticket, claim
from saebrain.errors import InputError
from saebrain.taxonomy import Codebook
from tests.annotation.conftest import Make
from tests.annotation.work import planned, say, say_all


def test_event_holds_all_there_is_to_say(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, overlap=1)
    (ticket,) = claim(at, "ana")
    receipt = answers.label(at, codebook, "ana", ticket, "semantic/place", confidence=2, note="  harbours\n", seconds=3.25)
    (row,) = read_events(at.database).to_dict("records")
    assert (receipt.number, receipt.time, receipt.label, receipt.repeated) == (row["id"], row["time"], "semantic/place", False)
    assert row["kind"] == "label" and row["annotator"] == "ana" and row["layer"] == 15 and row["feature"] == 0
    assert row["label"] == "semantic/place" and row["confidence"] == 2 and row["note"] == "harbours" and row["seconds"] == 3.25
    assert row["codebook"] == codebook.version and row["queue"] == "overlap" and row["stratum"] == "rare, semantic"
    assert row["suggestion_visible"] is False and row["supersedes"] is None and len(row["uuid"]) == 36


def test_answer_twice_is_one_event_and_the_first_counts(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, random=2)
    (ticket,) = claim(at, "ana")
    first = answers.label(at, codebook, "ana", ticket, "lexical")
    again = answers.label(at, codebook, "ana", ticket, "syntactic")
    assert again.repeated and (again.number, again.time, again.label) == (first.number, first.time, "lexical")
    assert answers.skip(at, "ana", ticket).repeated
    assert len(read_events(at.database)) == 1
    assert claim(at, "ana")[0].feature == 1


def test_skip_asks_somebody_else(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, random=1)
    (ticket,) = claim(at, "ana")
    assert answers.skip(at, "ana", ticket, note="two meanings").kind == "skip"
    assert claim(at, "ana") == []
    assert [other.feature for other in claim(at, "ben")] == [0]


def test_undo_asks_again_and_both_stay_in_the_log(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, random=3)
    say_all(at, codebook, "ana", "lexical", "syntactic")
    held = claim(at, "ana", count=1)[0]
    assert held.feature == 2
    for feature, label in ((1, "syntactic"), (0, "lexical")):
        receipt = answers.undo(at, "ana")
        assert receipt is not None and (receipt.kind, receipt.feature, receipt.label) == ("undo", feature, label)
        assert claim(at, "ana")[0].feature == feature
    assert answers.undo(at, "ana") is None
    say_all(at, codebook, "ana", "semantic", "semantic/place", "unclear")
    events = read_events(at.database)
    assert events["kind"].tolist() == ["label", "label", "undo", "undo", "label", "label", "label"]
    assert events["supersedes"].tolist()[2:4] == [events["uuid"][1], events["uuid"][0]]


def test_undone_skip_takes_the_spare_seat_away(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, random=1)
    answers.skip(at, "ana", claim(at, "ana")[0])
    answers.undo(at, "ana")
    assert claim(at, "ben") == []
    assert say(at, codebook, "ana", "lexical").feature == 0


def test_label_from_a_tab_that_is_out_of_date(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, random=1)
    (ticket,) = claim(at, "ana")
    first = answers.label(at, codebook, "ana", ticket, "lexical")
    answers.undo(at, "ana")
    late = answers.label(at, codebook, "ana", ticket, "lexical")
    assert late.repeated and late.number == first.number
    (fresh,) = claim(at, "ana")
    assert fresh.turn == ticket.turn + 1
    assert not answers.label(at, codebook, "ana", fresh, "syntactic").repeated


def test_refusals_save_nothing(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, random=2)
    (ticket,) = claim(at, "ana")
    with pytest.raises(InputError, match="not in codebook"):
        answers.label(at, codebook, "ana", ticket, "semantic/plaice")
    with pytest.raises(InputError, match="given to somebody else"):
        answers.label(at, codebook, "ben", ticket, "lexical")
    with pytest.raises(InputError, match="not asked for"):
        answers.label(at, codebook, "ana", Ticket(999, 0, 15, 0), "lexical")
    with pytest.raises(InputError, match="out by version"):
        answers.label(desk(version="0.9"), codebook, "ana", ticket, "lexical")
    with pytest.raises(InputError, match="confidence 7"):
        answers.label(at, codebook, "ana", ticket, "lexical", confidence=7)
    for note, message in (("x" * 4001, "4,001 characters"), ("a\0b", "cannot be stored"), ("\ud800", "cannot be stored")):
        with pytest.raises(InputError, match=message):
            answers.label(at, codebook, "ana", ticket, "lexical", note=note)
    with pytest.raises(InputError, match="what is wrong"):
        answers.flag(at, "ana", ticket, "  ")
    assert read_events(at.database).empty


@pytest.mark.parametrize("name", ["vic", "nobody"])
def test_who_may_not_write(desk: Make, codebook: Codebook, name: str) -> None:
    at = desk()
    planned(at, overlap=1)
    say(at, codebook, "ana", "lexical")
    (ticket,) = claim(at, "ben")
    for act in (
        lambda: claim(at, name),
        lambda: answers.label(at, codebook, name, ticket, "lexical"),
        lambda: answers.skip(at, name, ticket),
        lambda: answers.flag(at, name, ticket, "odd"),
        lambda: answers.undo(at, name),
        lambda: answers.adjudicate(at, codebook, name, 0, "lexical", "so it is", seen=1),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert len(read_events(at.database)) == 1


def test_flag_leaves_the_feature_to_be_labelled(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, random=1)
    (ticket,) = claim(at, "ana")
    assert answers.flag(at, "ana", ticket, "contexts are empty").kind == "flag"
    assert answers.flag(at, "ana", ticket, "contexts are empty").repeated
    assert claim(at, "ana") == [ticket]


def test_adjudication(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, overlap=1)
    say(at, codebook, "ana", "lexical")
    last = say(at, codebook, "ben", "syntactic").number
    with pytest.raises(NotAllowed, match="may not adjudicate"):
        answers.adjudicate(at, codebook, "ana", 0, "lexical", "mine", seen=last)
    with pytest.raises(InputError, match="no rationale"):
        answers.adjudicate(at, codebook, "cleo", 0, "lexical", " ", seen=last)
    with pytest.raises(InputError, match="came in meanwhile"):
        answers.adjudicate(at, codebook, "cleo", 0, "lexical", "one spelling", seen=last - 1)
    with pytest.raises(InputError, match="nothing to settle"):
        answers.adjudicate(at, codebook, "cleo", 3, "lexical", "one spelling", seen=last)
    receipt = answers.adjudicate(at, codebook, "cleo", 0, "lexical", "one spelling", seen=last)
    assert receipt.label == "lexical" and not receipt.repeated
    again = answers.adjudicate(at, codebook, "ada", 0, "syntactic", "another view", seen=last)
    assert again.repeated and again.label == "lexical"
    changed = answers.adjudicate(at, codebook, "ada", 0, "syntactic", "another view", seen=receipt.number)
    assert not changed.repeated
    assert read_events(at.database)["kind"].tolist() == ["label", "label", "adjudicate", "adjudicate"]


def test_what_was_shown_is_logged_once_and_marks_later_events(desk: Make, codebook: Codebook) -> None:
    at = desk()
    planned(at, random=2)
    say(at, codebook, "ana", "lexical")
    for _ in range(2):
        reveal(at.database, "ana", 15, 0, codebook.version, "suggestion")
    answers.undo(at, "ana")
    say_all(at, codebook, "ana", "syntactic", "lexical")
    events = read_events(at.database)
    assert events["kind"].tolist() == ["label", "reveal", "undo", "label", "label"]
    assert events["suggestion_visible"].tolist() == [False, False, True, True, False]


def test_label_of_what_one_labelled_before_supersedes_it(desk: Make, codebook: Codebook) -> None:
    old = desk(version="0.9")
    planned(old, random=1)
    say(old, codebook.model_copy(update={"version": "0.9"}), "ana", "lexical")
    at = desk()
    (ticket,) = claim(replace(at, queue="stale"), "ana")
    answers.label(at, codebook, "ana", ticket, "syntactic")
    events = read_events(at.database)
    assert events["supersedes"].tolist() == [None, events["uuid"][0]] and events["queue"].tolist() == ["random", "stale"]
    assert claim(replace(at, queue="stale"), "ana") == []
