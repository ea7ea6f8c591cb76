"""Command line: one verb per step of the pipeline, and `demo`, which joins them all."""

from __future__ import annotations

import sys

import typer

from saebrain.cli.agreement import agreement_app
from saebrain.cli.annotation import annotation_app
from saebrain.cli.dashboard import dashboard_app
from saebrain.cli.items import encode_items
from saebrain.cli.map import draw_map
from saebrain.cli.sae import sae_app
from saebrain.cli.statistics import statistics_app
from saebrain.cli.study import study_app
from saebrain.errors import SaebrainError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Which features of a language model predict which parts of cortex?",
)
app.add_typer(study_app)
app.add_typer(statistics_app)
app.add_typer(dashboard_app)
app.add_typer(agreement_app)
app.add_typer(annotation_app, name="annotations")
app.add_typer(sae_app, name="sae")
app.command("encode-items")(encode_items)
app.command("map")(draw_map)


def main() -> None:
    """Run the command line; an error meant for people becomes one line and exit code 1."""
    try:
        app()
    except SaebrainError as error:
        print(f"saebrain: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
