"""The encoding page: picking features, the answer of parcels and vertices, comparing, statistics, recorded runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from saebrain import jobs
from saebrain.atomic import write_json
from saebrain.pipeline import live, runs
from saebrain.pipeline.feature_lists import save_list
from saebrain.pipeline.layer_profile import layer_profile
from saebrain.pipeline.results import read_result, result_folder
from saebrain.pipeline.summary import predicted_cortex
from saebrain.study import Study
from saebrain.surface.atlas import desikan_killiany
from saebrain.ui.encoding_page import map_work
from tests import studies
from tests.pages.conftest import Copy, Open, commands_of, html_of

PLACE, PAIR = "semantic/place", "semantic/place+syntactic"


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Study:
    """A copy with the demo's cache of kernels, so that answers come at once."""
    folder = studies.copy_study(demo_study, tmp_path / "study")
    if (demo_study / "cache").is_dir():
        shutil.copytree(demo_study / "cache", folder / "cache")
    return Study.open(folder)


@pytest.fixture
def ended(study: Study) -> Iterator[None]:
    """No job outlives the test."""
    yield
    for job in jobs.all_jobs(study.folder / "jobs"):
        job.cancel()


def captions(app: AppTest) -> str:
    return "\n".join(element.value for element in app.caption)


def box(app: AppTest, label: str) -> Any:
    return next(element for element in app.checkbox if element.label.startswith(label))


def button(app: AppTest, label: str) -> Any:
    return next(element for element in app.button if element.label == label)


def statistics(study: Study, selection: str, **changes: Any) -> dict[str, Any]:
    """Statistics as they are written, of made-up figures."""
    rows = [
        {
            "hemisphere": hemisphere,
            "parcel": parcel,
            "r": 0.2,
            "gain": 0.1 - number / 500,
            "p": 0.001,
            "q": 0.01 if number < 7 else 0.2,
            "p_max": 0.03,
        }
        for number, (hemisphere, parcel) in enumerate(desikan_killiany().parcels)
    ]
    subjects = ["sim-01", "sim-02", "sim-03"]
    content = {
        "version": live.STATISTICS_VERSION,
        "selection": selection,
        "region": "mean over predicted cortex",
        "r": 0.0912,
        "r_all": 0.1017,
        "r_nuisance": 0.0137,
        "fraction_of_peak": 0.897,
        "ceiling": {"kind": "between subjects", "r": 0.342, "note": "of single responses", "reliability": 0.117, "p": 0.001},
        "r_normalised": 0.267,
        "matched": {
            "n": 999,
            "p": 0.004,
            "d": 3.21,
            "observed": 0.199,
            "null": np.linspace(0.05, 0.15, 999).tolist(),
            "definition": "sets <b>matched</b>",
            "seed": 0,
            "own": None,
            "absent": None,
        },
        "permutation": {
            "kind": "circular shifts",
            "statistic": "gain",
            "n": 999,
            "smallest_p": 0.001,
            "gain": 0.08,
            "p": 0.001,
            "parcels": [{"subject": subject, **row} for subject in subjects for row in rows],
            "mean": rows,
        },
        "group": {"p": 0.125, "n_subjects": 3, "smallest_p": 0.125, "note": ""},
        "by_subject": {name: {"r": 0.09, "r_all": 0.1, "r_nuisance": 0.01, "gain": 0.08, "ceiling": 0.3, "r_normalised": 0.3} for name in subjects},
    }
    content.update(changes)
    write_json(result_folder(study, selection) / "statistics.json", content)
    return content


def test_opens_with_a_map_that_is_there(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "encoding")
    assert not app.exception and not app.error and not app.warning
    assert box(app, "Semantic").value and box(app, "Place").value and box(app, "Place").disabled and not box(app, "Syntactic").value
    assert len(app.image) == 2 and "r of every vertex" in captions(app) and "Drawn in" in captions(app)
    r = np.nanmean(read_result(Study.open(demo_study), "semantic").r[:, predicted_cortex(Study.open(demo_study))])
    assert f"{r:.3f}" in html_of(app) and len(app.dataframe[0].value) == 68


def test_tree_counts_features(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "encoding")
    counts = live.current_labels(Study.open(demo_study)).value_counts()
    assert box(app, "Place").label == f"Place · {counts[PLACE]:,}"
    assert box(app, "Semantic").label == f"Semantic · {counts[counts.index.str.startswith('semantic')].sum():,}"


