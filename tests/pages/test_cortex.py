"""The cortex page: every selection, the best subcategory, and what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from saebrain.pipeline.cortical import DIFFERENCES, available, selection_map
from saebrain.pipeline.results import result_folder
from saebrain.study import Study
from saebrain.ui.viewer import component
from saebrain.ui.viewer.component import Leaves
from saebrain.ui.viewer.payload import ValueMap
from tests.pages.conftest import Copy, Open, commands_of, viewers_of


def test_opens_with_all_features(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "cortex")
    assert not app.exception and not app.error and not app.warning
    assert len(app.dataframe[0].value) == 68
    (viewer,) = viewers_of(app)
    assert viewer["current"].endswith(" all") and viewer["maps"][0]["id"] == viewer["current"]
    assert viewer["maps"][0]["label"] == "r of the whole prediction, mean over subjects" and viewer["maps"][0]["masked"]
    assert [each["name"] for each in viewer["around"]][:2] == ["all features", "semantic"]


def test_every_selection_is_shown(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "cortex")
    for selection in available(Study.open(demo_study)):
        app.selectbox[0].set_value(selection).run()
        assert not app.exception, selection
        assert app.query_params.get("select", "all") == selection
    assert app.selectbox[0].value in DIFFERENCES and "Difference in r" in viewers_of(app)[0]["maps"][0]["label"]


def test_link_sets_every_control(open_page: Open, demo_study: Path) -> None:
    query = {"select": "semantic/place", "part": "features", "subject": "sim-02", "surface": "flat", "threshold": "0.12", "outlines": "on"}
    app = open_page(demo_study, "cortex", **query)
    assert not app.exception and not app.warning
    assert [box.value for box in app.selectbox] == ["semantic/place", "features", "sim-02"]
    (viewer,) = viewers_of(app)
    assert viewer["look"] == {"surface": "flat", "threshold": 0.12, "outlines": True, "range": None, "sides": None, "colours": None}
    assert viewer["maps"][0]["label"] == "r of the features’ part, sim-02"


def test_parcels_of_a_selection_are_those_of_the_codebook(open_page: Open, demo_study: Path) -> None:
    table = open_page(demo_study, "cortex", select="semantic/place", part="features").dataframe[0].value
    assert set(table.loc[table["predicted"], "parcel"]) == {"parahippocampal", "isthmuscingulate", "precuneus", "lateraloccipital"}
    assert table["r"].is_monotonic_decreasing


def test_best_subcategory(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "cortex", show="categories", threshold="0.2")
    assert not app.exception and not app.warning
    table = app.dataframe[0].value
    assert list(table["category"]) == ["Social", "Place", "Action", "Emotion", "Quantity"]
    (viewer,) = viewers_of(app)
    assert viewer["maps"][0]["names"] == list(table["category"]) and viewer["look"]["threshold"] == 0.2
    lower = open_page(demo_study, "cortex", show="categories", threshold="0.05").dataframe[0].value
    assert lower["vertices"].sum() > table["vertices"].sum()


def test_selection_without_a_result_says_which_command_computes_it(open_page: Open, copy_study: Copy, demo_study: Path) -> None:
    folder = result_folder(Study.open(demo_study), "syntactic").relative_to(demo_study)
    study = copy_study(without=(str(folder),))
    app = open_page(study, "cortex", select="syntactic")
    assert not app.exception
    assert commands_of(app) == [f"python -m saebrain encode {study} --select syntactic"]


def test_study_without_results_says_which_commands_to_run(open_page: Open, copy_study: Copy) -> None:
    study = copy_study(without=("encoding", "steps/encode.json", "steps/responses.json"))
    app = open_page(study, "cortex")
    assert not app.exception
    assert commands_of(app) == [f"python -m saebrain simulate {study}", f"python -m saebrain encode {study}"]


@pytest.mark.parametrize("query", [{"select": "nothing"}, {"threshold": "-1"}, {"threshold": "nan"}, {"surface": "sphere"}, {"outlines": "maybe"}])
def test_link_to_what_is_not_there_falls_back(open_page: Open, demo_study: Path, query: dict[str, str]) -> None:
    app = open_page(demo_study, "cortex", **query)
    assert not app.exception and len(viewers_of(app)) == 1
    assert len(app.warning) == 1 and "which is not there" in app.warning[0].value


def test_pinned_vertex_is_named_with_its_exact_values_and_best_features(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "cortex", vertex="15000")
    assert not app.exception
    r = selection_map(Study.open(demo_study), "all").r[:, 15_000]
    said = next(element.value for element in app.markdown if "Pinned" in element.value).replace("\\", "")
    assert f"vertex {15_000 - 10_242}" in said and "right " in said
    assert f"r = {r.mean():+.4f}".replace("-", "−") in said
    assert viewers_of(app)[0]["pinned"] == 15_000
    assert any("Best features here" in element.value for element in app.markdown)


def test_viewer_is_told_each_map_once(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "cortex")
    assert len(viewers_of(app)[0]["maps"]) == 1
    assert viewers_of(app.run())[0]["maps"] == []
    app.selectbox[0].set_value("semantic").run()
    assert [each["name"] for each in viewers_of(app)[0]["maps"]] == ["semantic"]
    app.selectbox[0].set_value("all").run()
    assert viewers_of(app)[0]["maps"] == []


@pytest.mark.parametrize(("seconds", "sent"), [(-1.0, ["syntactic"]), (60.0, ["syntactic", "semantic / place"])])
def test_maps_that_are_asked_for_come_as_far_as_there_is_time(seconds: float, sent: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The current one in any case, and none that is there."""
    monkeypatch.setattr(component, "OTHERS_S", seconds)
    names = {"semantic": "semantic", "semantic/place": "semantic / place", "syntactic": "syntactic"}
    leaves = Leaves("p ", list(names), names.__getitem__, lambda name: ValueMap(names[name], np.zeros(3, np.float32), "r", 1.0))
    made = component._made(leaves, "syntactic", ["semantic/place", "semantic"], {"p semantic"})
    assert [each.name for each in made.values()] == sent
    assert component._made(leaves, "semantic", [], {"p semantic"}) == {}


def test_mesh_is_sent_once(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "cortex")
    assert [element.proto.component_name for element in app.get("bidi_component")] == ["saebrain_viewer", "saebrain_store"]
    assert [element.proto.component_name for element in app.run().get("bidi_component")] == ["saebrain_viewer"]
