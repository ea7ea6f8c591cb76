"""From a folder of texts to a trained SAE with its model card."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from saebrain.atomic import replacing
from saebrain.errors import InputError
from saebrain.models import check_layers, load_model
from saebrain.progress import OpenBar
from saebrain.sae import formats
from saebrain.sae.batches import in_order, norm_limit, shuffled, split
from saebrain.sae.quality import measure
from saebrain.sae.train import LogRow, TrainConfig, train
from saebrain.shards import Shards, collect
from saebrain.store import write_table

BATCH = 2048
WINDOW = 256
SAMPLE = 16_384
SHORTEST_DOCUMENT = 32


@dataclass(frozen=True)
class TrainingPlan:
    """What to train, on what; the fields are those of `saebrain sae train`."""

    texts: Path
    output: Path
    model: str
    layer: int
    prefix: str
    tokens: int
    epochs: float
    features: int
    k: int
    cache: Path
    seed: int
    data: str


def train_on_texts(plan: TrainingPlan, progress: OpenBar) -> dict[str, Any]:
    """Read the texts, train, measure on held-out documents, and write the SAE with its card and training log.

    Returns
    -------
    dict
        The metadata that is written into cfg.json.

    Raises
    ------
    InputError
        If there are too few texts, the model has no such layer, or the cache holds something else.
    """
    if (plan.output / formats.CONFIG).exists():
        raise InputError(f"{plan.output}: already holds a SAE; choose another folder or remove it")
    shards, documents = _hidden_states(plan, progress)
    training, held_out = split(shards)
    limit = norm_limit(shards, plan.layer)
    n_tokens = sum(shards.index["shard_tokens"][n] for n in training)
    config = TrainConfig(n_features=plan.features, k=plan.k, steps=max(1, round(plan.epochs * n_tokens / BATCH)), seed=plan.seed)
    batches = shuffled(shards, plan.layer, training, batch=BATCH, seed=plan.seed, max_norm=limit)
    sample = next(shuffled(shards, plan.layer, training, batch=min(SAMPLE, n_tokens // 2), seed=plan.seed + 1, max_norm=limit))
    log: list[LogRow] = []
    with progress("Training", "steps") as report:
        sae = train(batches, sample, config, log=log.append, report=report)
    quality = measure(sae, in_order(shards, plan.layer, held_out, max_norm=limit))
    metadata = {
        "model_name": shards.index["model"],
        "hook_name": f"blocks.{plan.layer - 1}.hook_resid_post" if plan.layer else "hook_embed",
        "layer": plan.layer,
        "prefix": plan.prefix,
        "prepend_bos": True,
        "context_size": WINDOW,
        "units": "hidden states as the model computes them; decoder rows of unit norm",
        "max_norm": limit,
        "data": plan.data or plan.texts.name,
        "documents": documents,
        "tokens": n_tokens,
        "training_fvu": log[-1].fvu,
        "held_out": vars(quality),
        **sae.metadata,
    }
    formats.write(replace(sae, metadata=metadata), plan.output)
    write_table(plan.output / "training_log.parquet", pd.DataFrame([asdict(row) for row in log]))
    with replacing(plan.output / "README.md") as temporary:
        temporary.write_text(card(metadata, config), encoding="utf-8")
    return metadata


def _hidden_states(plan: TrainingPlan, progress: OpenBar) -> tuple[Shards, int]:
    model = load_model(plan.model, prefix=plan.prefix)
    check_layers(model, [plan.layer])
    documents = _documents(plan, model.tokenizer)
    total = sum(map(len, documents))
    provenance = {"corpus": hashlib.sha256(b"".join(document.tobytes() for document in documents)).hexdigest()[:16]}
    with progress("Hidden states", "tokens") as report:
        report(0, total)
        return collect(model, documents, [plan.layer], plan.cache, window=WINDOW, provenance=provenance, report=report), len(documents)


def _documents(plan: TrainingPlan, tokenizer: Any) -> list[Int[np.ndarray, " tokens"]]:
    """Token ids of the texts in a seeded random order, until there are enough tokens."""
    paths = sorted(plan.texts.glob("*.txt")) if plan.texts.is_dir() else []
    if not paths:
        raise InputError(f"{plan.texts}: no .txt files; give a folder with one text a file")
    documents: list[Int[np.ndarray, " tokens"]] = []
    total = 0
    for number in np.random.default_rng(plan.seed).permutation(len(paths)):
        ids = np.array(tokenizer(paths[number].read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"], np.int32)
        if len(ids) < SHORTEST_DOCUMENT:
            continue
        documents.append(ids)
        total += len(ids)
        if total >= plan.tokens:
            break
    return documents


def card(metadata: dict[str, Any], config: TrainConfig) -> str:
    """The model card, in Markdown."""
    quality = metadata["held_out"]
    seen = metadata["training_tokens"]
    return f"""# Sparse autoencoder of {metadata["model_name"]}, layer {metadata["layer"]}

| | |
| --- | --- |
| hook point | residual stream after block {metadata["layer"]} of the model (`{metadata["hook_name"]}`) |
| architecture | TopK, {config.n_features:,} features, k = {config.k} |
| data | {metadata["data"]} |
| tokens | {metadata["tokens"]:,} from {metadata["documents"]:,} documents; {seen / 1e6:.1f} million seen ({seen / metadata["tokens"]:.1f} passes) |
| training loss | {metadata["training_fvu"]:.3f}, as the fraction of variance unexplained (FVU) of the last batch |
| FVU | {quality["fvu"]:.3f} on held-out documents |
| L0 | {quality["l0"]:.1f} active features a token |
| dead features | {quality["dead_fraction"]:.2%} active on none of the {quality["n_tokens"]:,} held-out tokens |
| units | {metadata["units"]} |

Windows of {metadata["context_size"]} tokens open with `{metadata["prefix"]}`; tokens whose hidden state has a norm above {metadata["max_norm"]:.0f}
(eight times the median) were left out, and get no codes. FVU is sum |x - x_hat|^2 / sum |x - mean x|^2 over all held-out tokens at once.
Written by `python -m saebrain sae train`; the settings are in `cfg.json` under `metadata`, the course of training in `training_log.parquet`.
"""
