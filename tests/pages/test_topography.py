"""The topography page: what is computed, what is not, and how it is started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saebrain import jobs
from saebrain.atomic import write_json
from saebrain.pipeline import live
from saebrain.pipeline.filed import filed
from saebrain.pipeline.selection import study_codebook, subcategories
from saebrain.study import Study
from saebrain.surface.atlas import desikan_killiany
from saebrain.ui.topography_page import QUESTIONS
from tests import studies
from tests.pages.conftest import Copy, Open, commands_of, html_of


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Iterator[Study]:
    folder = studies.copy_study(demo_study, tmp_path / "study")
    yield Study.open(folder)
    for job in jobs.all_jobs(folder / "jobs"):
        job.cancel()


def topography(study: Study, **changes: Any) -> dict[str, Any]:
    """A result as it is written, of made-up figures: the prediction with a little noise."""
    codebook, atlas = study_codebook(study), desikan_killiany()
    paths = subcategories(codebook)
    predicted = np.array([[name in codebook.predicted(path) for _, name in atlas.parcels] for path in paths])
    observed = np.round(0.1 * predicted + np.random.default_rng(0).normal(0, 0.01, predicted.shape), 4)
    best = observed.argmax(axis=0)
    figures = {
        "rho": 0.71,
        "rank_biserial": 0.96,
        "p_spin": 0.0005,
        "p_hypergeom": 1e-9,
        "observed": observed.tolist(),
        "winners": [
            {"hemisphere": side, "parcel": name, "winner": None if number == 3 else paths[best[number]], "lead": 0.01, "as_predicted": True}
            for number, (side, name) in enumerate(atlas.parcels)
        ],
        "hits": {"right": 38, "of": 40, "expected": 9.6},
    }
    overlap = {"found": 4, "k": 5, "predicted": 5, "parcels": 34, "p": 0.002, "expected": 0.7}
    content = {
        "version": live.FILED["topography"][0],
        "definition": "observed <i>less</i>",
        "n": 10_000,
        "seed": 0,
        "subjects": ["sim-01", "sim-02"],
        "subcategories": paths,
        "absent": {},
        "parcels": [{"hemisphere": side, "parcel": name} for side, name in atlas.parcels],
        "rho_max": 0.74,
        "p_parcel": 0.0002,
        **figures,
        "predicted": predicted.tolist(),
        "overall": {"predicted parcels": {"rho": 0.71, "rho_max": 0.74, "p_spin": 0.0005, "p_parcel": 0.0002}},
        "by_subcategory": [
            {"path": path, "rho": None if path == paths[0] else 0.6, "p_spin": None, "p_parcel": None, "overlap": overlap, "top": ["precuneus"]}
            for path in paths
        ],
        "null": {"edges": np.linspace(-1, 1, 81).tolist(), "counts": [0] * 30 + [500] * 20 + [0] * 30},
        "by_subject": {"sim-01": figures, "sim-02": {**figures, "rho": 0.33}},
        **changes,
    }
    write_json(filed(study, "topography", live.FILED["topography"][0], **live.FILED["topography"][1]), content)
    return content


def test_predicted_and_observed_are_shown(open_page: Open, study: Study) -> None:
    topography(study)
    app = open_page(study.folder, "topography")
    assert not app.exception and not app.error and not app.warning
    assert len(app.get("vega_lite_chart")) == 3 and len(app.image) == 1
    shown = html_of(app)
    for expected in (
        "0.71",
        "at most 0.74 can be reached",
        "p = 0.0005 for spins, p = 0.0002 for parcels",
        "38 of 40",
        "by chance 9.6",
        "4 of 5",
        "p = 1e-09",
    ):
        assert expected in shown
    for name in ("Social", "Place", "Action", "Emotion", "Quantity", "none contributes"):
        assert name in shown
    assert not any("<i>" in caption.value.replace("\\<", "") for caption in app.caption)


def test_one_subject(open_page: Open, study: Study) -> None:
    topography(study)
    app = open_page(study.folder, "topography", of="sim-02")
    assert not app.exception and "0.33" in html_of(app) and app.selectbox[0].value == "sim-02"
    assert any("Shown: sim" in caption.value for caption in app.caption)
    app.selectbox[0].set_value("mean").run()
    assert "of" not in app.query_params and not app.exception


def test_a_subcategory_without_features_is_told(open_page: Open, study: Study) -> None:
    topography(study, absent={"semantic/place": "no feature bears this label"})
    app = open_page(study.folder, "topography")
    assert not app.exception and "no feature bears this label" in app.warning[0].value


def test_what_is_not_computed_can_be_started_and_cancelled(open_page: Open, study: Study) -> None:
    app = open_page(study.folder, "topography")
    assert not app.exception and any("Not computed yet at layer 15" in info.value for info in app.info)
    next(button for button in app.button if button.label == "Compute the topography").click().run()
    (job,) = jobs.all_jobs(study.folder / "jobs")
    assert job.target == "saebrain.pipeline.topography:compute" and job.arguments == {"layer": 15, "n": 10_000, "seed": 0}
    app = open_page(study.folder, "topography")
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert not app.exception and job.status().state == "cancelled"
    elsewhere = open_page(study.folder, "topography", layer="5")
    assert any("Not computed yet at layer 5" in info.value for info in elsewhere.info)


def test_study_without_labels_says_which_commands_to_run(open_page: Open, copy_study: Copy) -> None:
    folder = copy_study(without=("encoding", "steps/15/labels.json", "steps/15/encode.json", "steps/15/summary.json"))
    app = open_page(folder, "topography")
    assert not app.exception and commands_of(app) == [f"python -m saebrain labels {folder}"]


def partition_parts(paths: list[str], scale: float) -> dict[str, Any]:
    values = {"unique": 0.011 * scale, "shared": 0.02, "shapley": -0.013, "unique_r": None}
    return {"total": 0.064 * scale, "by_subcategory": {path: dict(values) for path in paths}}


def test_variance_partition(open_page: Open, study: Study) -> None:
    paths = subcategories(study_codebook(study))
    content = {
        "version": 1,
        "note": "score: R^2",
        "subjects": ["sim-01"],
        "subcategories": paths,
        "absent": {"semantic/other": "no feature"},
        "subsets": [{"paths": [], "r2": 0.006, "component": 0.006}, {"paths": paths[:2], "r2": 0.03, "component": -0.001}],
        "parts": partition_parts(paths, 1.0),
        "own": partition_parts(paths, 3.0)["by_subcategory"],
        "by_subject": {"sim-01": partition_parts(paths, 2.0)},
        "parcels": [{"hemisphere": "left", "parcel": "bankssts", **partition_parts(paths, 1.0)}],
    }
    write_json(filed(study, "partition", 1), content)
    app = open_page(study.folder, "topography", question="partition")
    assert not app.exception and not app.error and "no feature" in app.warning[0].value
    assert "+0.0110" in html_of(app) and "+0.0330" in html_of(app) and "−0.0130" in html_of(app)
    assert app.dataframe[0].value["features"].tolist() == ["nuisance alone", "Social + Place"]
    one = open_page(study.folder, "topography", question="partition", of="sim-01")
    assert not one.exception and "+0.0220" in html_of(one)


def test_prediction_error_is_marked_exploratory(open_page: Open, study: Study) -> None:
    rows = [
        {"hemisphere": side, "parcel": name, "r": 0.1, "gain": 0.002, "p": 0.04, "q": 0.03 if number < 5 else 0.5, "p_max": 0.9}
        for number, (side, name) in enumerate(desikan_killiany().parcels)
    ]
    content = {
        "version": 1,
        "note": "Exploratory. Whether",
        "context": 16,
        "n": 499,
        "smallest_p": 0.002,
        "subjects": ["sim-01"],
        "categories": [{"path": "semantic/place", "r_context": 0.21, "r_with_activation": None}],
        "gain": 0.0015,
        "p": 0.31,
        "by_subject": {"sim-01": {"gain": -0.0007, "p": 0.6}},
        "parcels": [{"subject": "sim-01", **row} for row in rows],
        "mean": rows,
    }
    write_json(filed(study, "prediction-error", 1, n=499, seed=0), content)
    for of in ("mean", "sim-01"):
        app = open_page(study.folder, "topography", question="error", of=of)
        assert not app.exception and not app.error and len(app.dataframe[0].value) == 68
        assert "+0.0015" in html_of(app) and "−0.0007" in html_of(app) and "+0.21" in html_of(app)
        assert any("5 of 68 parcels" in caption.value for caption in app.caption)
        assert any("Exploratory" in element.value for element in app.markdown)


@pytest.mark.parametrize(("question", "target"), [("partition", "partition"), ("error", "surprise")])
def test_each_question_has_its_button(open_page: Open, study: Study, question: str, target: str) -> None:
    app = open_page(study.folder, "topography", question=question)
    assert not app.exception and any("Not computed yet" in info.value for info in app.info)
    assert QUESTIONS[question].work.target == f"saebrain.pipeline.{target}:compute"
    assert [button.label for button in app.button] == [QUESTIONS[question].work.button]


def test_it_fits_what_is_written(study: Study) -> None:
    """The modules that write results bring torch, so versions and arguments are written down here."""
    from saebrain.pipeline import partition, surprise
    from saebrain.pipeline import topography as module

    content = topography(study)
    assert module.read_topography(study) == content == live.read_study_result(study, "topography")
    for kind, path in (("partition", partition._path(study)), ("prediction-error", surprise._path(study, surprise.DRAWS, 0))):
        write_json(path, {"kind": kind})
        assert live.read_study_result(study, kind) == {"kind": kind}
