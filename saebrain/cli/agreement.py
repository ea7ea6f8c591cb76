"""Agreement of annotators, for any table of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from saebrain.agreement import GOAL
from saebrain.cli.shared import JsonOption, print_json

SEVERAL = {"Krippendorff's alpha": "alpha", "Fleiss' kappa": "fleiss"}

agreement_app = typer.Typer()


@agreement_app.command()
def agreement(
    table: Annotated[Path, typer.Option(help="CSV or Parquet file with the columns item, annotator, label; gaps are allowed.")],
    goal: Annotated[float, typer.Option(help="Kappa that the lower bound should pass.")] = GOAL,
    as_json: JsonOption = False,
) -> None:
    """Agreement of annotators: Cohen's kappa with intervals, Fleiss' kappa, Krippendorff's alpha, per pair and category."""
    from saebrain.agreement.table import figures, read_labels

    found = figures(read_labels(table), goal=goal)
    if as_json:
        print_json(found)
    else:
        _print(found, goal)


def _print(found: dict[str, Any], goal: float) -> None:
    out = Console()
    out.print(f"{found['n_items']:,} items, {len(found['annotators'])} annotators, {found['n_labels']:,} labels", highlight=False)
    several = [f"{name} {_figure(found[key])} ({' to '.join(map(_figure, found[f'{key}_interval']))})" for name, key in SEVERAL.items()]
    out.print(", ".join(several), highlight=False)
    pairs = Table(Column("pair", no_wrap=True), "items", "kappa", "95% interval", "agree", "PABAK", "AC1", f"items until lower bound > {goal:g}")
    for pair in found["pairs"]:
        interval = f"{_figure(pair['log_low'])} to {_figure(pair['log_high'])}"
        needed = "-" if pair["items_needed"] is None else f"{pair['items_needed']:,}"
        cells = [_figure(pair[name]) for name in ("percent", "pabak", "ac1")]
        pairs.add_row(escape(f"{pair['a']}, {pair['b']}"), f"{pair['n']:,}", _figure(pair["kappa"]), interval, *cells, needed)
    out.print(pairs)
    categories = Table("category", "kappa against the rest", "95% interval")
    for label, value in found["per_category"].items():
        low, high = found["per_category_interval"][label]
        categories.add_row(escape(label), _figure(value), f"{_figure(low)} to {_figure(high)}")
    out.print(categories)


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
