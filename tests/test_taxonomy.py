"""The codebook that ships, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from saebrain.errors import InputError
from saebrain.taxonomy import Codebook, load_codebook

CODEBOOK = Path(__file__).parent.parent / "data" / "codebook.toml"
SUBCATEGORIES = tuple(f"semantic/{name}" for name in ("social", "place", "action", "emotion", "quantity"))
# The 34 cortical labels of Desikan et al. (2006), as FreeSurfer's aparc names them.
DESIKAN_KILLIANY = frozenset(
    [
        "bankssts",
        "caudalanteriorcingulate",
        "caudalmiddlefrontal",
        "cuneus",
        "entorhinal",
        "frontalpole",
        "fusiform",
        "inferiorparietal",
        "inferiortemporal",
        "insula",
        "isthmuscingulate",
        "lateraloccipital",
        "lateralorbitofrontal",
        "lingual",
        "medialorbitofrontal",
        "middletemporal",
        "paracentral",
        "parahippocampal",
        "parsopercularis",
        "parsorbitalis",
        "parstriangularis",
        "pericalcarine",
        "postcentral",
        "posteriorcingulate",
        "precentral",
        "precuneus",
        "rostralanteriorcingulate",
        "rostralmiddlefrontal",
        "superiorfrontal",
        "superiorparietal",
        "superiortemporal",
        "supramarginal",
        "temporalpole",
        "transversetemporal",
    ]
)

SMALL = """
version = "1.0"
title = "Small"

[[category]]
path = "semantic"
name = "Semantic"
definition = "Meaning."
include = ["birds"]
exclude = ["commas"]

