"""From a folder of texts, or of hidden states, to trained SAEs with their model cards."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from saebrain.atomic import replacing, write_json
from saebrain.errors import InputError
from saebrain.models import check_layers, load_model, resolve_device
from saebrain.pipeline.model_card import card
from saebrain.progress import OpenBar
from saebrain.sae import formats
from saebrain.sae.base import SAE
from saebrain.sae.batches import in_order, norm_limit, sample, shuffled, split
from saebrain.sae.quality import measure, record
from saebrain.sae.training.checkpoint import CHECKPOINT, Checkpoints
from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.log import LOG, TrainingLog
from saebrain.sae.training.loop import train
from saebrain.shards import SHARD_TOKENS, Shards, collect

WINDOW = 256
SHORTEST_DOCUMENT = 32
LOG_EVERY = 10
"""Steps between rows of the training log."""


@dataclass(frozen=True)
class TrainingPlan:
    """What to train, on what; the fields are those of `saebrain sae train`.

    texts : folder of .txt files, or of activation shards. output : the SAE's folder; with several layers, of theirs.
    config : its ``steps`` count for nothing, they follow from ``epochs``. checkpoint_s : seconds between checkpoints.
    """

    texts: Path
    output: Path
    model: str
    layers: tuple[int, ...]
    prefix: str
    tokens: int
    epochs: float
    config: TrainConfig
    cache: Path
    data: str
    device: str = "auto"
    checkpoint_s: float = 300.0

    def folder(self, layer: int) -> Path:
        """Where a layer's SAE goes."""
        return self.output if len(self.layers) == 1 else self.output / f"layer_{layer:02d}"


@dataclass(frozen=True)
class _Source:
    """Hidden states to train on, and what is known of the text they are of."""

    shards: Shards
    prefix: str
    documents: int | None
    data: str


def train_on_texts(plan: TrainingPlan, progress: OpenBar) -> list[dict[str, Any]]:
    """Read the texts once, then for one layer after another train, measure on held-out documents, and write the SAE with its card.

    A run that was killed goes on where it stopped when it is started again: hidden states that were written are kept,
    finished layers passed over, and the layer in training goes on from its checkpoint.

    Returns
    -------
    list of dict
        The metadata that are written into cfg.json, layer by layer.

    Raises
    ------
    InputError
        If there are too few texts, the model has no such layer, the cache holds something else, or an output folder holds
        a SAE already, or a run with other settings.
    """
    if not plan.layers or len(set(plan.layers)) < len(plan.layers):
        raise InputError(f"layers {list(plan.layers)}: name each layer once, and one at least")
    if all(_finished(plan.folder(layer)) for layer in plan.layers):
        raise InputError(f"{plan.output}: already holds a SAE; choose another folder or remove it")
    source = _source(plan, progress)
    return [_train_layer(plan, layer, source, progress) for layer in plan.layers]


def _finished(folder: Path) -> bool:
    return (folder / formats.CONFIG).exists()


def _train_layer(plan: TrainingPlan, layer: int, source: _Source, progress: OpenBar) -> dict[str, Any]:
    shards, folder, device = source.shards, plan.folder(layer), resolve_device(plan.device)
    training, held_out = split(shards)
    n_tokens = sum(shards.index["shard_tokens"][n] for n in training)
    config = replace(plan.config, steps=max(1, round(plan.epochs * n_tokens / plan.config.batch)))
    limit = norm_limit(shards, layer)
    # What the run is; JSON, as it comes back from a file.
    run = json.loads(json.dumps({"config": asdict(config), "activations": _fingerprint(shards), "layer": layer}))
    if _finished(folder):
        return _as_before(folder, run)
    batches = shuffled(shards, layer, training, batch=config.batch, seed=config.seed, max_norm=limit, device=str(device))
    log = TrainingLog(folder / LOG)
    checkpoints = Checkpoints(folder / CHECKPOINT, run, every_s=plan.checkpoint_s, before=log.write)
    with progress(f"Training layer {layer}", "steps") as report:
        first = sample(shards, layer, training, seed=config.seed, max_norm=limit)
        sae = train(batches, first, config, device=device, log=log.append, log_every=LOG_EVERY, report=report, checkpoints=checkpoints)
    log.write()
    on_device = sae.on(device)
    quality = measure(on_device, (x.to(device) for x in in_order(shards, layer, held_out, max_norm=limit)))
    metadata = {
        "model_name": shards.index["model"],
        "hook_name": f"blocks.{layer - 1}.hook_resid_post" if layer else "hook_embed",
        "layer": layer,
        "prefix": source.prefix,
        "prepend_bos": True,
        "context_size": shards.index["window"],
        "units": "hidden states as the model computes them; decoder rows of unit norm",
        "max_norm": limit,
        "data": source.data,
        "documents": source.documents,
        "tokens": n_tokens,
        "training_fvu": log.rows[-1].fvu,
        "held_out": {name: value for name, value in vars(quality).items() if name != "density"},
        **sae.metadata,
        "run": run,
    }
    text = f"documents held out of its training texts ({source.data})"
    _write(replace(sae, metadata=metadata), folder, record(quality, text=text), card(metadata, config))
    checkpoints.remove()
    return metadata


