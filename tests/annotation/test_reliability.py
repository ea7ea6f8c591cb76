"""Agreement from a log, checked against the published tables it is built from."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from saebrain.agreement import GOAL
from saebrain.agreement.pair import items_needed, log_interval
from saebrain.annotation.reliability import by_version, cell, intra, over_time, report, still_needed, versions
from tests.annotation.test_state import log, said

TABLE = np.array([[40, 9], [6, 45]])
"""kappa .70, agreement .85."""
LABELS = ("lexical", "syntactic")


def doubly(table: np.ndarray, first: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Labels of ana (rows) and ben (columns) that give a confusion table, in mixed order."""
    pairs = [(row, column) for row, column in product(range(len(table)), repeat=2) for _ in range(table[row, column])]
    order = np.random.default_rng(0).permutation(len(pairs))
    return [said(who, LABELS[pairs[n][side]], first + int(n), **more) for n in order for side, who in enumerate(("ana", "ben"))]


def test_report_of_a_known_table() -> None:
    found = report(log(*doubly(TABLE)), "1.0", goal=GOAL)
    (pair,) = found["headline"]["pairs"]
    assert pair["n"] == 100 and round(pair["kappa"], 2) == 0.70 and pair["percent"] == pytest.approx(0.85)
    assert found["exposed"]["pairs"] == [] and found["intra"].empty


def test_exposed_labels_are_apart() -> None:
    swayed = [{**event, "suggestion_visible": True} for event in doubly(np.array([[50, 0], [0, 50]]), first=1000)]
    found = report(log(*doubly(TABLE), *swayed), "1.0", goal=GOAL)
    assert found["headline"]["pairs"][0]["n"] == 100 and round(found["headline"]["pairs"][0]["kappa"], 2) == 0.70
    assert found["exposed"]["pairs"][0]["n"] == 100 and found["exposed"]["pairs"][0]["kappa"] == 1.0


def test_versions_side_by_side() -> None:
    events = log(*doubly(TABLE), *doubly(np.array([[10, 0], [0, 10]]), first=500, codebook="2.0"), said("ana", "lexical", 900, codebook="3.0"))
    assert versions(events) == ["1.0", "2.0", "3.0"]
    table = by_version(events, "ana", "ben")
    assert table["n"].tolist() == [100, 20, 0]
    assert table["kappa"].round(2).tolist()[:2] == [0.70, 1.0] and math.isnan(table["kappa"][2])
    assert table["low"][0] < 0.70 < table["high"][0]


def test_over_time() -> None:
    events = log(*doubly(np.array([[50, 0], [0, 50]])), *doubly(np.array([[0, 50], [50, 0]]), first=500))
    table = over_time(events, "1.0", "ana", "ben", window=100)
    assert table["doubly"].tolist() == list(range(100, 201, 10)) and (table["n"] == 100).all()
    assert table["kappa"].iloc[0] == 1.0 and table["kappa"].iloc[-1] == pytest.approx(-1.0)
    assert table["time"].is_monotonic_increasing
    few = over_time(events[events["feature"] < 30], "1.0", "ana", "ben", window=100)
    assert len(few) == 1 and few["n"].iloc[0] == 30
    assert over_time(events, "1.0", "ana", "cleo").empty


def test_intra_rater() -> None:
    first = [said("ana", LABELS[n % 2], n) for n in range(20)]
    again = [said("ana", LABELS[(n + (n < 2)) % 2], n, queue="repeat") for n in range(20)]
    (row,) = intra(log(*first, *again), "1.0").to_dict("records")
    assert row["annotator"] == "ana" and row["n"] == 20 and row["kappa"] == pytest.approx(0.8) and row["low"] < 0.8 < row["high"]


def test_power_agrees_with_the_interval() -> None:
    table = 3 * np.array([[45, 5], [3, 47]])
    missing = still_needed(table // 3, GOAL)
    assert missing is not None and missing > 0
    reached = (table / table.sum() * (missing + table.sum() // 3)).round().astype(int)
    assert log_interval(reached)[0] == pytest.approx(GOAL, abs=0.01)
    assert still_needed(table * 20, GOAL) == 0
    assert still_needed(TABLE, GOAL) is None and items_needed(TABLE, GOAL) is None
    assert still_needed(np.zeros((2, 2), int), GOAL) is None


def test_cell() -> None:
    events = log(said("ana", "semantic/place", 1), said("ben", "lexical", 1), said("ana", "semantic", 2), said("ben", "lexical", 2))
    assert cell(events, "1.0", "ana", "ben", "semantic/place", "lexical") == [1]
    assert cell(events, "1.0", "ana", "ben", "semantic", "lexical", top=True) == [1, 2]
    assert cell(events, "1.0", "ana", "cleo", "semantic", "lexical") == []


def test_nothing_yet_is_undefined_not_zero() -> None:
    found = report(log(), "1.0", goal=GOAL)
    assert found["headline"]["pairs"] == [] and found["headline"]["alpha"] is None and found["headline"]["fleiss"] is None
    one_category = report(log(*(said(who, "lexical", n) for n in range(5) for who in ("ana", "ben"))), "1.0", goal=GOAL)
    assert one_category["headline"]["pairs"][0]["kappa"] is None
    assert isinstance(by_version(log(), "ana", "ben"), pd.DataFrame)
