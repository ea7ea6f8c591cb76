"""The features page: filters, links, one feature's view."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from saebrain.annotation.database import the_database
from saebrain.annotation.log import Entry, append
from saebrain.annotation.people import enrol
from saebrain.store import read_table
from saebrain.study import Study
from tests.pages.conftest import Copy, Open, commands_of, html_of, viewers_of


def listed(app: AppTest) -> pd.DataFrame:
    return app.dataframe[0].value


def test_opens_at_the_first_feature_of_the_list(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "features")
    assert not app.exception and not app.error and not app.warning
    first = int(listed(app)["feature"].iloc[0])
    assert app.header[0].value == f"Feature {first}"
    assert "feature" not in app.query_params  # nothing is chosen yet: what is shown follows the filters
    assert listed(app)["parcel_r"].dropna().is_monotonic_decreasing


def test_link_selects_the_feature(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "features", feature="12", label="semantic", sort="feature")
    assert app.header[0].value == "Feature 12"
    assert app.session_state["widget features label"] == "semantic"
    assert listed(app)["feature"].is_monotonic_increasing
    assert listed(app)["label"].str.startswith("semantic").all()


def test_neighbours_are_those_found_nearest_first(open_page: Open, demo_study: Path) -> None:
    study = Study.open(demo_study)
    number = int(listed(app := open_page(demo_study, "features"))["feature"].iloc[0])
    shown, found = app.dataframe[1].value, read_table(study.features / "neighbours.parquet", "")
    found = found[found["feature"] == number]
    for kind, title in (("decoder", "decoder"), ("coactive", "same tokens")):
        rows, wanted = shown[shown["near by"] == title], found[found["kind"] == kind].nlargest(6, "similarity")
        assert rows["similarity"].tolist() == pytest.approx(wanted["similarity"].tolist()) and rows["words"].str.len().gt(0).all()
    for layer in set(study.layers) - {study.layer}:
        rows = shown[shown["near by"] == f"layer {layer}"]
        assert set(rows["feature"]) == set(found[(found["kind"] == "layer") & (found["layer"] == layer)]["other"]) and len(rows)


@pytest.mark.parametrize("query", [{"feature": "99999999"}, {"feature": "<img>"}, {"label": "no/such"}, {"sort": "x"}, {"from": "7"}])
def test_link_to_what_is_not_there_falls_back(open_page: Open, demo_study: Path, query: dict[str, str]) -> None:
    app = open_page(demo_study, "features", **query)
    assert not app.exception
    assert len(app.warning) == 1 and "which is not there" in app.warning[0].value
    assert app.header[0].value.startswith("Feature ")


def test_search_narrows_the_list_and_enters_the_address(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "features")
    everything = len(listed(app))
    app.text_input[0].set_value("harbour").run()
    assert app.query_params["q"] == "harbour"
    assert 0 < len(listed(app)) < everything
    assert any(f"{len(listed(app)):,} of {everything:,} features" in caption.value for caption in app.caption)
    app.text_input[0].set_value("").run()
    assert "q" not in app.query_params and len(listed(app)) == everything


def test_search_without_a_match_keeps_the_feature(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "features", feature="12", q="no such word anywhere")
    assert not app.exception
    assert listed(app).empty and app.header[0].value == "Feature 12"
    assert any("is not among them" in caption.value for caption in app.caption)


def test_filters_agree_with_the_table(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "features", agree="no", **{"from": "0.003", "to": "0.03"})
    table = listed(app)
    assert len(table)
    assert table["density"].between(0.003, 0.03).all()
    annotators = [name for name in table if name.startswith("machine:")]
    assert (table[annotators].nunique(axis=1) > 1).all()


def test_buttons_lead_through_the_list(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "features")
    first, second = listed(app)["feature"].iloc[:2]
    before, after = (next(button for button in app.button if button.label == label) for label in ("Previous", "Next"))
    assert before.disabled and not after.disabled
    after.click().run()
    assert app.header[0].value == f"Feature {second}" and app.query_params["feature"] == str(second)
    next(button for button in app.button if button.label == "Previous").click().run()
    assert app.header[0].value == f"Feature {first}"


def test_dead_feature_is_said_to_be_dead(open_page: Open, demo_study: Path) -> None:
    table = read_table(Study.open(demo_study).features / "features.parquet", "")
    dead = table.loc[table["active"] == 0, "feature"]
    assert len(dead), "the demo's text activates every feature now: take another text for this test"
    app = open_page(demo_study, "features", feature=str(dead.iloc[0]))
    assert not app.exception and any("never active" in info.value for info in app.info)


def test_selection_is_kept_when_another_page_was_open(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "features", feature="12", subject="sim-02")
    app.switch_page("pages/2_Cortex.py")
    app.query_params.clear()
    app.run()
    assert not app.exception and app.query_params["subject"] == "sim-02"
    app.switch_page("pages/1_Features.py")
    app.query_params.clear()
    app.run()
    assert app.header[0].value == "Feature 12" and app.query_params["feature"] == "12"


def test_text_of_the_stimulus_is_escaped(open_page: Open, copy_study: Copy, demo_study: Path) -> None:
    study = copy_study(without=("tokens.parquet",))
    tokens = pd.read_parquet(demo_study / "tokens.parquet")
    contexts = pd.read_parquet(Study.open(demo_study).features / "contexts.parquet")
    first = contexts[contexts["rank"] == 0].iloc[0]
    text = tokens["text"].to_numpy(object)
    at = int(first["token"])
    text[at] = "<script>alert(1)</script>"
    text[at - 1] = '"><img src=x onerror=alert(2)>'
    tokens.assign(text=text).to_parquet(study / "tokens.parquet")
    app = open_page(study, "features", feature=str(int(first["feature"])))
    shown = html_of(app)
    assert not app.exception
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown and "&lt;img" in shown
    assert "<script" not in shown and "<img" not in shown


def test_rebuilt_study_is_seen(open_page: Open, copy_study: Copy, demo_study: Path) -> None:
    study = copy_study(without=("features/15/labels.parquet", "steps/15/labels.json"))
    labels, record = pd.read_parquet(demo_study / "features/15/labels.parquet"), json.loads((demo_study / "steps/15/labels.json").read_text())
    labels.to_parquet(study / "features/15/labels.parquet")
    (study / "steps/15/labels.json").write_text(json.dumps(record))
    app = open_page(study, "features")
    assert listed(app)["label"].nunique() > 1
    labels.assign(label="lexical").to_parquet(study / "features/15/labels.parquet")
    (study / "steps/15/labels.json").write_text(json.dumps({**record, "finished": "2999-01-01T00:00:00+00:00"}))
    assert set(listed(app.run())["label"]) == {"lexical"}


def test_missing_labels_say_which_commands_to_run(open_page: Open, copy_study: Copy) -> None:
    study = copy_study(without=("features/15/labels.parquet", "steps/15/labels.json"))
    app = open_page(study, "features")
    assert not app.exception and not app.dataframe
    assert commands_of(app) == [f"python -m saebrain labels {study}"]


def test_missing_responses_leave_the_rest_of_a_feature(open_page: Open, copy_study: Copy) -> None:
    study = copy_study(without=("responses", "steps/responses.json"))
    app = open_page(study, "features", sort="density")
    assert not app.exception
    assert '<div class="sb-context">' in html_of(app)
    assert commands_of(app) == [f"python -m saebrain simulate {study}"]


def test_list_is_there_before_any_encoding_model(open_page: Open, copy_study: Copy) -> None:
    study = copy_study(without=("features/15/parcels.parquet", "encoding", "steps/encode.json"))
    app = open_page(study, "features")
    assert not app.exception and not app.warning
    assert "parcel_r" not in listed(app) and listed(app)["feature"].is_monotonic_increasing
    assert len(viewers_of(app)) == 1


def test_results_older_than_what_they_were_made_from_are_not_shown(open_page: Open, copy_study: Copy, demo_study: Path) -> None:
    study = copy_study(without=("study.toml", "steps/activations.json"))
    config = (demo_study / "study.toml").read_text()
    assert "window = 512" in config
    (study / "study.toml").write_text(config.replace("window = 512", "window = 500"))
    record = '{"step": "activations", "key": "0", "finished": "2999-01-01T00:00:00+00:00"}'
    (study / "steps" / "activations.json").write_text(record)
    app = open_page(study, "features")
    assert not app.exception and not app.dataframe
    assert commands_of(app) == [f"python -m saebrain {verb} {study}" for verb in ("activations", "sae encode", "features", "labels")]


def test_sort_by_any_column_and_turned_round(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "features", sort="density")
    assert listed(app)["density"].is_monotonic_decreasing
    turn = next(button for button in app.button if button.key == "turn round")
    turn.click().run()
    assert app.query_params["backwards"] == "on" and listed(app)["density"].is_monotonic_increasing
    assert listed(open_page(demo_study, "features", sort="peak"))["peak"].dropna().is_monotonic_increasing


def test_expert_filter_and_its_errors(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "features", where="density < 0.01 and label like 'semantic/%'")
    assert (listed(app)["density"] < 0.01).all() and listed(app)["label"].str.startswith("semantic/").all() and not app.error
    everything = len(listed(open_page(demo_study, "features")))
    for bad in ("density < ", "secret = 1", "feature in (select 1)"):
        app = open_page(demo_study, "features", where=bad)
        assert not app.exception and len(app.error) == 1 and len(listed(app)) == everything


def test_search_in_contexts(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "features", q="the harbour", **{"in": "contexts"})
    assert 0 < len(listed(app)) < len(listed(open_page(demo_study, "features", q="the", **{"in": "contexts"})))
    assert not app.exception and not app.error
    assert len(open_page(demo_study, "features", q="x", **{"in": "contexts"}).error) == 1


def test_saved_list_is_offered_and_filters(open_page: Open, copy_study: Copy) -> None:
    study = copy_study()
    app = open_page(study, "features", q="harbour")
    wanted = set(listed(app)["feature"])
    name = next(box for box in app.text_input if box.label == "Name")
    name.set_value("harbours")
    next(button for button in app.button if button.label.startswith("Save these")).click().run()
    assert not app.error and json.loads((study / "lists/15/harbours.json").read_text()) == {"features": sorted(wanted)}
    assert set(listed(open_page(study, "features", list="harbours"))["feature"]) == wanted
    assert len(open_page(study, "features", list="nothing").warning) == 1


def test_name_that_no_list_may_have_is_told(open_page: Open, copy_study: Copy) -> None:
    app = open_page(copy_study(), "features")
    next(box for box in app.text_input if box.label == "Name").set_value("../../x")
    next(button for button in app.button if button.label.startswith("Save these")).click().run()
    assert len(app.error) == 1 and not app.exception


def test_maps_in_the_list(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study, "features", maps="on")
    assert len(listed(app)) == 25 and listed(app)["map"].str.startswith("data:image/png;base64,").all()
    first = listed(app)["feature"].tolist()
    next(button for button in app.button if button.key == "Rows after").click().run()
    assert app.query_params["page"] == "1" and not set(listed(app)["feature"]) & set(first)
    last = listed(open_page(demo_study, "features"))["feature"].iloc[60]
    assert last in listed(open_page(demo_study, "features", maps="on", feature=str(last)))["feature"].tolist()  # its own part of the list


@pytest.mark.parametrize("show", ["intervals", "misses", "story"])
def test_every_kind_of_example(open_page: Open, demo_study: Path, show: str) -> None:
    app = open_page(demo_study, "features", show=show, width="60", whole="on")
    assert not app.exception and not app.error and not app.warning
    if show == "intervals":
        assert html_of(app).count('class="sb-interval') == 5
    if show == "story":
        assert any("r = " in caption.value and "in this run" in caption.value for caption in app.caption)


def test_width_of_contexts(open_page: Open, demo_study: Path) -> None:
    narrow, wide = (len(html_of(open_page(demo_study, "features", width=width))) for width in ("8", "120"))
    assert wide > 2 * narrow


def test_imported_notes_are_shown_and_searched(open_page: Open, copy_study: Copy) -> None:
    study = copy_study()
    (study / "notes").mkdir()
    note = {"feature": 12, "author": "a <model>", "text": "zyzzyva & <i>places</i>", "method": "by hand"}
    (study / "notes/15.json").write_text(json.dumps({"notes": [note]}))
    app = open_page(study, "features", q="zyzzyva")
    assert listed(app)["feature"].tolist() == [12] and not app.exception
    assert "zyzzyva &amp; &lt;i&gt;places&lt;/i&gt;" in html_of(app) and "a &lt;model&gt;" in html_of(app)


def test_what_is_not_computed_says_its_command(open_page: Open, copy_study: Copy) -> None:
    study = copy_study(without=("features/15/neighbours.parquet", "features/15/layout.parquet"))
    app = open_page(study, "features", plane="on", show="misses")
    told = " ".join(info.value for info in app.info).replace("\\", "")
    assert not app.exception
    assert f"python -m saebrain neighbours {study}" in told and f"python -m saebrain layout {study}" in told


def test_area_on_the_map_of_features(open_page: Open, copy_study: Copy) -> None:
    study = copy_study(without=("features/15/layout.parquet",))
    places = pd.DataFrame({"feature": range(4096), "x": np.linspace(-1, 1, 4096), "y": 0.0})
    places.to_parquet(study / "features/15/layout.parquet")
    app = open_page(study, "features", plane="on", area="0.5,-1,2,-1,2,1,0.5,1", sort="feature")
    assert listed(app)["feature"].tolist() == places.loc[places["x"] > 0.5, "feature"].tolist()
    assert len(open_page(study, "features", area="1,2").error) == 1


def test_features_that_somebody_has_not_labelled(open_page: Open, copy_study: Copy) -> None:
    study = copy_study(without=("annotations.db",))
    assert not any(box.label == "Not labelled yet by" for box in open_page(study, "features").selectbox)
    database = the_database(Study.open(study))
    enrol(database, "ada")
    with database.writing() as connection:
        append(connection, Entry("k", "label", "ada", 15, 12, "1", label="lexical"))
    everything = len(listed(open_page(study, "features")))
    app = open_page(study, "features", unlabelled="ada")
    assert not app.exception and len(listed(app)) == everything - 1 and 12 not in set(listed(app)["feature"])
