"""Selections of features as people write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from saebrain.errors import InputError
from saebrain.pipeline.feature_lists import read_list, save_list, saved_lists
from saebrain.pipeline.selection import EmptySelection, Known, by_layer, canonical, depends_on, select, sets_in
from saebrain.study import SHIPPED, Study
from saebrain.taxonomy import load_codebook
from tests.test_study import open_study

CODEBOOK = load_codebook(SHIPPED / "codebook.toml")
LABELS = pd.Series(["semantic/place", "semantic", "syntactic", "semantic/place", "unclear", "semantic/social", "syntactic", "lexical"])
DENSITY = pd.Series([0.001, 0.02, 0.3, 0.005, 0.01, 0.0, 0.1, 0.01])
BEST_R = pd.Series([0.3, 0.05, -0.1, 0.12, 0.1, np.nan, 0.2, 0.0])
SAVED = {"mine": np.array([4, 0]), "too-long": np.array([3, 8])}
KNOWN = Known(LABELS, CODEBOOK, lambda: DENSITY, lambda: BEST_R, SAVED.__getitem__)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return open_study(tmp_path)


@pytest.mark.parametrize(
    ("selection", "features"),
    [
        ("all", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("nuisance", []),
        ("semantic", [0, 1, 3, 5]),
        ("semantic/place", [0, 3]),
        ("features:5,2,2", [2, 5]),
        ("list:mine", [0, 4]),
        ("density<0.01", [0, 3, 5]),
        ("density <= 1e-2", [0, 3, 4, 5, 7]),
        ("r>0.1", [0, 3, 6]),
        ("r>=.1", [0, 3, 4, 6]),
        ("r<-0.05", [2]),
        ("semantic/place+syntactic", [0, 2, 3, 6]),
        ("semantic/place + features:3,4", [0, 3, 4]),
        ("syntactic & density<0.2", [6]),
        ("semantic/social+syntactic&r>0.1", [5, 6]),
        ("all&list:mine&r>0.2+lexical", [0, 7]),
        ("nuisance+lexical", [7]),
    ],
)
def test_selected_features(selection: str, features: list[int]) -> None:
    assert select(selection, KNOWN).tolist() == features


@pytest.mark.parametrize(
    ("selection", "written"),
    [
        (" syntactic +semantic/place", "semantic/place+syntactic"),
        ("lexical&density < 0.0100+lexical & density<0.01", "density<0.01&lexical"),
        ("features:9,12,3", "features:3,9,12"),
        ("r>=.50", "r>=0.5"),
        ("syntactic @ 05 + lexical&density<.01 @25", "density<0.01&lexical@25+syntactic@5"),
        ("all", "all"),
    ],
)
def test_one_selection_has_one_way_to_be_written(selection: str, written: str) -> None:
    assert canonical(selection, CODEBOOK) == written
    assert canonical(written, CODEBOOK) == written


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("", r"^empty selection; name features, such as all, semantic, features:12,15 or density<0.01, joined by \+ or &$"),
        ("semantic+", r"^empty selection;"),
        ("semantic&&lexical", r"^empty selection;"),
        ("semantic/plaice", r"label 'semantic/plaice': not in codebook .*did you mean 'semantic/place'"),
        ("semantic+density", r"label 'density': not in codebook"),
        ("density<many", r"label 'density<many': not in codebook"),
        ("features:", r"selection 'features:': not a list of feature numbers; write them like features:12,15,99"),
        ("features:1,two", r"not a list of feature numbers"),
        ("features:3,8", r"selection 'features:3,8': this SAE has features 0 to 7, not 8; mend the list"),
        ("features:-1", r"this SAE has features 0 to 7, not -1"),
        ("list:too-long", r"selection 'list:too-long': this SAE has features 0 to 7, not 8"),
        ("list:../secret", r"list '../secret': a name has letters, digits, - and _ only"),
        ("semantic@", r"^selection 'semantic@': after @ comes the number of a layer, as in semantic@5$"),
        ("semantic@last", r"after @ comes the number of a layer"),
        ("list:", r"list '': a name has letters"),
    ],
)
def test_what_is_not_understood_is_refused(selection: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        select(selection, KNOWN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("semantic/emotion", r"'semantic/emotion': no feature bears this label; label some first, or choose another category"),
        ("density>0.5", r"'density>0.5': no feature is in it; loosen the filter"),
        ("lexical&syntactic", r"'lexical&syntactic': no feature is in it"),
    ],
)
def test_selection_without_features_says_what_to_do(selection: str, message: str) -> None:
    with pytest.raises(EmptySelection, match=message):
        select(selection, KNOWN)


def test_tables_are_read_only_where_a_selection_asks() -> None:
    def refuse(*arguments: object) -> pd.Series:
        raise AssertionError("read")

    known = Known(LABELS, CODEBOOK, refuse, refuse, lambda name: SAVED[name])
    assert len(select("semantic+features:2", known)) == 5
    with pytest.raises(AssertionError):
        select("r>0", known)


def test_terms_by_layer() -> None:
    assert by_layer("density<0.01&lexical@25+semantic+syntactic@5", 15) == {15: "semantic", 5: "syntactic", 25: "density<0.01&lexical"}
    assert by_layer("lexical+syntactic@15", 15) == {15: "lexical+syntactic"}
    assert sets_in("density<0.01&lexical@25+semantic") == {"density<0.01", "lexical", "semantic"}


def test_files_that_say_which_features_are_meant(study: Study) -> None:
    assert depends_on("semantic+density<0.1+features:3", study) == {}
    assert depends_on("list:mine+semantic&r>0.1", study) == {
        "list:mine": str(study.folder / "lists/3/mine.json"),
        "r>0.1": str(study.features / "parcels.parquet"),
    }


def test_saved_lists_come_back(study: Study) -> None:
    assert saved_lists(study) == []
    save_list(study, "places", [9, 4, 4, 12])
    save_list(study, "Other_2", [1])
    assert saved_lists(study) == ["Other_2", "places"]
    assert read_list(study, "places").tolist() == [4, 9, 12]
    save_list(study, "places", {7})
    assert read_list(study, "places").tolist() == [7]


def test_lists_of_one_layer_are_not_those_of_another(study: Study) -> None:
    save_list(study, "places", [1])
    other = Study(study.folder, study.config.model_copy(update={"model": study.config.model.model_copy(update={"layer": 7})}))
    assert saved_lists(other) == []


def test_list_that_is_not_there_is_told_with_those_that_are(study: Study) -> None:
    save_list(study, "places", [1])
    with pytest.raises(InputError, match=r"list 'place': not saved at layer 3 of study .*; there are: places"):
        read_list(study, "place")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1, 2]",
        '{"features": [1, "x"]}',
        '{"features": [1.5]}',
        '{"features": 3}',
        '{"features": [1e400]}',
        '{"features": [99999999999999999999]}',
    ],
)
def test_damaged_list_is_told(study: Study, content: str) -> None:
    save_list(study, "places", [1])
    path = study.folder / "lists" / "3" / "places.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"places\.json: not a list of features \(.*\); write it like .*or remove it"):
        read_list(study, "places")


@pytest.mark.parametrize("name", ["", "../up", "a b", "-x", "x" * 65, "a/b", ".hidden"])
def test_names_that_lists_may_not_have(study: Study, name: str) -> None:
    with pytest.raises(InputError, match=r"a name has letters, digits, - and _ only, at most 64; choose another name"):
        save_list(study, name, [1])
    assert not (study.folder / "lists").exists()
