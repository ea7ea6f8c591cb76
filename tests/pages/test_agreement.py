"""The agreement page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from saebrain.agreement.pair import log_interval
from saebrain.annotation.database import the_database
from saebrain.annotation.log import Entry, append
from saebrain.annotation.people import Person, enrol, find
from saebrain.study import Study
from tests.pages.conftest import Open, html_of
from tests.studies import copy_study as copied

TABLE = np.array([[40, 9], [6, 45]])
"""kappa .70, agreement .85."""
LABELS = ("semantic/place", "semantic/social")


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Study:
    return Study.open(copied(demo_study, tmp_path / "study"))


def label(study: Study, table: np.ndarray, names: tuple[str, str] = ("ana", "ben"), **more: str) -> None:
    """Labels of two people that give a confusion table."""
    database = the_database(study)
    enrol(database, "cleo", "adjudicator")
    enrol(database, "vic", "viewer")
    version, feature = more.get("codebook", "1.0"), 0
    with database.writing() as connection:
        for (i, j), count in np.ndenumerate(table):
            for _ in range(count):
                for name, label in zip(names, (LABELS[i], LABELS[j]), strict=True):
                    key = f"{name} {feature} {version}"
                    append(connection, Entry(key, "label", name, 15, feature, version, label=label, note=f"note {feature}", queue="overlap"))
                feature += 1


def opened(study: Study, page: Open, **query: str) -> AppTest:
    app = page(study.folder, "agreement", **query)
    assert not app.exception and not app.error
    return app


def metrics(app: AppTest) -> list[str]:
    return [metric.value for metric in app.metric]


def test_nobody_has_labelled(open_page: Open, study: Study) -> None:
    app = opened(study, open_page)
    assert any("Nobody has labelled" in info.value for info in app.info)
    assert not (study.folder / "annotations.db").exists()


def test_known_table(open_page: Open, study: Study) -> None:
    label(study, TABLE)
    app = opened(study, open_page)
    low, high = log_interval(TABLE)
    assert metrics(app) == ["0.70", f"{low:.2f} to {high:.2f}", "–"]
    shown = html_of(app)
    assert "85%" in shown and '<td>semantic / place</td><td class="num">49</td><td class="num">46</td>' in shown
    assert "ana, ben" in shown and "Top level" in shown and "undefined" in shown  # the top level has one category


def test_one_category_is_undefined_not_zero(open_page: Open, study: Study) -> None:
    label(study, np.array([[12, 0], [0, 0]]))
    app = opened(study, open_page)
    assert metrics(app)[:2] == ["undefined", "undefined"]
    assert any("Undefined" in caption.value for caption in app.caption)


def test_power(open_page: Open, study: Study) -> None:
    label(study, np.array([[45, 5], [3, 47]]))
    found = metrics(opened(study, open_page))[2]
    assert found.endswith(" more") and int(found.removesuffix(" more").replace(",", "")) > 0


def test_versions_are_chosen_and_never_pooled(open_page: Open, study: Study) -> None:
    label(study, TABLE)
    label(study, np.array([[30, 0], [0, 30]]), codebook="0.9")
    assert metrics(opened(study, open_page))[0] == "0.70"
    assert metrics(opened(study, open_page, codebook="0.9"))[0] == "1.00"


def test_cell_shows_its_features_to_adjudicators_only(open_page: Open, study: Study) -> None:
    label(study, TABLE)
    cell = "semantic/place | semantic/social"
    app = opened(study, open_page, cell=cell, **{"as": "cleo"})
    assert app.dataframe[0].value["feature"].tolist() == list(range(40, 49)) and "note 41" in app.dataframe[0].value["ana"].tolist()
    for name in ("vic", "nobody"):
        app = opened(study, open_page, cell=cell, **{"as": name})
        assert not app.dataframe and "note 41" not in html_of(app)


def test_pairs_can_be_chosen(open_page: Open, study: Study) -> None:
    label(study, TABLE)
    label(study, np.array([[10, 0], [0, 10]]), names=("dan", "eve"))
    assert metrics(opened(study, open_page, pair="dan and eve"))[0] == "1.00"
    assert metrics(opened(study, open_page))[0] == "0.70"


def test_admin_gives_roles_others_do_not(open_page: Open, study: Study) -> None:
    label(study, TABLE)
    database = the_database(study)
    enrol(database, "ada", "admin")
    assert not opened(study, open_page, **{"as": "cleo"}).expander
    app = opened(study, open_page, **{"as": "ada"})
    for name, role, said in (("Zoe", "viewer", "Zoe is viewer"), ("ada", "viewer", "would no longer be admin"), ("", "viewer", "a name has 1 to")):
        next(field for field in app.text_input if field.label == "Name").set_value(name)
        next(box for box in app.selectbox if box.label == "Role").set_value(role)
        next(button for button in app.button if button.label == "Give the role").click().run()
        assert any(said in element.value for element in [*app.success, *app.error])
    assert find(database, name="Zoe") is not None and find(database, name="ada") == Person("ada", "admin")
