"""Activations of a large corpus on disk: shards of float16 rows, one folder a layer, resumable shard by shard.

::

    index.json            what was read, how, and how many shards there will be
    tokens/00000.npy      int32 (tokens,) token ids
    layer_15/00000.npy    float16 (tokens, d_model)
    surprisal/00000.npy   float32 (tokens,) bits; only if the full depth was run
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from saebrain.activations import hidden_states
from saebrain.arrays import read_array, write_array
from saebrain.atomic import write_json
from saebrain.errors import InputError
from saebrain.models import LanguageModel, check_layers, check_window
from saebrain.progress import Report, silent

SHARD_TOKENS = 65_536


@dataclass(frozen=True)
class Shards:
    """A folder of activation shards, opened for reading."""

    folder: Path
    index: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Shards:
        """Open a complete folder.

        Raises
        ------
        InputError
            If the folder has no index, a damaged one, or lacks a shard.
        """
        index = _read_index(folder)
        if not index:
            raise InputError(f"{folder}: no index.json, so no activations; run: python -m saebrain activations")
        shards = cls(folder, index)
        missing = [n for n in range(shards.count) if not shards.complete(n)]
        if missing:
            raise InputError(f"{folder}: {len(missing)} of {shards.count} shards missing; run the same `activations` command again to resume")
        return shards

    @property
    def layers(self) -> list[int]:
        return list(self.index["layers"])

    @property
    def count(self) -> int:
        return len(self.index["shard_tokens"])

    @property
    def d_model(self) -> int:
        return int(self.index["d_model"])

    def path(self, layer: int, number: int) -> Path:
        return self.folder / f"layer_{layer:02d}" / f"{number:05d}.npy"

    def read(self, layer: int, number: int) -> Float[np.ndarray, "tokens d_model"]:
        """One shard of one layer as a read-only memory map, float16."""
        return _load(self.path(layer, number), mapped=True)

    def tokens(self, number: int) -> Int[np.ndarray, " tokens"]:
        """Token ids of one shard."""
        return _load(self._beside("tokens", number))

    def surprisal(self, number: int) -> Float[np.ndarray, " tokens"]:
        """Surprisal of the tokens of one shard, in bits."""
        return _load(self._beside("surprisal", number))

    def complete(self, number: int) -> bool:
        """Whether all of one shard has been written; its token ids come last."""
        beside = ["tokens", *(["surprisal"] if self.index.get("surprisal") else [])]
        needed = [*(self._beside(kind, number) for kind in beside), *(self.path(layer, number) for layer in self.layers)]
        return all(path.is_file() for path in needed)

    def _beside(self, kind: str, number: int) -> Path:
        return self.folder / kind / f"{number:05d}.npy"


def collect(
    model: LanguageModel,
    documents: Sequence[Int[np.ndarray, " tokens"]],
    layers: Sequence[int],
    folder: Path,
    *,
    window: int = 256,
    stride: int | None = None,
    batch_tokens: int = 4096,
    surprisal: bool = False,
    shard_tokens: int = SHARD_TOKENS,
    provenance: dict[str, Any] | None = None,
    replace: bool = False,
    report: Report = silent,
) -> Shards:
    """Read documents and write their hidden states shard by shard.

    Shards that are already there are kept, so a killed run goes on where it stopped. A shard is closed after the
    document that brings it to ``shard_tokens``; with 1, every document is its own shard.

    Parameters
    ----------
    stride : int, optional
        See :mod:`saebrain.activations`; by default windows do not overlap.
    provenance : dict, optional
        What else the activations depend on, JSON values; goes into index.json.
    replace : bool
        Remove activations of something else that ``folder`` holds, instead of refusing.

    Raises
    ------
    InputError
        If ``folder`` holds activations of something else, the model has no such layer or too few positions, or a state
        does not fit float16.
    """
    check_layers(model, layers)
    stride = stride or window
    check_window(model, window)
    groups = list(_groups(documents, shard_tokens))
    index = {
        **(provenance or {}),
        "model": model.name,
        "d_model": model.d_model,
        "layers": sorted(layers),
        "window": window,
        "stride": stride,
        "prefix_id": model.prefix_id,
        "surprisal": surprisal,
        "shard_tokens": [sum(len(document) for document in group) for group in groups],
    }
    _claim(folder, index, replace=replace)
    shards = Shards(folder, index)
    total = sum(index["shard_tokens"])
    done = 0
    for number, group in enumerate(groups):
        if not shards.complete(number):
            states = hidden_states(
                model,
                group,
                layers,
                window=window,
                stride=stride,
                batch_tokens=batch_tokens,
                surprisal=surprisal,
                report=_onward(report, done, total),
            )
            for layer in layers:
                write_array(shards.path(layer, number), _half(states.layers[layer], layer))
            if states.surprisal is not None:
                write_array(shards._beside("surprisal", number), states.surprisal)
            write_array(shards._beside("tokens", number), np.concatenate(group).astype(np.int32))
        done += index["shard_tokens"][number]
        report(done, total)
    return shards


def _onward(report: Report, before: int, total: int) -> Report:
    """Progress of one shard as progress of all."""
    return lambda done, _: report(before + done, total)


def _claim(folder: Path, index: dict[str, Any], *, replace: bool) -> None:
    held = _read_index(folder)
    if held and held != index:
        if not replace:
            raise InputError(f"{folder}: holds activations of another model, corpus or setting; choose another folder or remove it")
        for path in folder.glob("*/[0-9]*.npy"):
            path.unlink()
    write_json(folder / "index.json", index)


def _read_index(folder: Path) -> dict[str, Any]:
    """What the folder holds; empty if there is no index."""
    path = folder / "index.json"
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); remove the folder and run the same command again") from error


def _load(path: Path, *, mapped: bool = False) -> np.ndarray:
    try:
        return read_array(path, mapped=mapped)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); remove it and run the same `activations` command again") from error


def _groups(documents: Sequence[Int[np.ndarray, " tokens"]], shard_tokens: int) -> Iterator[list[Int[np.ndarray, " tokens"]]]:
    group: list[Int[np.ndarray, " tokens"]] = []
    for document in documents:
        group.append(document)
        if sum(map(len, group)) >= shard_tokens:
            yield group
            group = []
    if group:
        yield group


def _half(states: Float[np.ndarray, "tokens d_model"], layer: int) -> Float[np.ndarray, "tokens d_model"]:
    largest = float(np.abs(states).max(initial=0.0))
    if not largest <= float(np.finfo(np.float16).max):
        raise InputError(f"layer {layer}: a hidden state of {largest:.3g} does not fit float16; choose another layer or prefix token")
    return states.astype(np.float16)
