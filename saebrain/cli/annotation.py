"""Annotation by people: queues, roles, and the log as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from saebrain.cli.shared import JsonOption, LayerOption, StudyArgument, console, open_study, print_json

annotation_app = typer.Typer(no_args_is_help=True, help="Labels that people give: queues, roles, export and import.")
StudyOption = Annotated[Path | None, typer.Option("--study", help="Study folder; the demo study if left out.")]


@annotation_app.command("plan")
def plan(study: StudyArgument = None, layer: LayerOption = None) -> None:
    """Plan the queues that [annotation] in study.toml asks for; what is there stays."""
    from saebrain.annotation.database import the_database
    from saebrain.pipeline.annotating import desk, plan_queues

    opened = open_study(study, layer)
    _say(f"{plan_queues(opened, desk(opened, the_database(opened))):,} new slots at layer {opened.layer}")


@annotation_app.command("status")
def status(study: StudyArgument = None, layer: LayerOption = None, as_json: JsonOption = False) -> None:
    """How far the queues are, and the agreement of the people: blind, first submission, random sample."""
    from saebrain.agreement import GOAL
    from saebrain.annotation.database import the_database
    from saebrain.annotation.log import read_events
    from saebrain.annotation.queues import progress
    from saebrain.annotation.reliability import report
    from saebrain.pipeline.annotating import desk

    opened = open_study(study, layer)
    at = desk(opened, the_database(opened))
    queues, found = progress(at), report(read_events(at.database, at.layer), at.codebook, goal=GOAL)
    if as_json:
        intra = found["intra"].astype(object).where(found["intra"].notna(), None)
        print_json({**found, "intra": intra.to_dict("records"), "queues": queues.to_dict("records")})
        return
    out, table = Console(), Table("queue", "labelled", "people")
    for row in queues.itertuples():
        table.add_row(str(row.queue), f"{row.filled:,} of {row.slots:,}", str(row.people))
    out.print(table)
    for pair in found["headline"]["pairs"]:
        kappa = "undefined" if pair["kappa"] is None else f"{pair['kappa']:.2f} ({pair['log_low']:.2f} to {pair['log_high']:.2f})"
        out.print(f"kappa of {escape(pair['a'])} and {escape(pair['b'])}: {kappa}, {pair['n']:,} features", highlight=False)


@annotation_app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="File to write, .csv or .parquet.")],
    study: StudyOption = None,
) -> None:
    """Write the whole log of events to a file."""
    from saebrain.annotation.database import the_database
    from saebrain.annotation.transfer import export as write

    _say(f"{write(the_database(open_study(study)), file):,} events written to {file}")


@annotation_app.command("import")
def load(
    file: Annotated[Path, typer.Argument(help="File that `annotations export` wrote.")],
    study: StudyOption = None,
) -> None:
    """Add the events of a file to the log; those that are there already are passed over."""
    from saebrain.annotation.database import the_database
    from saebrain.annotation.transfer import load as read

    added, known = read(the_database(open_study(study)), file)
    _say(f"{added:,} events added, {known:,} were there")


@annotation_app.command("role")
def role(
    name: Annotated[str, typer.Argument(help="Name of the person, as it stands beside their labels.")],
    role: Annotated[str, typer.Argument(help="annotator, adjudicator, viewer or admin.")],
    login: Annotated[str | None, typer.Option(help="E-mail address by which the identity provider knows the person.")] = None,
    study: StudyOption = None,
) -> None:
    """Give a person a role."""
    from saebrain.annotation.database import the_database
    from saebrain.annotation.people import check_role, enrol

    person = enrol(the_database(open_study(study)), name, check_role(role), login)
    _say(f"{person.name} is {person.role}" + (f", signs in as {person.login}" if person.login else ""))


@annotation_app.command("people")
def list_people(study: StudyArgument = None) -> None:
    """Everyone with a role."""
    from saebrain.annotation.database import the_database
    from saebrain.annotation.people import people

    table = Table("name", "role", "signs in as")
    for person in people(the_database(open_study(study))):
        table.add_row(escape(person.name), person.role, escape(person.login or ""))
    Console().print(table)


@annotation_app.command("publish")
def publish(study: StudyArgument = None, layer: LayerOption = None) -> None:
    """Let selections and encoding models use the labels that people have given so far."""
    from saebrain.pipeline.human_labels import publish as write

    opened = open_study(study, layer)
    _say(f"{write(opened):,} features have another label of people than before at layer {opened.layer}")


def _say(sentence: str) -> None:
    console.print(sentence, markup=False, highlight=False, soft_wrap=True)
