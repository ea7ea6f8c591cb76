"""The steps of a study, and its figures as text or JSON."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from saebrain.cli.shared import JsonOption, LayerOption, StudyArgument, bar, console, open_study, print_json, run_step
from saebrain.cli.statistics import DrawsOption, SeedOption, print_statistics, selection_statistics
from saebrain.pipeline import steps
from saebrain.pipeline.registry import STEPS
from saebrain.study import SHIPPED, Study, default_folder

study_app = typer.Typer()


@study_app.command()
def stimulus(study: StudyArgument = None) -> None:
    """Words with onsets and offsets, per run."""
    run_step(study, "stimulus")


@study_app.command()
def activations(study: StudyArgument = None) -> None:
    """Hidden states of the language model for every token, and surprisal."""
    run_step(study, "activations")


@study_app.command()
def features(study: StudyArgument = None, layer: LayerOption = None) -> None:
    """Statistics, top contexts and logit effects of every feature."""
    run_step(study, "features", layer)


@study_app.command()
def labels(study: StudyArgument = None, layer: LayerOption = None) -> None:
    """Labels of the machine annotators."""
    run_step(study, "labels", layer)


@study_app.command()
def neighbours(study: StudyArgument = None, layer: LayerOption = None) -> None:
    """Which features are near each feature: by decoder, by activity at the same tokens, at other layers."""
    run_step(study, "neighbours", layer)


@study_app.command()
def layout(study: StudyArgument = None, layer: LayerOption = None) -> None:
    """The map of features: a layout of the decoder directions on a plane."""
    run_step(study, "layout", layer)


@study_app.command()
def simulate(study: StudyArgument = None) -> None:
    """Responses planted on real resting-state BOLD (a study with real responses: check them)."""
    run_step(study, "responses")


@study_app.command()
def encode(
    study: StudyArgument = None,
    select: Annotated[
        str | None,
        typer.Option(
            help="One selection: all, nuisance, a label such as semantic/place, features:12,15, list:NAME, density<0.01, r>0.1, "
            "or several joined by + (either) and & (both); semantic@5 is that of layer 5. Otherwise the standard ones."
        ),
    ] = None,
    statistics: Annotated[bool, typer.Option(help="With --select: tests, baselines and ceiling beside the scores; a minute or two.")] = True,
    n: DrawsOption = 1000,
    seed: SeedOption = 0,
    layer: LayerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Encoding models: which features predict which parcels."""
    from saebrain.pipeline.encode import encode_one
    from saebrain.pipeline.summary import encoding_figures

    if select is None:
        opened = run_step(study, "encode", layer)
        selections = None
    else:
        opened = open_study(study, layer)
        with bar("Encoding", "parts") as report:
            encode_one(opened, select, report)
        selections = [select]
    figures = encoding_figures(opened, selections)
    found = selection_statistics(opened, select, n, seed) if select is not None and statistics else None
    if as_json:
        print_json({**(found or {}), **figures})
        return
    _print_encoding(figures)
    if found is not None:
        print_statistics(found)


@study_app.command()
def summary(study: StudyArgument = None, layer: LayerOption = None, as_json: JsonOption = False) -> None:
    """The study's figures."""
    opened = run_step(study, "summary", layer)
    figures = json.loads(opened.summary.read_text(encoding="utf-8"))
    if as_json:
        print_json(figures)
    else:
        _print_summary(figures)


@study_app.command()
def demo(study: StudyArgument = None, as_json: JsonOption = False) -> None:
    """Build the demo study: every step, those that are up to date skipped."""
    folder = study or default_folder()
    if not (folder / "study.toml").exists():
        from saebrain.atomic import replacing

        with replacing(folder / "study.toml") as temporary:
            temporary.write_bytes((SHIPPED / "demo" / "study.toml").read_bytes())
    opened = Study.open(folder)
    ran = [steps.run(opened, step, STEPS, bar) for step in STEPS.values() if step.name != "neighbours"]
    for layer in opened.layers:
        if layer != opened.main_layer:
            ran += [steps.run(opened.at(layer), STEPS[name], STEPS, bar) for name in ("codes", "features", "labels")]
    ran += [steps.run(opened.at(layer), STEPS["neighbours"], STEPS, bar) for layer in opened.layers]  # once all layers have their codes
    figures = json.loads(opened.summary.read_text(encoding="utf-8"))
    if as_json:
        print_json(figures)
    elif any(ran):
        _print_summary(figures)
    else:
        console.print(f"Demo study {folder}: up to date", markup=False, highlight=False, soft_wrap=True)


def _print_encoding(figures: dict[str, Any]) -> None:
    subjects = map(escape, figures["subjects"])
    table = Table(Column("selection", no_wrap=True), "features", "r", "r of its features", *subjects, title="Encoding, mean over predicted cortex")
    for name, row in figures["selections"].items():
        table.add_row(escape(name), f"{row['n_features']:,}", *map(_r, [row["r"], row["r_features"], *row["r_by_subject"].values()]))
    Console().print(table)


def _r(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _print_summary(figures: dict[str, Any]) -> None:
    out = Console()
    out.print(f"[bold]{escape(figures['title'])}[/bold]{'  (simulated responses)' if figures['simulated'] else ''}")
    out.print(
        f"{escape(figures['model'])}, layer {figures['layer']}: {figures['n_features']:,} features, FVU {figures['fvu']:.3f}, "
        f"L0 {figures['l0']:.0f}, {figures['dead_fraction']:.1%} dead ({figures['quality_measured_on']})",
        highlight=False,
    )
    share = "-" if figures["fraction_of_peak"] is None else f"{figures['fraction_of_peak']:.0%}"
    out.print(
        f"{figures['n_subjects']} subjects x {figures['n_samples']:,} samples x {figures['n_vertices']:,} vertices; r all {figures['r_all']:.3f}, "
        f"semantic {_r(figures['r_semantic'])}, nuisance {figures['r_nuisance']:.3f}; semantic reaches {share} of all",
        highlight=False,
    )
    table = Table("subcategory", "features", "r in predicted parcels", "r in other parcels")
    for name, row in figures["subcategories"].items():
        table.add_row(name, str(row["n_features"]), _r(row["r_predicted"]), _r(row["r_other"]))
    out.print(table)