[[category]]
path = "semantic/place"
name = "Place"
definition = "Where."
include = ["the harbour"]
exclude = ["the past"]
predicted_parcels = ["precuneus", "parahippocampal"]
"""


@pytest.fixture(scope="module")
def codebook() -> Codebook:
    return load_codebook(CODEBOOK, DESIKAN_KILLIANY)


def read(folder: Path, text: str, parcels: frozenset[str] | None = DESIKAN_KILLIANY) -> Codebook:
    path = folder / "codebook.toml"
    path.write_text(text, encoding="utf-8")
    return load_codebook(path, parcels)


def test_categories_that_ship(codebook: Codebook) -> None:
    assert codebook.version == "1.0"
    assert codebook.paths == ("semantic", *SUBCATEGORIES, "syntactic", "lexical", "positional-discourse", "unclear")
    assert codebook.leaves() == (*SUBCATEGORIES, "syntactic", "lexical", "positional-discourse", "unclear")
    assert codebook.children("semantic") == SUBCATEGORIES
    assert codebook.children("lexical") == ()


def test_every_category_can_be_told_from_its_neighbours(codebook: Codebook) -> None:
    for category in codebook.categories:
        assert len(category.definition) > 60, category.path
        assert len(category.include) >= 2, category.path
        assert len(category.exclude) >= 2, category.path
    for path in SUBCATEGORIES:
        assert len(codebook[path].literature) >= 3


def test_labels_that_exclusions_refer_to_exist(codebook: Codebook) -> None:
    referred = {example.rpartition(": ")[2].rstrip(")") for category in codebook.categories for example in category.exclude if ": " in example}
    assert referred >= {"semantic", "lexical", "syntactic", "positional-discourse", "semantic/social", "semantic/emotion", "semantic/action"}
    assert referred <= set(codebook.paths)


def test_file_says_whose_operationalisation_it_is() -> None:
    assert "OUR operationalisation" in CODEBOOK.read_text(encoding="utf-8")


def test_predicted_parcels(codebook: Codebook) -> None:
    assert codebook.predicted("semantic/place") == ("parahippocampal", "isthmuscingulate", "precuneus", "lateraloccipital")
    assert codebook.predicted("syntactic") == ()
    assert all(codebook.predicted(path) for path in SUBCATEGORIES)
    together = codebook.predicted("semantic")
    assert len(together) == len(set(together))
    assert set(together) == {parcel for path in SUBCATEGORIES for parcel in codebook.predicted(path)} <= DESIKAN_KILLIANY


def test_subcategories_share_parcels_but_none_is_the_same(codebook: Codebook) -> None:
    predicted = [set(codebook.predicted(path)) for path in SUBCATEGORIES]
    pairs = [(a, b) for i, a in enumerate(predicted) for b in predicted[i + 1 :]]
    assert any(a & b for a, b in pairs)
    assert all(len(a & b) <= 2 for a, b in pairs)


def test_is_semantic(codebook: Codebook) -> None:
    assert [path for path in codebook.paths if codebook.is_semantic(path)] == ["semantic", *SUBCATEGORIES]


def test_labels_are_checked(codebook: Codebook) -> None:
    assert codebook.validate_label("semantic/social") == "semantic/social"
    with pytest.raises(InputError) as caught:
        codebook.validate_label("semantic/socail")
    assert str(caught.value).startswith("label 'semantic/socail': not in codebook 1.0 (did you mean 'semantic/social'?); choose one of: semantic, ")
    for ask in (codebook.predicted, codebook.is_semantic, codebook.children, codebook.__getitem__):
        with pytest.raises(InputError, match="label 'colour': not in codebook"):
            ask("colour")


def test_codebook_cannot_be_changed(codebook: Codebook) -> None:
    for thing, field in [(codebook, "version"), (codebook["unclear"], "name")]:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(thing, field, "other")


def test_parcels_are_checked_only_where_they_are_known(tmp_path: Path) -> None:
    text = SMALL.replace('"precuneus"', '"V1"')
    assert read(tmp_path, text, None).predicted("semantic/place") == ("V1", "parahippocampal")
    with pytest.raises(InputError, match="'V1'"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"precuneus"', '"precunius"', "no such parcel: 'precunius' of 'semantic/place' (did you mean 'precuneus'?); use the labels"),
        ('"precuneus"', '"parahippocampal"', "'semantic/place' predicts parahippocampal twice"),
        ('version = "1.0"', "", 'version is missing; write version = "1.0" at the top'),
        ('version = "1.0"', "version = 1.0", "version: Input should be a valid string, received '1.0'"),
        ('version = "1.0"', 'version = "1.0"\nversion = "1.1"', "not a TOML file in UTF-8 (Cannot overwrite a value"),
        ('path = "semantic/place"', 'path = "semantic"', "'semantic' is there twice; keep one"),
        ('path = "semantic/place"', 'path = "lexical/place"', "'lexical/place' comes before its parent; put 'lexical' above it"),
        ('path = "semantic/place"', 'path = "Semantic Place"', "category 'Semantic Place', path: String should match pattern"),
        ('definition = "Where."', "", "category 'semantic/place', definition is missing; add it"),
        ('definition = "Where."', 'definition = " "', "category 'semantic/place', definition: String should have at least 1 character"),
        ('include = ["the harbour"]', "include = []", "category 'semantic/place', include: Tuple should have at least 1 item"),
        ('name = "Place"', 'title = "Place"', "category 'semantic/place', name is missing"),
        ('name = "Place"', 'name = "Place"\nparcels = []', "category 'semantic/place', parcels is not a known key"),
        ('path = "semantic"\n', "", "category number 1, path is missing"),
        ("[[category]]", "[[categories]]", "category is missing"),
    ],
)
def test_wrong_codebook_is_told_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(InputError) as caught:
        read(tmp_path, SMALL.replace(old, new))
    assert message in str(caught.value)
    assert "codebook.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_unknown_parcels_are_listed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'lh\.precuneus' of .*'precuneus'.*; 'xyzzy' of 'semantic/place'; use"):
        read(tmp_path, SMALL.replace('"precuneus", "parahippocampal"', '"lh.precuneus", "xyzzy"'))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: no such file"):
        load_codebook(tmp_path / "none.toml")
