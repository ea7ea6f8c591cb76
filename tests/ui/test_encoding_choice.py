"""Boxes and the text of a selection say the same."""

from __future__ import annotations

import pytest

from saebrain.pipeline.selection import canonical
from saebrain.study import SHIPPED
from saebrain.taxonomy import load_codebook
from saebrain.ui.encoding_choice import Choice

CODEBOOK = load_codebook(SHIPPED / "codebook.toml")


@pytest.mark.parametrize(
    "selection",
    [
        "all",
        "semantic",
        "semantic/place+syntactic",
        "list:mine+semantic/place",
        "density>=0.001",
        "density<=0.1&density>=0.001&semantic/place+density<=0.1&density>=0.001&syntactic",
        "list:mine&r>=0.1",
        "semantic@5",
        "semantic/place+semantic/place@5+syntactic+syntactic@5",
        "density>=0.001&semantic@25+density>=0.001&semantic@5",
    ],
)
def test_what_boxes_can_say_is_read_and_written(selection: str) -> None:
    name = canonical(selection, CODEBOOK)
    choice = Choice.of(name)
    assert choice is not None and canonical(choice.text, CODEBOOK) == name


@pytest.mark.parametrize(
    "selection",
    [
        "nuisance",
        "features:1,2",
        "features:1&semantic",
        "semantic&syntactic",
        "semantic+syntactic@5",
        "density<0.01",
        "density>=0.01&semantic+syntactic",
        "density>=0.01&density>=0.1&semantic",
        "nuisance+semantic",
        "r>0.1&semantic",
    ],
)
def test_what_boxes_cannot_say_is_left_to_the_text(selection: str) -> None:
    assert Choice.of(canonical(selection, CODEBOOK)) is None


def test_changes() -> None:
    choice = Choice.of("semantic/place+semantic/social+syntactic")
    assert choice is not None
    assert choice.with_set("semantic", True).text == "semantic+syntactic"
    assert choice.with_set("semantic/place", False).text == "semantic/social+syntactic"
    assert choice.with_set("all", True).text == "all"
    assert choice.with_lists(["b", "a"]).with_lists(["a"]).text == "list:a+semantic/place+semantic/social+syntactic"
    assert choice.with_limit("density<=", "0.1").with_limit("density<=", "0.3").limit("density<=") == "0.3"
    assert choice.with_limit("density<=", "0.1").with_limit("density<=", None) == choice
    assert choice.with_layers([None, 5]).with_set("semantic", True).text == "semantic+semantic@5+syntactic+syntactic@5"
    assert choice.with_layers([5]).with_layers([]) == choice
    assert Choice(frozenset()).text == "" and Choice(frozenset()).with_limit("r>=", "0.1").text == "r>=0.1"


def test_what_contains_a_category() -> None:
    choice = Choice(frozenset(["semantic"]))
    assert choice.within("semantic/place") and not choice.within("semantic") and not choice.within("syntactic")
    assert Choice(frozenset(["all"])).within("syntactic")
