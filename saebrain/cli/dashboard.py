"""The dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from saebrain.cli.shared import StudyArgument, open_study

dashboard_app = typer.Typer()


@dashboard_app.command()
def dashboard(
    study: StudyArgument = None,
    port: Annotated[int, typer.Option(help="TCP port.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 serves other machines too. This machine only if left out.")] = "",
    headless: Annotated[bool | None, typer.Option(help="Open no browser; the default where there is no screen.")] = None,
    watch: Annotated[bool, typer.Option(help="Load changed code while running.")] = False,
) -> None:
    """Open the dashboard."""
    from saebrain.ui.serve import has_screen, serve

    opened = open_study(study)
    serve(opened, port=port, address=address or None, headless=not has_screen() if headless is None else headless, watch=watch)
