"""The table of features, and its filters."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from saebrain.labels import agreed
from saebrain.pipeline.feature_table import FeatureTable, feature_table
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
    both = table.filtered(text="place  HARBOUR")
    assert 0 < len(both) < len(table.filtered(text="harbour"))
    assert both["searched"].str.contains("place").all() and both["searched"].str.contains("harbour").all()
    assert table.filtered(text="(").index.equals(table.rows.index[table.rows["searched"].str.contains("(", regex=False)])


def test_label_filter_takes_what_is_below(table: FeatureTable) -> None:
    semantic, place = table.filtered(label="semantic"), table.filtered(label="semantic/place")
    assert set(place.index) < set(semantic.index)
    assert set(place["label"]) == {"semantic/place"}


def test_other_filters(table: FeatureTable) -> None:
    assert len(table.filtered(agree=True)) + len(table.filtered(agree=False)) == len(table.rows)
    assert table.filtered(density=(0.01, 0.02))["density"].between(0.01, 0.02).all()
    assert set(table.filtered(parcel="insula")["parcel"]) <= {"left insula", "right insula"}
    assert len(table.filtered()) == len(table.rows)
