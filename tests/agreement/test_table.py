"""A table of labels: pairs, levels, gaps, what is refused; and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from saebrain.__main__ import app
from saebrain.agreement.table import check_labels, figures, read_labels
from saebrain.errors import InputError

LABELS = """item,annotator,label
1,ana,semantic/place
1,ben,semantic/place
1,cem,semantic/social
2,ana,semantic/social
2,ben,semantic/place
3,ana,syntactic
3,ben,semantic/place
3,cem,syntactic
4,ana,semantic/social
4,ben,semantic/social
4,cem,
5,ana,lexical
5,ben,lexical
5,cem,lexical
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(LABELS, encoding="utf-8")
    return path


def test_pairs_are_over_what_both_labelled(path: Path) -> None:
    found = figures(read_labels(path))
    assert found["annotators"] == ["ana", "ben", "cem"]
    assert {(pair["a"], pair["b"]): pair["n"] for pair in found["pairs"]} == {("ana", "ben"): 5, ("ana", "cem"): 3, ("ben", "cem"): 3}
    first = found["pairs"][0]
    # ana and ben agree on 3 of 5; margins by hand: place 1 x 3, social 2 x 1, syntactic 1 x 0, lexical 1 x 1, of 25
    assert first["kappa"] == pytest.approx((3 / 5 - 6 / 25) / (1 - 6 / 25))
    assert sum(map(sum, first["confusion"])) == 5


def test_levels_of_a_nested_codebook(path: Path) -> None:
    found = figures(read_labels(path))
    top = found["levels"]["top"]
    assert top["categories"] == ["lexical", "semantic", "syntactic"]
    assert top["pairs"][0]["percent"] == pytest.approx(4 / 5)
    (within,) = [pair for pair in found["levels"]["within"]["semantic"] if (pair["a"], pair["b"]) == ("ana", "ben")]
    assert (within["n"], within["percent"]) == (3, pytest.approx(2 / 3))


def test_flat_labels_have_no_levels(path: Path) -> None:
    table = read_labels(path)
    assert "levels" not in figures(table.assign(label=table["label"].str.replace("/", "_")))


def test_per_category_of_two_annotators_is_cohens(path: Path) -> None:
    table = read_labels(path)
    two = figures(table[table["annotator"] != "cem"])
    # place: ana 1 of 5, ben 3 of 5, both 1
    assert two["per_category"]["semantic/place"] == pytest.approx((3 / 5 - (1 / 5 * 3 / 5 + 4 / 5 * 2 / 5)) / (1 - (1 / 5 * 3 / 5 + 4 / 5 * 2 / 5)))
    assert two["per_category"]["syntactic"] == pytest.approx(0)
    low, high = two["per_category_interval"]["semantic/place"]
    assert low < two["per_category"]["semantic/place"] < high <= 1
    assert set(figures(table)["per_category"]) == set(table["label"])


def test_undefined_is_null(path: Path) -> None:
    table = read_labels(path)
    alone = figures(table[table["annotator"] == "ana"])
    assert alone["pairs"] == [] and alone["alpha"] is None and alone["fleiss"] is None
    same = figures(table[table["item"] == "5"])
    assert same["pairs"][0]["kappa"] is None and same["alpha"] is None
    json.dumps(same, allow_nan=False)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("item,annotator", "thing,annotator", "no column item"),
        ("2,ben", "1,ben", "'ben' labels item '1' more than once"),
        ("3,cem,", "3,,", "1 rows without an item or annotator"),
    ],
)
def test_bad_tables_are_refused(path: Path, old: str, new: str, message: str) -> None:
    path.write_text(LABELS.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_labels(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a readable table"):
        read_labels(tmp_path / "none.csv")


def test_parquet_gives_the_same(path: Path) -> None:
    table = read_labels(path)
    table.to_parquet(path.with_suffix(".parquet"))
    assert figures(read_labels(path.with_suffix(".parquet"))) == figures(table)


def test_labels_need_not_be_text() -> None:
    table = check_labels(pd.DataFrame({"item": [1, 1, 2, 2], "annotator": [7, 8, 7, 8], "label": [0, 0, 1, 0]}), "table")
    assert figures(table)["pairs"][0]["percent"] == 0.5


def test_command(path: Path) -> None:
    done = CliRunner().invoke(app, ["agreement", "--table", str(path), "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found == figures(read_labels(path))
    assert {"a", "b", "n", "kappa", "se", "ci_low", "ci_high", "percent", "pabak", "ac1"} <= found["pairs"][0].keys()
    shown = CliRunner().invoke(app, ["agreement", "--table", str(path)])
    assert "ana, ben" in shown.stdout and "undefined" not in shown.stdout.split("category")[0]
