"""Labels of people reach selections, kernels and the results' names; those of machines stay where nobody said anything."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from saebrain.annotation import answers
from saebrain.annotation.database import the_database
from saebrain.annotation.log import Entry, append
from saebrain.annotation.people import enrol
from saebrain.annotation.queues import Desk
from saebrain.errors import InputError
from saebrain.labels import agreed, by_machine
from saebrain.pipeline.annotating import desk
from saebrain.pipeline.feature_table import feature_table
from saebrain.pipeline.human_labels import moved, publish, unpublished, with_people
from saebrain.pipeline.live import current_labels
from saebrain.pipeline.results import result_folder
from saebrain.pipeline.selection import Known, select, study_codebook
from saebrain.pipeline.summary import compute
from saebrain.store import FeatureStore, read_table
from saebrain.study import Study
from tests.studies import copy_study


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Study:
    return Study.open(copy_study(demo_study, tmp_path / "study"))


def machine_labels(study: Study) -> pd.Series:
    table = read_table(study.labels, "")
    return agreed(table[by_machine(table)])


def say(study: Study, name: str, labels: dict[int, str]) -> None:
    """Label features."""
    at = working(study, name)
    with at.database.writing() as connection:
        for feature, label in labels.items():
            append(connection, Entry(f"{name} {feature}", "label", name, study.layer, feature, at.codebook, label=label))


def working(study: Study, name: str) -> Desk:
    database = the_database(study)
    enrol(database, name, "adjudicator")
    return desk(study, database)


def first_of(study: Study, label: str, count: int = 1) -> list[int]:
    labels = machine_labels(study)
    return [int(feature) for feature in labels.index[labels == label][:count]]


def test_nothing_changes_before_it_is_published(study: Study) -> None:
    (feature,) = first_of(study, "semantic/place")
    assert unpublished(study) == 0 and publish(study) == 0
    say(study, "ana", {feature: "semantic/social"})
    assert current_labels(study)[feature] == "semantic/place"
    assert unpublished(study) == 1
    assert publish(study) == 1
    assert current_labels(study)[feature] == "semantic/social"
    assert unpublished(study) == 0 and publish(study) == 0


def test_label_of_people_counts_in_every_selection(study: Study) -> None:
    (feature,) = first_of(study, "semantic/place")
    say(study, "ana", {feature: "semantic/social"})
    publish(study)
    labels = current_labels(study)
    known = Known.of(study, labels, study_codebook(study))
    assert feature in select("semantic/social", known) and feature not in select("semantic/place", known)
    others = labels.index != feature
    pd.testing.assert_series_equal(labels[others], machine_labels(study)[others])


def test_only_results_that_changed_get_another_name(study: Study) -> None:
    names = ["all", "nuisance", "semantic", "semantic/place", "semantic/social", "semantic/action", "semantic/place&density<0.01"]
    before = {name: result_folder(study, name) for name in names}
    (feature,) = first_of(study, "semantic/place")
    say(study, "ana", {feature: "semantic/social"})
    assert {name: result_folder(study, name) for name in names} == before
    publish(study)
    after = {name: result_folder(study, name) for name in names}
    assert [name for name in names if after[name] != before[name]] == ["semantic/place", "semantic/social", "semantic/place&density<0.01"]
    assert moved(study, "semantic/social") == [(feature, True)] and moved(study, "semantic/place") == [(feature, False)]


def test_agreeing_with_the_machine_changes_no_result(study: Study) -> None:
    (feature,) = first_of(study, "semantic/place")
    before = result_folder(study, "semantic/place")
    say(study, "ana", {feature: "semantic/place"})
    assert publish(study) == 1
    assert result_folder(study, "semantic/place") == before


def test_feature_table_says_who_labelled(study: Study) -> None:
    one, two = first_of(study, "semantic/place", 2)
    say(study, "ana", {one: "lexical", two: "lexical"})
    say(study, "ben", {two: "syntactic"})
    at = working(study, "cleo")
    answers.adjudicate(at, study_codebook(study), "cleo", two, "unclear", "two patterns", seen=3)
    publish(study)
    table = feature_table(study, FeatureStore(study.features, study.tokens, study.labels))
    assert table.rows.loc[[one, two], "label"].tolist() == ["lexical", "unclear"]
    assert table.rows.loc[[one, two], "provenance"].tolist() == ["human", "adjudicated"]
    assert (table.rows.drop([one, two])["provenance"] == "machine").all()
    assert table.annotators == ["machine:forms", "machine:similarity"]
    assert table.rows.loc[one, "agree"]
    shown = FeatureStore(study.features, study.tokens, study.labels).labels(two)
    assert shown["annotator"].tolist() == ["machine:forms", "machine:similarity", "people"]
    assert shown["reason"].tolist()[-1] == "settled after labels of 2 people"
    assert not shown.to_string().count("ana") and not shown.to_string().count("two patterns")


def test_machine_kappa_is_theirs_alone(study: Study) -> None:
    before = compute(study)["machine_kappa"]
    (feature,) = first_of(study, "lexical")
    say(study, "ana", {feature: "lexical"})
    publish(study)
    assert compute(study)["machine_kappa"] == before


def test_labels_step_keeps_the_labels_of_people(study: Study) -> None:
    (feature,) = first_of(study, "semantic/place")
    say(study, "ana", {feature: "lexical"})
    publish(study)
    table = read_table(study.labels, "")
    pd.testing.assert_frame_equal(with_people(study, table[by_machine(table)], study_codebook(study)), table)


def test_taken_back_label_is_taken_away(study: Study) -> None:
    (feature,) = first_of(study, "semantic/place")
    say(study, "ana", {feature: "lexical"})
    publish(study)
    answers.undo(working(study, "ana"), "ana")
    assert publish(study) == 1
    assert current_labels(study)[feature] == "semantic/place"
    assert by_machine(read_table(study.labels, "")).all()


def test_log_of_another_sae_is_refused(study: Study) -> None:
    say(study, "ana", {999_999: "lexical"})
    with pytest.raises(InputError, match="belongs to another SAE"):
        publish(study)
