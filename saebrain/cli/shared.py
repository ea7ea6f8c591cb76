"""What the commands share: opening a study, running a step of it, printing."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from saebrain import progress
from saebrain.pipeline import steps
from saebrain.pipeline.registry import STEPS
from saebrain.study import Study, default_folder

# The steps have progress bars of their own; the libraries' loading bars would run through them.
os.environ.setdefault("TQDM_DISABLE", "1")

console = Console(stderr=True)

StudyArgument = Annotated[Path | None, typer.Argument(metavar="[STUDY]", help="Study folder; the demo study if left out.")]
LayerOption = Annotated[int | None, typer.Option("--layer", help="One of the study's layers; its main one if left out.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def bar(title: str, unit: str) -> AbstractContextManager[progress.Report]:
    """A progress bar on standard error."""
    return progress.bar(title, unit, console)


def open_study(folder: Path | None, layer: int | None = None) -> Study:
    """The study named on the command line, or the default one, at its main layer unless another is named."""
    study = Study.open(folder or default_folder())
    return study if layer is None else study.at(layer)


def run_step(folder: Path | None, name: str, layer: int | None = None) -> Study:
    """Run one step of a study, with those before it that are out of date."""
    study = open_study(folder, layer)
    step = STEPS[name]
    if not steps.run(study, step, STEPS, bar):
        console.print(f"{step.title}: up to date in {study.folder}", markup=False, highlight=False, soft_wrap=True)
    return study


def print_json(value: Any) -> None:
    """A result, for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
