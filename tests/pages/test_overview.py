"""The overview tells what the study is, and what is missing."""

from __future__ import annotations

import json
from pathlib import Path

from tests.pages.conftest import Copy, Open, commands_of, html_of


def test_headline_figures_are_those_of_the_summary(open_page: Open, demo_study: Path) -> None:
    app = open_page(demo_study)
    figures = json.loads((demo_study / "summary.json").read_text())
    assert not app.exception and not app.error and not app.warning
    shown = html_of(app)
    for expected in (f"{figures['r_semantic']:.3f}", f"{figures['fraction_of_peak']:.0%}", f"{figures['n_features']:,}", "0.285", "94%", "≥ 0.74"):
        assert expected in shown
    assert any("not comparable" in caption.value for caption in app.caption)


def test_simulated_responses_are_said_to_be_simulated(open_page: Open, demo_study: Path) -> None:
    for page in ("overview", "features", "cortex"):
        app = open_page(demo_study, page)
        texts = [element.value for element in app.markdown] + [element.value for element in app.caption]
        assert any("Simulated responses" in text for text in texts), page


def test_missing_summary_shows_the_pipeline_and_its_command(open_page: Open, copy_study: Copy) -> None:
    study = copy_study(without=("summary.json", "steps/15/summary.json"))
    app = open_page(study)
    assert not app.exception
    assert commands_of(app) == [f"python -m saebrain summary {study}"]
    assert "not run" in html_of(app)


def test_commands_of_all_missing_steps_are_given_in_order(open_page: Open, copy_study: Copy) -> None:
    study = copy_study(without=("features", "encoding", "summary.json", "steps"))
    commands = [command.removesuffix(f" {study}") for command in commands_of(open_page(study))]
    assert commands == [
        f"python -m saebrain {verb}" for verb in ("stimulus", "activations", "sae encode", "features", "labels", "simulate", "encode", "summary")
    ]


def test_missing_study_says_how_to_make_one(open_page: Open, tmp_path: Path) -> None:
    app = open_page(tmp_path / "nowhere")
    assert not app.exception
    assert any("python -m saebrain demo" in command for command in commands_of(app))


def test_broken_config_is_told_in_one_line(open_page: Open, copy_study: Copy) -> None:
    study = copy_study(without=("study.toml",))
    (study / "study.toml").write_text("title = 3\n")
    app = open_page(study)
    assert not app.exception
    assert len(app.error) == 1 and "study\\.toml" in app.error[0].value and "\n" not in app.error[0].value


def test_title_is_shown_as_it_is_written(open_page: Open, demo_study: Path, copy_study: Copy) -> None:
    study = copy_study(without=("study.toml",))
    text = (demo_study / "study.toml").read_text()
    title = "A <b>study</b> of [links](http://example.org)"
    (study / "study.toml").write_text("\n".join(f'title = "{title}"' if line.startswith("title") else line for line in text.splitlines()))
    app = open_page(study)
    assert app.title[0].value == r"A \<b\>study\</b\> of \[links\]\(http\://example\.org\)"