def test_a_box_changes_the_selection_and_parcels_answer(open_page: Open, study: Study) -> None:
    app = open_page(study.folder, "encoding", pick=PLACE)
    box(app, "Syntactic").set_value(True).run()
    assert not app.exception and app.query_params["pick"] == PAIR
    assert "Parcels answered in" in captions(app) and "scoring took" in captions(app)
    assert button(app, "Map every vertex") and len(app.image) == 2
    table = app.dataframe[0].value
    expected = live.Live(study).answer(PAIR).table.groupby(["hemisphere", "parcel"])["r"].mean()
    np.testing.assert_allclose(table.set_index(["hemisphere", "parcel"])["r"].sort_index(), expected.sort_index(), atol=1e-4)
    assert set(table.loc[table["predicted"], "parcel"]) == {"parahippocampal", "isthmuscingulate", "precuneus", "lateraloccipital"}
    box(app, "Place").set_value(False).run()
    assert app.query_params["pick"] == "syntactic"


def test_a_relabelled_feature_is_followed(open_page: Open, study: Study) -> None:
    app = open_page(study.folder, "encoding", pick=PAIR)
    before = app.dataframe[0].value
    feature = int(studies.selected(study, "semantic/social")[0])
    studies.relabel(study.folder, study.layer, {feature: PLACE})
    app.run()
    assert not app.exception and "1 feature(s) had another label: only their share was computed anew" in captions(app)
    assert box(app, "Place").label == f"Place · {len(studies.selected(study, PLACE))}"
    assert not np.allclose(app.dataframe[0].value["r"], before["r"], atol=1e-5)
    again = open_page(study.folder, "encoding", pick=PLACE)
    assert "Parcels answered" in captions(again)  # the map is of older labels


def test_ticking_a_category_takes_in_its_subcategories(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "encoding", pick=PLACE)
    box(app, "Semantic").set_value(True).run()
    assert "pick" not in app.query_params and box(app, "Social").disabled
    box(app, "**All features**").set_value(True).run()
    assert app.query_params["pick"] == "all" and box(app, "Semantic").disabled and box(app, "Lexical").value


def test_nothing_picked_says_so(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "encoding", pick=PLACE)
    button(app, "None").click().run()
    assert not app.exception and app.query_params["pick"] == "" and not app.image
    assert any("No feature is picked" in info.value for info in app.info)
    button(app, "Nuisance alone").click().run()
    assert app.query_params["pick"] == "nuisance" and len(app.image) == 2 and "Nuisance bands only" in captions(app)


@pytest.mark.parametrize(
    ("pick", "told"),
    [
        ("semantic/plaice", "did you mean 'semantic/place'"),
        ("features:1;2", "not a list of feature numbers"),
        ("features:99999", "this SAE has features 0 to 4095"),
        ("density>0.99", "no feature is in it; loosen the filter"),
        ("list:mine", "not saved at layer 15"),
        ("semantic++", "empty selection"),
        ("<script>alert(1)</script>", "not in codebook"),
    ],
)
def test_what_is_not_understood_is_one_line(open_page: Open, demo_study: Path, pick: str, told: str) -> None:
    app = open_page(demo_study, "encoding", pick=pick)
    (error,) = app.error
    assert not app.exception and told in error.value.replace("\\", "") and "\n" not in error.value
    assert not app.image and app.text_area[0].value == pick
    assert "<script" not in html_of(app)


def test_text_sets_the_boxes_and_filters(open_page: Open, study: Study) -> None:
    save_list(study, "mine", [10, 56])
    app = open_page(study.folder, "encoding")
    app.text_area[0].set_value("density>=0.001&semantic/place + density>=0.001&list:mine").run()
    assert not app.exception and box(app, "Place").value and app.multiselect[0].value == ["mine"]
    assert app.query_params["pick"] == "density>=0.001&semantic/place + density>=0.001&list:mine"
    assert [select.value for select in app.selectbox if select.label.startswith("Density from")] == ["0.001"]
    next(select for select in app.selectbox if select.label == "to").set_value("0.1").run()
    assert app.query_params["pick"] == "density<=0.1&density>=0.001&list:mine+density<=0.1&density>=0.001&semantic/place"
    next(select for select in app.selectbox if select.label.startswith("r with")).set_value("0.05").run()
    assert any("Circular" in warning.value for warning in app.warning)
    app.multiselect[0].set_value([]).run()
    assert app.query_params["pick"] == "density<=0.1&density>=0.001&r>=0.05&semantic/place"


def test_part_and_subject_are_shown(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "encoding", pick=PLACE, part="features", subject="sim-02", surface="flat")
    assert not app.exception and "r of the features&#x27; part, vertices, sim-02" in html_of(app)
    r = app.dataframe[0].value.set_index(["hemisphere", "parcel"]).loc[("left", "parahippocampal"), "r_features"]
    rows = read_result(Study.open(demo_study), PLACE).parcels
    expected = rows[(rows["subject"] == "sim-02") & (rows["hemisphere"] == "left") & (rows["parcel"] == "parahippocampal")]["r_features"]
    assert r == pytest.approx(float(expected.iloc[0]), abs=1e-6)