def _write(sae: SAE, folder: Path, quality: dict[str, Any], readme: str) -> None:
    """The config last, so that a folder that has it is complete."""
    write_json(folder / "quality.json", quality)
    with replacing(folder / "README.md") as temporary:
        temporary.write_text(readme, encoding="utf-8")
    formats.write(sae, folder)


def _as_before(folder: Path, run: dict[str, Any]) -> dict[str, Any]:
    """Metadata of a layer that an earlier sitting of this run has finished."""
    metadata = formats.read_config(folder)["metadata"]
    if metadata.get("run") != run:
        raise InputError(f"{folder}: holds a SAE that was trained with other settings or texts; choose another folder or remove it")
    return dict(metadata)


def _fingerprint(shards: Shards) -> str:
    """Of the hidden states: they are the same if model, texts and windows are."""
    return hashlib.sha256(json.dumps(shards.index, sort_keys=True).encode()).hexdigest()[:16]


def _source(plan: TrainingPlan, progress: OpenBar) -> _Source:
    data = plan.data or plan.texts.resolve().name
    if (plan.texts / "index.json").is_file():
        shards = Shards.open(plan.texts)
        if missing := sorted(set(plan.layers) - set(shards.layers)):
            raise InputError(f"{plan.texts}: holds layers {shards.layers}, not {missing}; name other layers, or collect these")
        return _Source(shards, plan.prefix, shards.index.get("documents"), data)
    model = load_model(plan.model, device=plan.device, prefix=plan.prefix)
    check_layers(model, plan.layers)
    documents = _documents(plan, model.tokenizer)
    total = sum(map(len, documents))
    provenance = {"corpus": hashlib.sha256(b"".join(document.tobytes() for document in documents)).hexdigest()[:16]}
    with progress("Hidden states", "tokens") as report:
        report(0, total)
        options: dict[str, Any] = {"window": WINDOW, "shard_tokens": SHARD_TOKENS, "provenance": provenance, "report": report}
        shards = collect(model, documents, plan.layers, plan.cache, **options)
    return _Source(shards, str(model.tokenizer.convert_ids_to_tokens(model.prefix_id)), len(documents), data)


def _documents(plan: TrainingPlan, tokenizer: Any) -> list[Int[np.ndarray, " tokens"]]:
    """Token ids of the texts in a seeded random order, until there are enough tokens."""
    paths = sorted(plan.texts.glob("*.txt")) if plan.texts.is_dir() else []
    if not paths:
        raise InputError(f"{plan.texts}: no .txt files; give a folder with one text a file, or a folder of activation shards")
    documents: list[Int[np.ndarray, " tokens"]] = []
    total = 0
    for number in np.random.default_rng(plan.config.seed).permutation(len(paths)):
        ids = np.array(tokenizer(paths[number].read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"], np.int32)
        if len(ids) < SHORTEST_DOCUMENT:
            continue
        documents.append(ids)
        total += len(ids)
        if total >= plan.tokens:
            break
    return documents


def training_config(*, precision: str, device: str, **settings: Any) -> TrainConfig:
    """Settings as they stand on a command line; ``precision`` "auto" is half on a GPU, where its products are many times faster.

    Raises
    ------
    InputError
        If one is out of range.
    """
    if precision == "auto":
        precision = "float32" if resolve_device(device) == torch.device("cpu") else "bfloat16"
    settings["precision"] = precision
    return TrainConfig(**settings)
