"""The page for a text of one's own; the model's process is played by a stand-in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from saebrain.errors import InputError
from saebrain.pipeline.feature_worker import Answer
from saebrain.ui import feature_text
from tests.pages.conftest import Open, html_of


@dataclass
class StandIn:
    """Answers as told; notes what it was asked."""

    says: Answer
    asked: list[tuple[int, str]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)

    def ask(self, layer: int, text: str) -> int:
        if not text.strip():
            raise InputError("no text; type or paste some")
        self.asked.append((layer, text))
        return len(self.asked)

    def answer(self, number: int) -> Answer:
        return self.says

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)
        self.says = Answer("cancelled")


DONE = Answer("done", tokens=["The", " <b>", "&", " 東京"], feature=[12, 12, 40, 7], token=[1, 3, 3, 0], value=[2.0, 1.0, 50.0, 0.1])


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn(DONE)
    monkeypatch.setattr(feature_text, "worker", lambda folder: made)
    return made


def read(app: AppTest, text: str = "The <b>& 東京") -> AppTest:
    app.text_area[0].set_value(text)
    next(button for button in app.button if button.label == "Read").click()
    return app.run()


def test_nothing_is_read_before_it_is_asked_for(open_page: Open, demo_study: Path, reader: StandIn) -> None:
    app = open_page(demo_study, "text")
    assert not app.exception and not reader.asked and app.text_area[0].value == feature_text.EXAMPLE


def test_activations_token_by_token(open_page: Open, demo_study: Path, reader: StandIn) -> None:
    app = read(open_page(demo_study, "text"))
    assert not app.exception and reader.asked == [(15, "The <b>& 東京")]
    shown = html_of(app)
    assert 'title="activation 2.00">&lt;b&gt;</mark>' in shown and "&amp;" in shown and "<b>" not in shown.replace("<b></b>", "")
    assert set(app.dataframe[0].value["feature"]) == {7, 12, 40}
    assert app.dataframe[0].value["share"].is_monotonic_decreasing
    assert app.dataframe[1].value["token"].tolist() == DONE.tokens


def test_features_of_the_address_are_shown(open_page: Open, demo_study: Path, reader: StandIn) -> None:
    app = read(open_page(demo_study, "text", pick="40,99999999,x"))
    assert app.multiselect[0].value == [40] and html_of(app).count('class="sb-context"') == 1
    app.multiselect[0].set_value([40, 12]).run()
    assert app.query_params["pick"] == "40,12" and html_of(app).count('class="sb-context"') == 2


def test_waiting_can_be_cancelled(open_page: Open, demo_study: Path, reader: StandIn) -> None:
    reader.says = Answer("loading")
    app = read(open_page(demo_study, "text"))
    assert any("Loading the model" in element.value for element in app.markdown)
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert reader.cancelled == [1] and any("Cancelled" in info.value for info in app.info)


def test_errors_are_told(open_page: Open, demo_study: Path, reader: StandIn) -> None:
    app = read(open_page(demo_study, "text"), " ")
    assert len(app.error) == 1 and "no text" in app.error[0].value
    reader.says = Answer("failed", "text of 900 tokens: <b>")
    app = read(open_page(demo_study, "text"))
    assert "text of 900 tokens" in app.error[0].value and "\\<b\\>" in app.error[0].value


def test_other_layer_asks_to_be_read_anew(open_page: Open, demo_study: Path, reader: StandIn) -> None:
    app = read(open_page(demo_study, "text"))
    app.query_params["layer"] = "5"
    app.run()
    assert not app.exception and any("Press Read" in info.value for info in app.info)