@pytest.mark.parametrize("pick", [PLACE, PAIR])
def test_comparing(open_page: Open, study: Study, pick: str) -> None:
    """Of vertices, and of parcels: against all features, and against nuisance alone."""
    app = open_page(study.folder, "encoding", pick=pick, section="compare")
    assert not app.exception and not app.error and len(app.image) == 2 + 4 + 1
    shown = html_of(app)
    assert "all features" in shown and "Difference in r" in shown and "r, sim-03" in shown
    next(select for select in app.selectbox if select.label == "Against").set_value("nuisance").run()
    assert not app.exception and app.query_params["against"] == "nuisance" and html_of(app) != shown


def test_comparing_with_recorded_runs(open_page: Open, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(10))
    monkeypatch.setattr(runs, "_now", lambda: datetime(2026, 1, 1, 0, 0, next(times), tzinfo=UTC))
    older, newer = runs.record(study, "semantic", "broad"), runs.record(study, "semantic/social", "people")
    app = open_page(study.folder, "encoding", pick=PLACE, section="compare", against="previous")
    assert not app.exception and "people" in html_of(app) and len(app.image) == 7
    app = open_page(study.folder, "encoding", pick=PLACE, section="compare", against=older.id)
    assert not app.exception and "broad" in html_of(app)
    parcels = open_page(study.folder, "encoding", pick=PAIR, section="compare", against=newer.id)
    assert not parcels.exception and any("compared vertex by vertex" in info.value for info in parcels.info)
    shutil.rmtree(study.encoding / older.result)
    app = open_page(study.folder, "encoding", pick=PLACE, section="compare", against=older.id)
    assert not app.exception and any("its map is no longer there" in error.value for error in app.error)


def test_comparing_needs_the_other_map(open_page: Open, study: Study) -> None:
    shutil.rmtree(result_folder(study, "nuisance"))
    app = open_page(study.folder, "encoding", pick=PLACE, section="compare", against="nuisance")
    assert not app.exception and commands_of(app)[-1].startswith("python -m saebrain encode")


def test_statistics_are_shown(open_page: Open, study: Study) -> None:
    statistics(study, PLACE)
    app = open_page(study.folder, "encoding", pick=PLACE, section="statistics")
    assert not app.exception and not app.error
    shown = html_of(app)
    for expected in ("0.091", "90%", "27%", "ceiling 0.342, between subjects", "p = 0.004", "Cohen&#x27;s d +3.21", "smallest p possible 0.125"):
        assert expected in shown
    assert len(app.get("vega_lite_chart")) == 2 and len(app.dataframe[0].value) == 68
    assert "**7** of 68 parcels" in captions(app) and "<b>matched" not in captions(app).replace("\\<", "")
    compared = open_page(study.folder, "encoding", pick=PLACE, section="compare")
    assert "r / noise ceiling" in html_of(compared) and "27%" in html_of(compared)


def test_statistics_without_ceiling_and_sets(open_page: Open, study: Study) -> None:
    found = statistics(study, PLACE)
    matched = {**found["matched"], "n": 0, "p": None, "d": None, "observed": None, "null": [], "absent": "too many features"}
    bare = {name: {**values, "ceiling": None, "r_normalised": None} for name, values in found["by_subject"].items()}
    statistics(
        study,
        PLACE,
        matched=matched,
        ceiling={"kind": None, "r": None, "note": "one subject"},
        r_normalised=None,
        group={"p": None, "n_subjects": 1, "smallest_p": 0.5, "note": "one subject"},
        permutation=None,
        by_subject=bare,
    )
    app = open_page(study.folder, "encoding", pick=PLACE, section="statistics")
    assert not app.exception and "no ceiling" in html_of(app) and any("too many features" in info.value for info in app.info)


def test_statistics_that_are_missing_say_what_computes_them(open_page: Open, study: Study) -> None:
    app = open_page(study.folder, "encoding", pick=PLACE, section="statistics")
    assert not app.exception and button(app, "Compute the statistics")
    parcels = open_page(study.folder, "encoding", pick=PAIR, section="statistics")
    assert any("map every vertex of this selection first" in info.value for info in parcels.info)


