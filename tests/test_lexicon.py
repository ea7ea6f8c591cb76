"""The ground-truth lexicon of the demo, against the stories it belongs to."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from saebrain.errors import InputError
from saebrain.lexicon import Lexicon, load_lexicon, normalise
from saebrain.stimulus import speak
from saebrain.taxonomy import load_codebook

DATA = Path(__file__).parent.parent / "data"
STORIES = ("lighthouse", "orchard", "nightbus")
BIN_S = 10.0


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return load_lexicon(DATA / "demo" / "lexicon.toml")


@pytest.fixture(scope="module")
def words() -> pd.DataFrame:
    spoken = [speak((DATA / "demo" / f"{name}.txt").read_text(encoding="utf-8"), run=name, seed=0) for name in STORIES]
    return pd.concat(spoken, ignore_index=True)


def read(folder: Path, text: str) -> Lexicon:
    path = folder / "lexicon.toml"
    path.write_text(text, encoding="utf-8")
    return load_lexicon(path)


def test_categories_are_the_semantic_subcategories_of_the_codebook(lexicon: Lexicon) -> None:
    assert lexicon.categories == load_codebook(DATA / "codebook.toml").children("semantic")


def test_every_form_is_spoken(lexicon: Lexicon, words: pd.DataFrame) -> None:
    assert set(lexicon.forms) <= set(words["word"].map(normalise))


def test_there_are_enough_words_of_each_category(lexicon: Lexicon, words: pd.DataFrame) -> None:
    """A planted signal needs words to ride on. Emotion has the fewest, 74 to 85 a story."""
    forms = pd.Series(lexicon.forms).value_counts()
    counts = lexicon.counts(words)
    assert forms.min() >= 90
    assert counts.index.tolist() == list(STORIES)
    assert counts.to_numpy().min() >= 70
    assert (counts.drop(columns="semantic/emotion").sum() >= 330).all()
    assert counts["semantic/emotion"].sum() >= 230


@pytest.mark.parametrize("run", STORIES)
def test_categories_do_not_rise_and_fall_together(lexicon: Lexicon, words: pd.DataFrame, run: str) -> None:
    """Rates in 10 s bins: a model must be able to tell the categories apart, so no pair may be correlated above 0.2."""
    story = words[words["run"] == run]
    bins = ((story["onset_s"] - story["onset_s"].min()) // BIN_S).to_numpy(dtype=int)
    rates = np.zeros((bins.max() + 1, len(lexicon.categories)))
    np.add.at(rates, bins, lexicon.indicators(story))
    correlations = np.corrcoef(rates.T)
    assert all(correlations[a, b] < 0.2 for a, b in itertools.combinations(range(len(lexicon.categories)), 2))


@pytest.mark.parametrize(
    ("word", "category"),
    [
        ("harbour,", "semantic/place"),
        ('"Nobody', "semantic/social"),
        ("Mother's", "semantic/social"),
        ("mother\u2019s,\u201d", "semantic/social"),
        ("Forty-four", "semantic/quantity"),
        ("(wept)", "semantic/emotion"),
        ("HANDS!\"'", "semantic/action"),
        ("light", None),
        ("the", None),
        ("--", None),
        ("'s", None),
    ],
)
def test_lookup_of_words_as_written(lexicon: Lexicon, word: str, category: str | None) -> None:
    assert lexicon.lookup(word) == category


def test_letters_with_marks_are_no_punctuation(tmp_path: Path) -> None:
    assert read(tmp_path, 'version = "2"\n[forms]\n"a" = ["पानी"]\n').lookup("«पानी»।") == "a"


def test_counts_and_indicators(tmp_path: Path) -> None:
    small = read(tmp_path, 'version = "2"\n[forms]\n"b" = ["sea", "hill"]\n"a" = ["ran"]\n')
    words = pd.DataFrame({"run": ["y", "y", "x", "y"], "word": ["Sea,", "ran", "hill's", "the"]})
    assert small.indicators(words).tolist() == [[True, False], [False, True], [True, False], [False, False]]
    counts = small.counts(words)
    assert (counts.index.tolist(), counts.columns.tolist(), counts.to_numpy().tolist()) == (["y", "x"], ["b", "a"], [[1, 1], [1, 0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[forms]\na = ["x"]', 'no version; write one at the top, such as version = "1.0"'),
        ('version = "1"', "no [forms]; list word forms by category"),
        ('version = "1"\n[forms]\na = "x"', "'a' is not a list of word forms"),
        ('version = "1"\n[forms]\na = []', "'a' is not a list of word forms"),
        ('version = "1"\n[forms]\na = ["x", "y", "x"]', "form 'x' is listed twice, in 'a' and 'a'; keep it in one"),
        ('version = "1"\n[forms]\na = ["x"]\nb = ["x"]', "form 'x' is listed twice, in 'a' and 'b'; keep it in one"),
        ('version = "1"\n[forms]\na = ["x"]\na = ["y"]', "not a TOML file in UTF-8 (Cannot overwrite a value"),
        ('version = "1"\n[forms]\na = ["Mother\'s"]', "form \"Mother's\" of 'a' would never be found; write it as 'mother'"),
        ('version = "1"\n[forms]\na = [""]', "form '' of 'a' would never be found"),
    ],
)
def test_wrong_lexicon_is_told_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: no such file"):
        load_lexicon(tmp_path / "none.toml")
