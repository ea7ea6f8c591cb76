"""Recorded runs: what a record says, which map it has, and what goes when it is deleted."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from saebrain.atomic import write_json
from saebrain.errors import InputError, MissingStepError
from saebrain.pipeline import runs
from saebrain.pipeline.live import current_labels, has_map
from saebrain.pipeline.results import read_result, result_folder
from saebrain.pipeline.selection import ALL
from saebrain.pipeline.steps import fingerprint
from saebrain.pipeline.summary import encoding_figures
from saebrain.progress import silent
from saebrain.study import Study
from tests.pipeline.conftest import FAST
from tests.studies import configure, copy_study, relabel

PLACE, SEMANTIC = "semantic/place", "semantic"


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Study:
    return Study.open(copy_study(demo_study, tmp_path / "study"))


def other_map(study: Study, selection: str, source: str = PLACE) -> Path:
    """A map of another selection, without computing one: that of ``source`` under its name."""
    folder = result_folder(study, selection)
    folder.mkdir()
    for path in result_folder(study, source).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_record_says_where_it_comes_from(study: Study) -> None:
    recorded = runs.record(study, PLACE, "  places,\n first try ")
    assert recorded == runs.read_run(study, recorded.id)
    figures = encoding_figures(study, [PLACE, ALL])["selections"]
    assert recorded.name == "places, first try" and recorded.selection == PLACE and recorded.layer == 15
    assert recorded.r == figures[PLACE]["r"] and recorded.r_by_subject == figures[PLACE]["r_by_subject"] and recorded.r_all == figures[ALL]["r"]
    assert recorded.fraction_of_peak == pytest.approx(figures[PLACE]["r"] / figures[ALL]["r"])
    assert recorded.n_features == read_result(study, PLACE).info["n_features"]
    assert recorded.user == getpass.getuser() and recorded.labels == fingerprint(study.labels) and recorded.codebook == "1.0"
    assert recorded.settings == study.config.encoding.settings() and {"saebrain", "python", "numpy", "torch"} <= set(recorded.versions)
    assert recorded.simulated and recorded.study == study.name
    np.testing.assert_array_equal(runs.run_result(study, recorded).r, read_result(study, PLACE).r)


def test_selection_is_recorded_in_its_one_form(study: Study) -> None:
    other_map(study, "semantic/place+syntactic")
    assert runs.record(study, " syntactic + semantic/place").selection == "semantic/place+syntactic"


def test_what_has_not_been_mapped_is_not_recorded(study: Study) -> None:
    with pytest.raises(MissingStepError):
        runs.record(study, "syntactic+lexical")
    with pytest.raises(InputError, match="not in codebook"):
        runs.record(study, "semantic/nothing")
    assert runs.all_runs(study) == []


def test_newest_first_and_the_previous_one(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_now", ticking())
    first, second, third = (runs.record(study, name) for name in (PLACE, SEMANTIC, PLACE))
    assert [run.id for run in runs.all_runs(study)] == [third.id, second.id, first.id]
    assert runs.previous_run(study, PLACE) == second and runs.previous_run(study, SEMANTIC) == third
    assert runs.recorded(study, PLACE) and not runs.recorded(study, "semantic/social")


def ticking() -> Any:
    """A clock that moves on by a second whenever it is asked."""
    times: Iterator[pd.Timestamp] = iter(pd.date_range("2026-01-01", periods=99, freq="s", tz="UTC"))
    return lambda: next(times).to_pydatetime()


def test_rename(study: Study) -> None:
    run = runs.record(study, PLACE)
    runs.rename(study, run.id, "<b>new</b>")
    assert runs.all_runs(study) == [run.model_copy(update={"name": "<b>new</b>"})]
    for name in ("", "   ", "x" * 81):
        with pytest.raises(InputError, match="characters; give it 1 to 80"):
            runs.rename(study, run.id, name)


def test_deleting_the_last_run_of_a_map_deletes_the_map(study: Study) -> None:
    folder = other_map(study, "syntactic+lexical")
    first, second = runs.record(study, "lexical+syntactic"), runs.record(study, "lexical+syntactic")
    runs.delete(study, first.id)
    assert (folder / "r.npy").is_file() and runs.all_runs(study) == [second]
    runs.delete(study, second.id)
    assert not folder.exists() and runs.all_runs(study) == []
    with pytest.raises(InputError, match="not recorded in study"):
        runs.delete(study, second.id)


def test_maps_of_standard_selections_stay(study: Study) -> None:
    run = runs.record(study, PLACE)
    runs.delete(study, run.id)
    assert has_map(study, PLACE)


@pytest.mark.parametrize("number", ["../steps/15/labels", "", "20260101T000000-abcdef.json", "*"])
def test_an_id_leads_nowhere_else(study: Study, number: str) -> None:
    for change in (lambda: runs.read_run(study, number), lambda: runs.delete(study, number), lambda: runs.rename(study, number, "x")):
        with pytest.raises(InputError, match="no run has such an id"):
            change()


@pytest.mark.parametrize("change", [{"result": "../../elsewhere"}, {"result": ""}, {"r": "high"}, {"name": ""}, {"id": "../x"}])
def test_a_damaged_record_is_told_and_left_out(study: Study, change: dict[str, Any]) -> None:
    run = runs.record(study, PLACE)
    path = study.folder / "runs" / f"{run.id}.json"
    write_json(path, {**json.loads(path.read_text()), **change})
    with pytest.raises(InputError, match="no readable record of a run"):
        runs.read_run(study, run.id)
    assert runs.all_runs(study) == []


def test_a_map_that_is_gone_is_told(study: Study) -> None:
    folder = other_map(study, "lexical")
    run = runs.record(study, "lexical", "words")
    (folder / "result.json").unlink()
    with pytest.raises(InputError, match=r"run 'words': its map is no longer there \(encoding/.*\); delete the run"):
        runs.run_result(study, run)


def test_table_has_figures_and_provenance(study: Study) -> None:
    run = runs.record(study, PLACE)
    table = runs.runs_table(runs.all_runs(study))
    assert list(table.columns[:7]) == ["id", "name", "selection", "layer", "n_features", "r", "fraction_of_peak"]
    assert table["r_sim-02"][0] == run.r_by_subject["sim-02"] and json.loads(table["settings"][0]) == run.settings
    assert runs.runs_table([]).empty


def test_job_records_a_map_that_is_there(study: Study) -> None:
    found = runs.run(study.folder, {"selection": PLACE, "name": "again"}, silent)
    run = runs.read_run(study, found["run"])
    assert run.name == "again" and run.seconds == 0 and run.selection == PLACE


def test_job_maps_at_the_layer_that_is_asked_for(study: Study) -> None:
    with pytest.raises(InputError, match="layer 7: this study has the layers 5, 15, 25"):
        runs.run(study.folder, {"selection": PLACE, "layer": 7}, silent)


def test_job_maps_anew_once_labels_have_changed(study: Study) -> None:
    """What a recorded run had stays."""
    configure(study.folder, encoding={**FAST, "alphas": [1000.0]})  # nothing to choose
    study = Study.open(study.folder)
    steps: list[tuple[int, int]] = []
    before = runs.read_run(study, runs.run(study.folder, {"selection": "lexical"}, lambda done, total: steps.append((done, total)))["run"])
    assert before.seconds > 0 and steps[-1][0] == steps[-1][1] and before.r is not None
    kept = runs.run_result(study, before)
    feature = int(np.flatnonzero(current_labels(study) == "lexical")[0])
    relabel(study.folder, study.layer, {feature: "syntactic"})
    assert not has_map(study, "lexical")
    after = runs.read_run(study, runs.run(study.folder, {"selection": "lexical"}, silent)["run"])
    assert has_map(study, "lexical") and after.n_features == before.n_features - 1
    assert after.labels != before.labels and after.result != before.result
    np.testing.assert_array_equal(runs.run_result(study, before).r, kept.r)
    assert runs.previous_run(study, "lexical") == before
    runs.delete(study, before.id)
    assert not (study.encoding / before.result).exists() and has_map(study, "lexical")