def test_a_run_is_recorded_opened_renamed_and_deleted(open_page: Open, study: Study) -> None:
    app = open_page(study.folder, "encoding", pick=PLACE, section="runs")
    assert any("No run is recorded yet" in info.value for info in app.info)
    button(app, "Record this run").click().run()
    (run,) = runs.all_runs(study)
    assert not app.exception and app.dataframe[0].value["selection"].tolist() == ["semantic / place"]
    assert all(text in html_of(app) for text in (run.labels, run.result, run.user, "codebook".capitalize()))
    next(field for field in app.text_input if field.label == "Name").set_value("my <b>places</b>").run()
    button(app, "Save the name").click().run()
    assert runs.read_run(study, run.id).name == "my <b>places</b>" and "<b>places" not in html_of(app)
    box(app, "Syntactic").set_value(True).run()
    button(app, "Open").click().run()
    assert not app.exception and app.query_params["run"] == run.id and app.query_params["pick"] == PLACE
    assert "Recorded run" in captions(app)
    box(app, "Syntactic").set_value(True).run()
    assert "run" not in app.query_params and "Parcels answered" in captions(app)
    button(app, "Delete this run").click().run()
    assert not app.exception and runs.all_runs(study) == [] and live.has_map(study, PLACE)


def test_a_name_that_may_not_be_is_told(open_page: Open, study: Study) -> None:
    runs.record(study, PLACE)
    app = open_page(study.folder, "encoding", pick=PLACE, section="runs")
    next(field for field in app.text_input if field.label == "Name").set_value("   ").run()
    button(app, "Save the name").click().run()
    assert not app.exception and any("give it 1 to 80" in error.value for error in app.error)


@pytest.mark.parametrize("run", ["20260101T000000-abcdef", "../x"])
def test_a_run_that_is_not_there_falls_back(open_page: Open, demo_study: Path, run: str) -> None:
    app = open_page(demo_study, "encoding", pick=PLACE, run=run)
    assert not app.exception and len(app.warning) == 1 and "shown as it is now" in app.warning[0].value and len(app.image) == 2


def test_a_job_is_followed_and_cancelled(open_page: Open, study: Study, ended: None) -> None:
    app = open_page(study.folder, "encoding", pick=PAIR)
    button(app, "Map every vertex").click().run()
    (job,) = jobs.all_jobs(study.folder / "jobs")
    assert job.target == "saebrain.pipeline.runs:run" and job.arguments == {"layer": 15, "selection": PAIR, "name": ""}
    reloaded = open_page(study.folder, "encoding", pick=PAIR)
    assert not reloaded.exception and [element.label for element in reloaded.button if element.label == "Cancel"]
    assert "Map every vertex" not in [element.label for element in reloaded.button]
    elsewhere = open_page(study.folder, "encoding", pick=PLACE)
    assert not elsewhere.exception and button(elsewhere, "Cancel")
    button(reloaded, "Cancel").click().run()
    assert job.status().state == "cancelled"
    again = open_page(study.folder, "encoding", pick=PAIR)
    assert button(again, "Map every vertex") and "was cancelled after" in captions(again)
    assert runs.all_runs(study) == [] and not live.has_map(study, PAIR)


def test_a_job_that_failed_says_why(open_page: Open, study: Study, ended: None) -> None:
    work = map_work(PAIR)
    job = jobs.start(
        study.folder / "jobs", study.folder, work.target, {"selection": "no <b>such</b>"}, title=work.title, unit=work.unit, key=work.key(study)
    )
    wait_for(lambda: job.status().state == "failed")
    app = open_page(study.folder, "encoding", pick=PAIR)
    assert not app.exception and any("<b>such</b>': not in codebook" in error.value.replace("\\", "") for error in app.error)
    assert any(r"\<b\>" in error.value for error in app.error)
    assert button(app, "Map every vertex")


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_study_without_responses_says_which_commands_to_run(open_page: Open, copy_study: Copy) -> None:
    folder = copy_study(without=("encoding", "steps/15/encode.json", "steps/responses.json"))
    app = open_page(folder, "encoding")
    assert not app.exception and not app.image and commands_of(app) == [f"python -m saebrain simulate {folder}"]


def test_another_layer_answers_without_the_encode_step(open_page: Open, study: Study) -> None:
    app = open_page(study.folder, "encoding", layer="5", pick="semantic")
    assert not app.exception and not app.error and "Parcels answered" in captions(app)


def test_layer_profile(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "encoding", section="layers")
    assert not app.exception and not app.error and len(app.get("vega_lite_chart")) == 1
    profile = layer_profile(Study.open(demo_study))
    for layer in profile["layers"]:
        assert f"<td>{layer['layer']}</td>" in html_of(app) and f"{layer['semantic']['r']:.3f}" in html_of(app)
    assert commands_of(app) == [layer["command"] for layer in profile["missing"]]


def test_layer_profile_of_a_study_without_results(open_page: Open, study: Study) -> None:
    shutil.rmtree(study.encoding)
    app = open_page(study.folder, "encoding", section="layers", pick="")
    assert not app.exception and any("no layer of study" in error.value for error in app.error)


def test_it_fits_what_the_statistics_write() -> None:
    """Their module brings torch, so the page has the version written down."""
    from saebrain.pipeline import statistics as module

    assert live.STATISTICS_VERSION == module.VERSION and module.NAME == "statistics.json"
