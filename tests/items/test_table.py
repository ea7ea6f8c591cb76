"""Reading items: what is accepted, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saebrain.errors import InputError
from saebrain.items.table import Items, read_items

TABLE = """Sentence,Effect,Other,cond,passage
"One, two.",0.5,1,B,p
 Two. ,-1.5,2,B,q
Three.,NA,3,D,p
Four.,2e-1,4,B,p
Two.,0.25,5,B,q
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "items.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path / "items.csv"


def read(path: Path, **options: Any) -> Items:
    return read_items(path, **{"text_column": "Sentence", "targets": ["Effect"], "drop_missing": True, **options})


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_texts_and_targets(path: Path) -> None:
    items = read(path, targets=["Effect", "Other"])
    assert items.texts == ["One, two.", "Two.", "Four.", "Two."]
    assert items.targets == ["Effect", "Other"]
    assert items.y.tolist() == [[0.5, 1], [-1.5, 2], [0.2, 4], [0.25, 5]]
    assert items.dropped == 1


def test_the_same_text_is_one_group(path: Path) -> None:
    assert read(path).groups.tolist() == [0, 1, 2, 1]
    assert read(path, group_column="passage").groups.tolist() == [0, 1, 0, 1]


def test_conditions(path: Path) -> None:
    assert read(path, where=["cond=B"]).texts == ["One, two.", "Two.", "Four.", "Two."]
    assert read(path, where=["cond=B"]).dropped == 0
    assert read(path, where=["cond!=D", "passage = q"]).y.tolist() == [[-1.5], [0.25]]
    assert read(path, where=["Sentence=Two."], targets=["Other"]).y.tolist() == [[2], [5]]
    message = refused(path, where=["cond=b"])
    assert "no row meets 'cond=b'" in message
    assert "'B', 'D'" in message
    assert "no '='" in refused(path, where=["cond"])
    assert "did you mean 'cond'?" in refused(path, where=["condd=B"])


def test_missing_responses_are_named(path: Path) -> None:
    message = refused(path, drop_missing=False)
    assert "no response in row 3;" in message
    assert "--drop-missing" in message
    path.write_text("Sentence,Effect\n" + "a,1\n" + "b,\n" * 9 + "c,2\n", encoding="utf-8")
    assert "rows 2, 3, 4, 5, 6 and 4 more" in refused(path, drop_missing=False)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("Sentence,Effect\na,1\nb,high\n", "column 'Effect' holds no finite number in row 2, such as 'high'"),
        ("Sentence,Effect\na,1\nb,inf\nc,2\n", "no finite number in row 2"),
        ("Sentence,Effect\na,1\nb,1\n", "the same value in all 2 rows"),
        ("Sentence,Effect\na,1\n ,2\nb,3\n", "no text in row 2"),
        ("Sentence,Effect\n", "the same value in all 0 rows"),
        ("Sentence,Efect\na,1\n", "no column 'Effect'; its columns are 'Sentence', 'Efect'; did you mean 'Efect'?"),
        ("", "not a CSV table"),
        ('Sentence,Effect\na,1\n"b,2\n', "not a CSV table"),
        ("Sentence,Effect\na,1,7\nb,2,8,9\n", "not a CSV table"),
        ("Sentence,Effect\na,1,7\nb,2,8\n", "not a CSV table"),
    ],
)
def test_bad_tables(path: Path, content: str, named: str) -> None:
    path.write_text(content, encoding="utf-8")
    message = refused(path)
    assert message.startswith(str(path))
    assert named in message


def test_group_that_is_missing(path: Path) -> None:
    path.write_text("Sentence,Effect,passage\na,1,p\nb,2,\n", encoding="utf-8")
    assert "no group in row 2" in refused(path, group_column="passage")


def test_files_that_are_no_tables(path: Path) -> None:
    assert "no such file" in refused(path.with_name("nowhere.csv"))
    assert "no such file" in refused(path.parent)
    path.write_bytes("Sentence,Effect\nna\xefve,1\n".encode("latin-1"))
    assert "not UTF-8" in refused(path)


def test_byte_order_mark_and_no_target(path: Path) -> None:
    path.write_text("\ufeff" + TABLE, encoding="utf-8")
    assert read(path).texts[0] == "One, two."
    assert "no target column" in refused(path, targets=[])
