"""The log as a file and back."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from saebrain.annotation import answers
from saebrain.annotation.database import Database
from saebrain.annotation.log import COLUMNS, Entry, append, read_events
from saebrain.annotation.transfer import export, load
from saebrain.errors import InputError
from saebrain.taxonomy import Codebook
from tests.annotation.conftest import Fresh, Make
from tests.annotation.work import planned, say, say_all

NOTES = ('commas, "quotes"', "lines\r\nof\n\ntext", "=1+1", "κ 感情 \U0001f9e0 e\u0301", "None", "nan", "NULL", " 0")


def some_labels(desk: Make, codebook: Codebook) -> Database:
    """A log of every kind of event."""
    at = desk()
    planned(at, overlap=3, random=len(NOTES))
    say_all(at, codebook, "ana", "lexical", "lexical")
    say(at, codebook, "ben", "syntactic")
    answers.undo(at, "ben")
    last = say(at, codebook, "ben", "semantic/place").number
    answers.adjudicate(at, codebook, "cleo", 0, "semantic", "neither", seen=last)
    with at.database.writing() as connection:
        for number, note in enumerate(NOTES):
            append(connection, Entry(f"k{number}", "flag", "ana", 15, number, "1.0", note=note, seconds=0.1 + number / 3))
    return at.database


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_round_trip_is_exact(desk: Make, codebook: Codebook, fresh: Fresh, tmp_path: Path, ending: str) -> None:
    database, other = some_labels(desk, codebook), fresh()
    there, back = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    count = export(database, there)
    assert load(other, there) == (count, 0)
    pd.testing.assert_frame_equal(read_events(other), read_events(database))
    export(other, back)
    assert back.read_bytes() == there.read_bytes()
    assert load(other, there) == (0, count)


def test_log_goes_on_where_the_import_ends(desk: Make, codebook: Codebook, fresh: Fresh, tmp_path: Path) -> None:
    database, other = some_labels(desk, codebook), fresh()
    count = export(database, tmp_path / "a.csv")
    load(other, tmp_path / "a.csv")
    with other.writing() as connection:
        assert append(connection, Entry("new", "flag", "ana", 15, 1, "1.0", note="x")).number == count + 1


def test_two_logs_are_joined(desk: Make, codebook: Codebook, fresh: Fresh, tmp_path: Path) -> None:
    database, other = some_labels(desk, codebook), fresh()
    with other.writing() as connection:
        append(connection, Entry("first", "flag", "dan", 15, 1, "1.0", note="x"))
    count = export(database, tmp_path / "a.parquet")
    assert load(other, tmp_path / "a.parquet") == (count, 0)
    joined, own = read_events(other), read_events(database)
    assert joined["id"].is_monotonic_increasing and len(joined) == count + 1
    pd.testing.assert_frame_equal(joined.iloc[1:].drop(columns="id").reset_index(drop=True), own.drop(columns="id"))


def test_csv_and_parquet_hold_the_same(desk: Make, codebook: Codebook, fresh: Fresh, tmp_path: Path) -> None:
    database = some_labels(desk, codebook)
    tables = []
    for ending in ("csv", "parquet"):
        export(database, tmp_path / f"a.{ending}")
        other = fresh()
        load(other, tmp_path / f"a.{ending}")
        tables.append(read_events(other))
    pd.testing.assert_frame_equal(*tables)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    note=st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=60),
    seconds=st.floats(0, 86400) | st.none(),
)
def test_any_note_and_any_time_come_back(tmp_path_factory: pytest.TempPathFactory, note: str, seconds: float | None) -> None:
    folder = tmp_path_factory.mktemp("any")
    database, other = (Database(URL.create("sqlite", database=str(folder / f"{name}.db"))) for name in "ab")
    with database.writing() as connection:
        append(connection, Entry("k", "flag", "ana", 15, 1, "1.0", note=note, seconds=seconds))
    export(database, folder / "a.csv")
    load(other, folder / "a.csv")
    pd.testing.assert_frame_equal(read_events(other), read_events(database))


def changed(source: Path, target: Path, row: int, **values: str) -> Path:
    """A CSV file with one row changed."""
    with source.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows[row].update(values)
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return target


def test_refused_files_add_nothing(desk: Make, codebook: Codebook, fresh: Fresh, tmp_path: Path) -> None:
    database, other = some_labels(desk, codebook), fresh()
    export(database, tmp_path / "a.csv")
    for values, message in (
        ({"kind": "erase"}, "kind 'erase' is not known"),
        ({"time": "2026-01-01T00:00:00"}, "no time zone"),
        ({"suggestion_visible": "yes"}, "neither True nor False"),
        ({"feature": "seven"}, "event 1: invalid literal"),
        ({"annotator": ""}, "no annotator"),
        ({"supersedes": "no-such-event"}, "which neither file nor log has"),
    ):
        with pytest.raises(InputError, match=message):
            load(other, changed(tmp_path / "a.csv", tmp_path / "b.csv", 0, **values))
    with pytest.raises(InputError, match="but differs"):
        load(database, changed(tmp_path / "a.csv", tmp_path / "b.csv", 0, label="lexicalised"))
    (tmp_path / "c.csv").write_text("item,label\n1,x\n")
    with pytest.raises(InputError, match="no column id, uuid"):
        load(other, tmp_path / "c.csv")
    (tmp_path / "d.parquet").write_text("no parquet")
    for path in (tmp_path / "d.parquet", tmp_path / "absent.csv"):
        with pytest.raises(InputError, match="cannot be read"):
            load(other, path)
    with pytest.raises(InputError, match=r"ends in .csv or .parquet"):
        export(database, tmp_path / "a.xlsx")
    assert read_events(other).empty
