"""What encoding models say beyond their scores: statistics of a selection, topography, layers, variance parts, prediction error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from saebrain.cli.shared import JsonOption, LayerOption, StudyArgument, bar, open_study, print_json
from saebrain.progress import Report
from saebrain.study import Study

statistics_app = typer.Typer()

DrawsOption = Annotated[int, typer.Option("--n", min=1, help="Draws under the null hypothesis; no p is below 1 / (1 + n).")]
SeedOption = Annotated[int, typer.Option(help="Seed of the draws.")]
Compute = Callable[[Study, dict[str, Any], Report], dict[str, Any]]


@statistics_app.command()
def topography(
    study: StudyArgument = None, n: DrawsOption = 10_000, seed: SeedOption = 0, layer: LayerOption = None, as_json: JsonOption = False
) -> None:
    """Do subcategories contribute to the parcels that the codebook predicts for them?"""
    from saebrain.pipeline.topography import compute

    found = _computed(study, layer, compute, {"n": n, "seed": seed}, "Topography")
    _show(found, _print_topography, as_json)


@statistics_app.command("partition")
def partition_(study: StudyArgument = None, layer: LayerOption = None, as_json: JsonOption = False) -> None:
    """Which subcategory explains what, alone and together: all of their subsets in parcels."""
    from saebrain.pipeline.partition import compute

    found = _computed(study, layer, compute, {}, "Variance partitioning")
    _show(found, _print_partition, as_json)


@statistics_app.command("prediction-error")
def prediction_error(
    study: StudyArgument = None, n: DrawsOption = 499, seed: SeedOption = 0, layer: LayerOption = None, as_json: JsonOption = False
) -> None:
    """Exploratory: does it show how far a word's meaning is from what the words before announced?"""
    from saebrain.pipeline.surprise import compute

    found = _computed(study, layer, compute, {"n": n, "seed": seed}, "Prediction error")
    _show(found, _print_prediction_error, as_json)


@statistics_app.command()
def layers(study: StudyArgument = None, as_json: JsonOption = False) -> None:
    """r at every layer that is encoded."""
    from saebrain.pipeline.layer_profile import layer_profile

    found = layer_profile(open_study(study))
    _show(found, _print_layers, as_json)


def selection_statistics(study: Study, selection: str, n: int, seed: int) -> dict[str, Any]:
    """Statistics of a selection, computed if they are not there, with progress on standard error."""
    from saebrain.pipeline.statistics import compute

    with bar("Statistics", "draws") as report:
        return compute(study, {"selection": selection, "n": n, "seed": seed}, report)


def print_statistics(found: dict[str, Any]) -> None:
    """The figures of a selection, for people."""
    matched, permutation, ceiling, group = found["matched"], found["permutation"], found["ceiling"], found["group"]
    out = Console()
    beside = f"all features {_r(found['r_all'])}, nuisance {_r(found['r_nuisance'])}"
    rows = [
        ("r", f"{_r(found['r'])} ({beside}), {_percent(found['fraction_of_peak'])} of all features'"),
        ("ceiling", f"{_r(ceiling['r'])}; {_percent(found['r_normalised'])} of it. {ceiling['note']}"),
        ("matched sets", matched["absent"] or f"p = {_p(matched['p'])}, d = {matched['d']:.1f}, {matched['n']:,} sets"),
        ("gain over nuisance", "-" if permutation is None else f"p = {_p(permutation['p'])} in predicted parcels, {permutation['n']:,} shifts"),
        ("over subjects", f"p = {_p(group['p'])}. {group['note']}"),
    ]
    for name, text in rows:
        out.print(f"{name:<20}{text}", markup=False, highlight=False)


def _show(found: dict[str, Any], printed: Callable[[dict[str, Any]], None], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        printed(found)


def _computed(folder: Any, layer: int | None, compute: Compute, arguments: dict[str, Any], title: str) -> dict[str, Any]:
    with bar(title, "parts") as report:
        return compute(open_study(folder, layer), arguments, report)


def _print_topography(found: dict[str, Any]) -> None:
    out = Console()
    out.print(
        f"rho {found['rho']:.2f} of at most {found['rho_max']:.2f}, spin p = {_p(found['p_spin'])}, parcels shuffled p = {_p(found['p_parcel'])}, "
        f"hypergeometric p = {_p(found['p_hypergeom'])}; {found['hits']['right']} of {found['hits']['of']} predicted parcels won as predicted",
        highlight=False,
    )
    table = Table(Column("subcategory", no_wrap=True), "rho", "at most", "spin p", "top parcels predicted", "by chance")
    for row in found["by_subcategory"]:
        hits = row["overlap"]
        table.add_row(
            escape(row["path"]), _r(row["rho"]), _r(row["rho_max"]), _p(row["p_spin"]), f"{hits['found']} of {hits['k']}", f"{hits['expected']:.1f}"
        )
    out.print(table)


def _print_partition(found: dict[str, Any]) -> None:
    table = Table(
        Column("subcategory", no_wrap=True), "unique R²", "shared", "Shapley", "unique r", "unique R² where predicted", title="Predicted parcels"
    )
    for path, row in found["parts"]["by_subcategory"].items():
        table.add_row(
            escape(path), *map(_small, (row["unique"], row["shared"], row["shapley"])), _r(row["unique_r"]), _small(found["own"][path]["unique"])
        )
    Console().print(table)


def _print_prediction_error(found: dict[str, Any]) -> None:
    out = Console()
    out.print(
        f"Exploratory. Gain in r, predicted parcels: {_small(found['gain'])}, p = {_p(found['p'])} ({found['n']:,} shifts)",
        markup=False,
        highlight=False,
    )
    table = Table(Column("category", no_wrap=True), "announced by context (r)", "error with activation (r)")
    for row in found["categories"]:
        table.add_row(escape(row["path"]), _r(row["r_context"]), _r(row["r_with_activation"]))
    out.print(table)


def _print_layers(found: dict[str, Any]) -> None:
    out = Console()
    table = Table("layer", *found["selections"], title="r, mean over predicted cortex")
    for row in found["layers"]:
        table.add_row(str(row["layer"]), *(_r(row[name]["r"]) for name in found["selections"]))
    out.print(table)
    for row in found["missing"]:
        out.print(f"layer {row['layer']}: not encoded; run: {row['command']}", markup=False, highlight=False, soft_wrap=True)


def _r(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _small(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
