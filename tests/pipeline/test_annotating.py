"""Planned queues, and that nothing but a feature's own text and activations is shown before its label is in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from saebrain.annotation.database import the_database
from saebrain.annotation.people import enrol
from saebrain.annotation.queues import claim, planned, progress
from saebrain.annotation.schema import slot
from saebrain.pipeline.annotating import Evidence, desk, ensure_planned, evidence, plan_queues
from saebrain.store import FeatureStore, read_table
from saebrain.study import Study
from saebrain.surface.atlas import desikan_killiany
from tests.studies import configure, copy_study


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Study:
    folder = copy_study(demo_study, tmp_path / "study")
    configure(folder, annotation={"random": 40, "overlap": 10, "impact": 5})
    return Study.open(folder)


def test_queues_as_configured(study: Study) -> None:
    at = desk(study, the_database(study))
    assert not planned(at)
    assert plan_queues(study, at) == 10 * 2 + 30 + 5
    assert plan_queues(study, at) == 0 and planned(at)
    assert progress(at).set_index("queue")["slots"].to_dict() == {"overlap": 20, "random": 30, "impact": 5}


def test_planned_features_have_something_to_see(study: Study) -> None:
    at = desk(study, the_database(study))
    ensure_planned(study, at)
    with at.database.reading() as connection:
        features = sorted(set(connection.scalars(select(slot.c.feature))))
    contexts = read_table(study.features / "contexts.parquet", "", ["feature"])["feature"].value_counts()
    assert contexts[features].min() >= study.config.labels.min_contexts


def test_impact_queue_holds_the_best_predictors(study: Study) -> None:
    at = desk(study, the_database(study))
    ensure_planned(study, at)
    with at.database.reading() as connection:
        rows = connection.execute(select(slot.c.feature, slot.c.queue)).all()
    r = read_table(study.features / "parcels.parquet", "").set_index("feature")["parcel_r"]
    sampled = {row.feature for row in rows if row.queue != "impact"}
    best = r.drop(sampled).sort_values(ascending=False).index[:20]
    assert {row.feature for row in rows if row.queue == "impact"} <= set(best)


def test_evidence_is_blind(study: Study) -> None:
    """Whatever the tables of the study hold of parcels and labels, none of it is in what a page is given."""
    at = desk(study, the_database(study))
    ensure_planned(study, at)
    enrol(at.database, "ana", "annotator")
    parcels = read_table(study.features / "parcels.parquet", "").set_index("feature")["parcel"]
    labels = read_table(study.labels, "")
    store = FeatureStore(study.features, study.tokens, study.labels)
    for ticket in claim(at, "ana", count=10):
        shown = written(evidence(store, ticket.feature))
        assert "machine:" not in shown and "semantic/" not in shown and "parcel" not in shown
        assert str(parcels[ticket.feature]) not in shown
        for reason in labels.loc[labels["feature"] == ticket.feature, "reason"]:
            assert reason not in shown
        for hemisphere, name in desikan_killiany().parcels:
            assert f"{hemisphere} {name}" not in shown


def written(found: Evidence) -> str:
    """All of it as text."""
    parts = [value.to_string() if isinstance(value, pd.DataFrame) else repr(value) for value in vars(found).values()]
    return "\n".join([*parts, *(field.name for field in dataclasses.fields(found))])


def test_evidence_shows_the_feature(study: Study) -> None:
    at = desk(study, the_database(study))
    ensure_planned(study, at)
    enrol(at.database, "ana", "annotator")
    (ticket,) = claim(at, "ana")
    store = FeatureStore(study.features, study.tokens, study.labels)
    found = evidence(store, ticket.feature)
    stored = store.feature(ticket.feature)
    assert found.largest == pytest.approx(float(stored["max"])) and found.active == stored["active"]
    peaks = found.strongest[found.strongest["peak"]]
    assert peaks["value"].is_monotonic_decreasing and peaks["value"].iloc[0] == pytest.approx(found.largest, rel=1e-3)
    assert len(found.intervals[0].tokens)
    assert np.all(found.levels.loc[found.levels["peak"], "value"] > 0)
    assert evidence(store, ticket.feature).levels.equals(found.levels)
