"""What follows from the log. Logs are written out as events; the rules of whose label counts are checked one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from saebrain.annotation.log import COLUMNS, as_table
from saebrain.annotation.state import disagreements, final_labels, first_blind, headline, repeats, settled, stale, standing

PATHS = ["semantic", "semantic/place", "semantic/social", "lexical", "syntactic", "unclear"]
START = datetime(2026, 1, 1, tzinfo=UTC)


def log(*events: dict[str, Any]) -> pd.DataFrame:
    """A log; what an event leaves out is usual. uuid n stands for event n."""
    rows = []
    for number, given in enumerate(events, start=1):
        usual = dict.fromkeys(COLUMNS) | {"id": number, "uuid": str(number), "key": str(number), "time": START + timedelta(minutes=number)}
        usual |= {"kind": "label", "annotator": "ana", "layer": 15, "feature": 1, "codebook": "1.0", "queue": "overlap", "stratum": "all"}
        rows.append(tuple({**usual, "suggestion_visible": False, "seconds": 1.0, **given}.values()))
    return as_table(rows)


def said(annotator: str, label: str, feature: int = 1, **more: Any) -> dict[str, Any]:
    return {"annotator": annotator, "label": label, "feature": feature, **more}


def labels(rows: pd.DataFrame) -> list[tuple[str, int, str]]:
    return list(zip(rows["annotator"], rows["feature"], rows["label"], strict=True))


def test_empty_log() -> None:
    events = log()
    for found in (
        standing(events),
        headline(events, "1.0"),
        repeats(events, "1.0"),
        stale(events, "1.0"),
        settled(events),
        disagreements(events, "1.0"),
    ):
        assert found.empty
    assert final_labels(events, PATHS).empty


def test_last_label_stands_unless_taken_back() -> None:
    events = log(said("ana", "lexical"), said("ana", "syntactic"), said("ben", "lexical"), {"kind": "undo", "annotator": "ben", "supersedes": "3"})
    assert labels(standing(events)) == [("ana", 1, "syntactic")]
    undone = log(said("ana", "lexical"), said("ana", "syntactic"), {"kind": "undo", "supersedes": "2"})
    assert labels(standing(undone)) == [("ana", 1, "lexical")]


def test_repeat_never_counts_as_the_label() -> None:
    events = log(said("ana", "lexical"), said("ana", "syntactic", queue="repeat"))
    assert labels(standing(events)) == labels(first_blind(events, "1.0")) == [("ana", 1, "lexical")]
    (row,) = repeats(events, "1.0").to_dict("records")
    assert (row["annotator"], row["first"], row["again"]) == ("ana", "lexical", "syntactic")


def test_first_submission_counts_for_agreement() -> None:
    events = log(said("ana", "lexical"), said("ana", "syntactic", supersedes="1"))
    assert labels(headline(events, "1.0")) == [("ana", 1, "lexical")]


def test_slip_that_was_taken_back_blind_does_not_count() -> None:
    events = log(said("ana", "lexical"), {"kind": "undo", "supersedes": "1"}, said("ana", "syntactic"))
    assert labels(headline(events, "1.0")) == [("ana", 1, "syntactic")]


def test_label_that_was_taken_back_after_a_reveal_counts() -> None:
    undo = {"kind": "undo", "supersedes": "1", "suggestion_visible": True}
    events = log(said("ana", "lexical"), {"kind": "reveal"}, undo, said("ana", "syntactic", suggestion_visible=True))
    assert labels(headline(events, "1.0")) == [("ana", 1, "lexical")]
    assert labels(standing(events)) == [("ana", 1, "syntactic")]


def test_label_after_the_decision_does_not_count() -> None:
    events = log(said("ana", "lexical"), {"kind": "adjudicate", "annotator": "cleo", "label": "syntactic"}, said("ben", "syntactic"))
    assert labels(headline(events, "1.0")) == [("ana", 1, "lexical")]


def test_only_the_random_sample_counts() -> None:
    queues = ["overlap", "random", "impact", "disagreement", "stale", "free"]
    events = log(*(said("ana", "lexical", number, queue=queue) for number, queue in enumerate(queues)))
    assert headline(events, "1.0")["feature"].tolist() == [0, 1]
    assert len(first_blind(events, "1.0")) == 6


def test_versions_are_never_pooled() -> None:
    events = log(said("ana", "lexical"), said("ana", "syntactic", codebook="2.0"), said("ben", "lexical"))
    assert labels(headline(events, "1.0")) == [("ana", 1, "lexical"), ("ben", 1, "lexical")]
    assert labels(headline(events, "2.0")) == [("ana", 1, "syntactic")]
    assert labels(stale(events, "2.0")) == [("ben", 1, "lexical")]


def test_disagreements_until_they_are_settled_and_again_after_a_new_label() -> None:
    differ = [said("ana", "lexical"), said("ben", "syntactic"), said("ana", "lexical", 2), said("ben", "lexical", 2)]
    assert labels(disagreements(log(*differ), "1.0")) == [("ana", 1, "lexical"), ("ben", 1, "syntactic")]
    decided = [*differ, {"kind": "adjudicate", "annotator": "cleo", "label": "lexical"}]
    assert disagreements(log(*decided), "1.0").empty
    assert len(disagreements(log(*decided, said("dan", "unclear")), "1.0")) == 3


def test_final_label_and_where_it_comes_from() -> None:
    events = log(
        said("ana", "lexical", 1, confidence=3),
        said("ana", "semantic/place", 2, confidence=1),
        said("ben", "semantic/social", 2, confidence=2),
        said("ana", "lexical", 3),
        said("ben", "syntactic", 3),
        said("ana", "lexical", 4),
        said("ben", "syntactic", 4),
        {"kind": "adjudicate", "annotator": "cleo", "feature": 4, "label": "syntactic"},
        said("ana", "abandoned", 5),
    )
    found = final_labels(events, PATHS)
    assert list(found.itertuples(index=False, name=None)) == [
        (1, "lexical", "human", 1.0, 1, "1.0"),
        (2, "semantic", "human", 0.5, 2, "1.0"),
        (3, "unclear", "human", pytest.approx(2 / 3), 2, "1.0"),
        (4, "syntactic", "adjudicated", 1.0, 2, "1.0"),
    ]
