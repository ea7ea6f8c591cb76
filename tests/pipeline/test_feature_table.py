"""The table of features, and its filters."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from saebrain.errors import InputError
from saebrain.labels import agreed
from saebrain.pipeline.feature_table import ContextSearch, FeatureTable, Filter, feature_table
from saebrain.store import FeatureStore
from saebrain.study import Study


@pytest.fixture(scope="module")
def study(demo_study: Path) -> Study:
    return Study.open(demo_study)


@pytest.fixture(scope="module")
def table(study: Study) -> FeatureTable:
    return feature_table(study, FeatureStore(study.features, study.tokens, study.labels))


def test_labels_are_what_the_annotators_agree_on(study: Study, table: FeatureTable) -> None:
    labels = pd.read_parquet(study.labels)
    pd.testing.assert_series_equal(table.rows["label"], agreed(labels), check_names=False, check_dtype=False, check_index_type=False)
    assert table.rows["agree"].equals(labels.groupby("feature")["label"].nunique() == 1)
    assert table.annotators == ["machine:forms", "machine:similarity"] and table.kinds == {"machine"}


def test_top_words_are_at_the_strongest_activations(study: Study, table: FeatureTable) -> None:
    contexts = pd.read_parquet(study.features / "contexts.parquet")
    feature = int(contexts["feature"].iloc[0])
    tokens, words = pd.read_parquet(study.tokens), pd.read_parquet(study.words).set_index(["run", "index"])["word"]
    peaks = tokens.loc[contexts.loc[contexts["feature"] == feature, "token"]]
    spoken = [words[run, word].lower() for run, word in zip(peaks["run"], peaks["word"], strict=True)]
    listed = table.rows.loc[feature, "top_words"].split(", ")
    assert listed[0] in spoken[0] and 1 <= len(listed) <= 5 and len(set(listed)) == len(listed)
    assert all(any(word in said for said in spoken) for word in listed)


def test_text_filter_wants_every_word(table: FeatureTable) -> None:
    both = table.filtered(Filter(text="place  HARBOUR"))
    assert 0 < len(both) < len(table.filtered(Filter(text="harbour")))
    assert both["searched"].str.contains("place").all() and both["searched"].str.contains("harbour").all()
    assert table.filtered(Filter(text="(")).index.equals(table.rows.index[table.rows["searched"].str.contains("(", regex=False)])


def test_label_filter_takes_what_is_below(table: FeatureTable) -> None:
    semantic, place = table.filtered(Filter(label="semantic")), table.filtered(Filter(label="semantic/place"))
    assert set(place.index) < set(semantic.index)
    assert set(place["label"]) == {"semantic/place"}


def test_other_filters(table: FeatureTable) -> None:
    assert len(table.filtered(Filter(agree=True))) + len(table.filtered(Filter(agree=False))) == len(table.rows)
    assert table.filtered(Filter(density=(0.01, 0.02)))["density"].between(0.01, 0.02).all()
    assert set(table.filtered(Filter(parcel="insula"))["parcel"]) <= {"left insula", "right insula"}
    assert len(table.filtered(Filter())) == len(table.rows)


def test_more_filters(table: FeatureTable) -> None:
    assert (table.filtered(Filter(largest=(20, 30)))["max"].between(20, 30)).all()
    assert (table.filtered(Filter(r=(0.2, 1.0)))["parcel_r"] >= 0.2).all()
    some = table.rows.index[:50].tolist()
    assert table.filtered(Filter(among=some, without=some[:10])).index.tolist() == some[10:]
    assert table.filtered(Filter(among=[])).empty
    assert (table.filtered(Filter(expert="density < 0.01 and label like 'semantic%'"))["density"] < 0.01).all()
    with pytest.raises(InputError, match="no column searched"):
        table.filtered(Filter(expert="searched = 'x'"))


def test_notes_are_searched_too(table: FeatureTable) -> None:
    notes = pd.Series(["nobody wrote zyzzyva but me"], index=[17])
    assert table.filtered(Filter(text="zyzzyva nobody"), notes).index.tolist() == [17]
    assert table.filtered(Filter(text="zyzzyva")).empty


@pytest.mark.parametrize("text", ["the harbour", "THE  Harbour", "arbour,", "e h", "no such words anywhere"])
def test_contexts_are_searched_as_they_are_written(study: Study, text: str) -> None:
    contexts, tokens = pd.read_parquet(study.features / "contexts.parquet"), pd.read_parquet(study.tokens)["text"].tolist()
    wanted = " ".join(text.casefold().split())
    expected = {row.feature for row in contexts.itertuples() if wanted in "".join(tokens[row.start : row.stop]).casefold()}
    assert set(ContextSearch(study).features(text).tolist()) == expected


def test_context_search_wants_something_to_look_for(study: Study) -> None:
    with pytest.raises(InputError, match="type at least two characters"):
        ContextSearch(study).features(" x ")
