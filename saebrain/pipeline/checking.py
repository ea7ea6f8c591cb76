"""The import check of a SAE: on any text from the command line, and on a study's own hidden states before they are encoded."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from saebrain.activations import hidden_states
from saebrain.errors import InputError
from saebrain.models import LanguageModel, check_layers, load_model
from saebrain.pipeline.sae_source import sae_source
from saebrain.progress import OpenBar, Report
from saebrain.sae import formats
from saebrain.sae.base import SAE
from saebrain.sae.batches import NORM_LIMIT
from saebrain.sae.check import Verdict, check
from saebrain.sae.quality import Quality, measure, record
from saebrain.sae.splice import cross_entropy
from saebrain.shards import Shards
from saebrain.study import SHIPPED, SHIPPED_SCHEME, Study, resolve_shipped

WINDOW = 256
SAMPLE_TOKENS = 1024
"""Tokens on which other layers, scales and readings are tried."""
CE_TOKENS = 2048
"""Tokens on which the model is run three times over its full depth."""
GROUP_TOKENS = 4096
"""Tokens whose hidden states are held at a time."""
NEIGHBOURS = 2
QUALITY = "quality.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckPlan:
    """What to check, with which model and text; the fields are those of `saebrain sae check`."""

    sae: str
    model: str
    layer: int | None
    texts: Path | None
    tokens: int
    data: str
    input_scale: float | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Checked:
    """A verdict, where it was taken, and what text it was taken on."""

    verdict: Verdict
    model: str
    layer: int
    text: str
    weights_sha256: str

    @property
    def record(self) -> dict[str, Any]:
        """The content of quality.json."""
        about = {"model": self.model, "layer": self.layer, "weights_sha256": self.weights_sha256}
        return {**record(self.verdict.quality, text=self.text, ce=self.verdict.ce), **about, **judged(self.verdict)}


def judged(verdict: Verdict) -> dict[str, Any]:
    """The verdict itself, as quality.json holds it."""
    return {"check": {"status": verdict.status, "reasons": verdict.reasons, "remedies": verdict.remedies}}


def check_sae(plan: CheckPlan, progress: OpenBar) -> Checked:
    """Measure a SAE on hidden states of a model and judge it.

    Raises
    ------
    InputError
        If SAE, model or text cannot be read, the layer is unknown, or the widths differ.
    """
    sae = formats.read(source(plan.sae), input_scale=plan.input_scale)
    metadata = sae.metadata
    layer = plan.layer if plan.layer is not None else metadata.get("layer")
    if not isinstance(layer, int):
        raise InputError(f"SAE {plan.sae}: it does not say which layer it was made for; name one with --layer")
    paths = _texts(plan.texts or SHIPPED / "demo")
    model = load_model(plan.model, device=plan.device, prefix=str(metadata.get("prefix") or "auto"))
    check_layers(model, [layer])
    sae = sae.on(model.device)
    if sae.d_in != model.d_model:
        raise InputError(f"SAE {plan.sae}: made for width {sae.d_in}, but {model.name} has width {model.d_model}; name its model with --model")
    windows, documents = _windows(plan, paths, model, int(metadata.get("context_size") or WINDOW))
    states = _Reader(model, windows)
    nearby = [number for number in range(layer - NEIGHBOURS, layer + NEIGHBOURS + 1) if 0 <= number <= model.n_layers]
    sample = states.sample(nearby)
    limit = _limit(sae, sample[layer])
    with progress("Hidden states", "tokens") as report:
        quality = measure(sae, (ordinary(x, limit) for x in states.at(layer, report)))
    with progress("Cross-entropy", "tokens") as report:
        ce = cross_entropy(model, sae, _spread(windows, CE_TOKENS), layer, max_norm=limit, report=report)
    everywhere = range(model.n_layers + 1)
    left_out = 1 - quality.n_tokens / states.n_tokens
    verdict = check(sae, quality, sample, layer, ce=ce, left_out=left_out, further=lambda: states.sample(everywhere))
    return Checked(verdict, model.name, layer, documents, sae.metadata["weights_sha256"])


def quality_path(name: str) -> Path:
    """Where the quality of a SAE is written.

    Raises
    ------
    InputError
        If the SAE is no folder here.
    """
    folder = Path(source(name))
    if not folder.is_dir():
        raise InputError(f"SAE {name}: no folder on this machine to write {QUALITY} into; download it first, and name its folder")
    return folder / QUALITY


def source(name: str) -> str:
    """What `formats.read` takes for a SAE as people name it: ``shipped:`` stands for saebrain's ``data/``."""
    return str(resolve_shipped(name)) if name.startswith(SHIPPED_SCHEME) else name


