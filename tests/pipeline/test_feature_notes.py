"""Notes from elsewhere, and features as JSON in Neuronpedia's names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.pipeline.feature_json import feature_json
from saebrain.pipeline.feature_notes import Note, import_explanations, notes_path, read_notes
from saebrain.store import FeatureStore
from saebrain.study import Study
from tests.studies import copy_study

RECORDS = [
    {"modelId": "m", "layer": "15-res-16k", "index": "3", "description": " words for  places", "explanationModelName": "gpt-4o", "typeName": "oai"},
    {"index": 5, "description": "<b>東京</b>"},
    {"layer": "7-res-16k", "index": 3, "description": "of another layer"},
]


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Study:
    return Study.open(copy_study(demo_study, tmp_path / "study"))


@pytest.mark.parametrize("content", [json.dumps(RECORDS), json.dumps({"explanations": RECORDS}), "\n".join(map(json.dumps, RECORDS)) + "\n"])
def test_explanations_become_notes(study: Study, content: str) -> None:
    assert import_explanations(study, content.encode(), 4096) == 2
    assert read_notes(study) == [Note(3, "gpt-4o", "words for places", "oai"), Note(5, "imported", "<b>東京</b>")]
    assert import_explanations(study, content.encode(), 4096) == 0
    assert import_explanations(study, json.dumps({"index": 3, "description": "more"}).encode(), 4096) == 1
    assert len(read_notes(study)) == 3 and read_notes(study.at(5)) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "neither JSON nor a JSON record a line"),
        (b"index,description\n3,x", "neither JSON nor"),
        (b"[3]", "not a list of records"),
        (b'[{"index": 3}]', "record 1: needs index"),
        (b'[{"index": 3, "description": "x"}, {"index": "x", "description": "y"}]', "record 2: needs index"),
        (b'[{"index": 4096, "description": "x"}]', "feature 4096, but this SAE has features 0 to 4095"),
        (b'[{"index": -1, "description": "x"}]', "feature -1, but"),
        (b'[{"index": 1, "description": "  "}]', "empty description of feature 1"),
        (b'[{"index": 1, "layer": "3-x", "description": "y"}]', "none of 1 records is of layer 15"),
        (b"[]", "none of 0 records"),
    ],
)
def test_what_cannot_be_read_is_refused_whole(study: Study, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        import_explanations(study, content, 4096)
    assert not notes_path(study).exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"notes": [{"feature": 1}]}', '{"notes": 3}'])
def test_damaged_notes_are_told(study: Study, content: str) -> None:
    notes_path(study).parent.mkdir()
    notes_path(study).write_text(content)
    with pytest.raises(InputError, match="not a file of notes"):
        read_notes(study)


def test_json_has_neuronpedias_names_and_this_features_figures(study: Study) -> None:
    store = FeatureStore(study.features, study.tokens, study.labels)
    row = store.feature(12)
    found: dict[str, Any] = json.loads(json.dumps(feature_json(study, store, 12, None, [Note(12, "me", "a note", "by hand")]), allow_nan=False))
    assert found["index"] == "12" and found["layer"].startswith("15-") and found["modelId"] == study.config.model.source
    assert found["frac_nonzero"] == row["density"] and found["maxActApprox"] == pytest.approx(float(row["max"]), abs=1e-3)
    assert found["pos_str"] == list(row["promoted_text"]) and found["neg_values"] == pytest.approx(list(row["suppressed_effect"]), abs=1e-3)
    assert sum(found["freq_hist_data_bar_heights"]) == row["active"]
    assert len(found["freq_hist_data_bar_values"]) == len(found["freq_hist_data_bar_heights"])
    first = found["activations"][0]
    assert first["maxValue"] == found["maxActApprox"] and len(first["tokens"]) == len(first["values"])
    assert first["values"][first["maxValueTokenIndex"]] == max(first["values"])
    explained = {entry["explanationModelName"]: entry["description"] for entry in found["explanations"]}
    assert explained["me"] == "a note" and len(explained) == 1 + len(store.labels(12))


def test_explanations_of_our_own_json_can_be_imported(study: Study) -> None:
    store = FeatureStore(study.features, study.tokens, study.labels)
    found = feature_json(study, store, 12, None, [Note(12, "me", "a note")])
    records = [{**entry, "index": found["index"], "layer": found["layer"]} for entry in found["explanations"]]
    assert import_explanations(study, json.dumps(records).encode(), 4096) == len(records)
    assert {note.feature for note in read_notes(study)} == {12}
    assert np.isin("a note", [note.text for note in read_notes(study)])