def check_codes(study: Study, sae: SAE, quality: Quality, shards: Shards) -> dict[str, Any]:
    """Judge the study's SAE by its figures on the study's own text, without a pass of the model; returns what quality.json holds of it.

    Parameters
    ----------
    quality : Quality
        Of the SAE on this study's text.
    shards : Shards
        The study's hidden states.

    Raises
    ------
    InputError
        If the SAE does not fit and ``sae_check`` is "stop".
    """
    mode = study.config.sae_check
    if mode == "off":
        return {}
    layer, n_tokens = study.layer, sum(shards.index["shard_tokens"])
    every = max(1, n_tokens // SAMPLE_TOKENS)
    runs = range(shards.count)
    sample = {
        number: torch.from_numpy(np.concatenate([shards.read(number, run)[::every].astype(np.float32) for run in runs])).to(sae.b_dec.device)
        for number in shards.layers
    }
    verdict = check(sae, quality, sample, layer, left_out=1 - quality.n_tokens / n_tokens)
    if verdict.status == "mismatch":
        message = f"SAE {study.config.sae} does not fit the hidden states of layer {layer}. {verdict.sentence}"
        if mode == "stop":
            raise InputError(
                f"{message} Try other layers: python -m saebrain sae check {sae_source(study)} --model {study.config.model.source} "
                f'--layer {layer}; or go on all the same with sae_check = "warn" in study.toml'
            )
        _log.warning("%s", message)
    return judged(verdict)


def ordinary(x: Float[Tensor, "tokens d_in"], limit: float) -> Float[Tensor, "kept d_in"]:
    """The hidden states whose norm is at most the limit."""
    return x[x.norm(dim=1) <= limit]


class _Reader:
    """Hidden states of some windows of text, read when they are asked for."""

    def __init__(self, model: LanguageModel, windows: list[Int[np.ndarray, " tokens"]]) -> None:
        self.model, self.windows, self.n_tokens = model, windows, sum(map(len, windows))

    def at(self, layer: int, report: Report) -> Iterator[Float[Tensor, "tokens d_in"]]:
        """Those of one layer, group after group."""
        done = 0
        for group in _groups(self.windows):
            yield self._read(group, [layer])[layer]
            done += sum(map(len, group))
            report(done, self.n_tokens)

    def sample(self, layers: Sequence[int]) -> dict[int, Float[Tensor, "tokens d_in"]]:
        """Those of some layers for a small part of the text."""
        return self._read(_spread(self.windows, SAMPLE_TOKENS), layers)

    def _read(self, windows: list[Int[np.ndarray, " tokens"]], layers: Sequence[int]) -> dict[int, Float[Tensor, "tokens d_in"]]:
        longest = max(map(len, windows))
        found = hidden_states(self.model, windows, layers, window=longest, stride=longest)
        return {layer: torch.from_numpy(states).to(self.model.device) for layer, states in found.layers.items()}


def _limit(sae: SAE, x: Float[Tensor, "tokens d_in"]) -> float:
    """The norm above which a hidden state is left out: the SAE's own, or the one that training would have."""
    given = sae.metadata.get("max_norm")
    return float(given) if given is not None else NORM_LIMIT * float(x.norm(dim=1).median())


def _windows(plan: CheckPlan, paths: list[Path], model: LanguageModel, length: int) -> tuple[list[Int[np.ndarray, " tokens"]], str]:
    """The text in windows of at most ``length`` tokens, which do not overlap, and what it is, in a few words."""
    positions = getattr(model.network.config, "max_position_embeddings", None) or length + 1
    length = min(length, positions - 1)
    cut: list[Int[np.ndarray, " tokens"]] = []
    left, read = plan.tokens, 0
    for path in paths:
        if left < 2:
            break
        ids = np.array(model.tokenizer(path.read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"], np.int32)[:left]
        cut += [ids[at : at + length] for at in range(0, len(ids), length)]
        left, read = left - len(ids), read + 1
    if plan.tokens - left < 2:
        raise InputError(f"{plan.texts or SHIPPED / 'demo'}: {plan.tokens - left} tokens of text; give a longer one")
    if plan.data:
        return cut, plan.data
    count = f"{read} text" if read == 1 else f"{read} texts"
    return cut, "the demo's stories" if plan.texts is None else f"{count} in {plan.texts.name}" if plan.texts.is_dir() else plan.texts.name


def _texts(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    paths = sorted(source.glob("*.txt")) if source.is_dir() else []
    if not paths:
        raise InputError(f"{source}: no .txt files; give a text file or a folder with some")
    return paths


def _spread(windows: list[Int[np.ndarray, " tokens"]], tokens: int) -> list[Int[np.ndarray, " tokens"]]:
    """Windows from all over the text that have about so many tokens together."""
    count = min(len(windows), max(1, round(len(windows) * tokens / sum(map(len, windows)))))
    return [windows[number] for number in np.linspace(0, len(windows) - 1, count).round().astype(int)]


def _groups(windows: list[Int[np.ndarray, " tokens"]]) -> Iterator[list[Int[np.ndarray, " tokens"]]]:
    group: list[Int[np.ndarray, " tokens"]] = []
    for window in windows:
        group.append(window)
        if sum(map(len, group)) >= GROUP_TOKENS:
            yield group
            group = []
    if group:
        yield group
