"""What is known of the SAEs around a study: figures, on which text they were measured, and the course of training. Brings no torch."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from safetensors import SafetensorError, safe_open

from saebrain.errors import InputError
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.sae_figures import Measurement, Text, measurement, number, read_json, whole
from saebrain.pipeline.sae_source import sae_folder
from saebrain.pipeline.steps import is_done
from saebrain.sae.formats.layout import identify
from saebrain.store import read_table
from saebrain.study import SHIPPED, Study

QUALITY, LOG, CHECKPOINT = "quality.json", "training_log.parquet", "checkpoint.safetensors"
ARCHITECTURES = {
    "topk": "TopK",
    "batchtopk": "BatchTopK",
    "matryoshka_batchtopk": "Matryoshka",
    "jumprelu": "JumpReLU",
    "standard": "ReLU",
    "gated": "Gated",
    "groupmax": "GroupMax",
}
QUIET_S = 180.0
"""A run that has not written its log for so long is taken to have been stopped."""

State = Literal["finished", "training", "stopped"]


@dataclass(frozen=True)
class KnownSAE:
    """One SAE: what its folder says of it.

    key : its name in an address, different for each. label : its name for people.
    own : whether the study uses it. problem : why its folder cannot be read, if it cannot.
    """

    key: str
    label: str
    folder: Path
    state: State
    own: bool
    layer: int | None
    architecture: str | None
    n_features: int | None
    k: float | None
    model: str | None
    measured: tuple[Measurement, ...]
    problem: str | None = None

    @property
    def kind(self) -> str:
        """Its architecture as people write it; "SAE" if unknown."""
        return ARCHITECTURES.get(self.architecture or "", self.architecture or "SAE")

    def on(self, text: Text) -> Measurement | None:
        """Its figures on one kind of text."""
        return next((found for found in self.measured if found.of == text), None)


@dataclass(frozen=True)
class Progress:
    """How far a training run is: steps done, all steps (None if unknown), tokens seen, tokens a second, and seconds since its last word."""

    done: int
    total: int | None
    tokens: int
    tokens_per_s: float
    quiet_s: float

    @property
    def left_s(self) -> float | None:
        """Seconds that are left at the present rate."""
        if self.total is None or not self.tokens_per_s or not self.done:
            return None
        return (self.total - self.done) * (self.tokens / self.done) / self.tokens_per_s


def known_saes(study: Study) -> list[KnownSAE]:
    """The study's own SAEs, those that are shipped for its model, and those of ``sae_folders``; by layer, runs in progress last."""
    own = {sae_folder(study.at(layer)).resolve(): layer for layer in study.layers}
    found = [replace(_read(folder), own=True, layer=layer) for folder, layer in own.items()]
    found = [replace(sae, measured=(*sae.measured, *_on_study(study.at(sae.layer)))) for sae in found if sae.layer is not None]
    model = _model(study) or next((sae.model for sae in found if sae.model), None)
    shipped = [_read(path.parent) for path in sorted((SHIPPED / "sae").glob("*/*/cfg.json")) if path.parent.resolve() not in own]
    found += [sae for sae in shipped if sae.model == model]
    seen = {sae.folder.resolve() for sae in found}
    for folder in _further(study):
        if folder.resolve() not in seen:
            seen.add(folder.resolve())
            found.append(_read(folder))
    return _named(sorted(found, key=lambda sae: (sae.layer is None, sae.layer or 0, not sae.own, sae.folder.name)))


def training_log(folder: Path) -> pd.DataFrame | None:
    """The course of training, a row a logged step: step, tokens and what was measured. None if there is none.

    Raises
    ------
    InputError
        If it is damaged.
    """
    if not (folder / LOG).is_file():
        return None
    return read_table(folder / LOG, "python -m saebrain sae train")


def progress(sae: KnownSAE) -> Progress | None:
    """How far a run that is not finished is; None if it has logged nothing yet."""
    log = training_log(sae.folder)
    if log is None or log.empty:
        return None
    last = log.iloc[-1]
    return Progress(int(last["step"]) + 1, whole(_run(sae.folder).get("steps")), int(last["tokens"]), float(last["tokens_per_s"]), _quiet(sae.folder))


def state_of(folder: Path) -> State:
    """Whether a folder's SAE is finished, in training, or was left unfinished."""
    try:
        finished = identify(folder).weights.is_file()
    except InputError:
        finished = False
    if finished:
        return "finished"
    return "training" if _quiet(folder) < QUIET_S else "stopped"


def _read(folder: Path) -> KnownSAE:
    """What a folder says of its SAE; what is missing or damaged in it is left out."""
    problem, config = None, _run(folder)
    try:
        config = dict(identify(folder).fields().values)
    except InputError as error:
        problem = None if (folder / LOG).is_file() else str(error)
    metadata = config["metadata"] if isinstance(config.get("metadata"), dict) else {}
    known = {**config, **metadata}
    measured = tuple(_measured(read_json(folder / QUALITY), metadata))
    layer, architecture, model = known.get("layer"), known.get("architecture"), known.get("model_name")
    features = next(filter(None, (whole(known.get(name)) for name in ("d_sae", "num_latents", "dict_size", "n_features"))), None)
    return KnownSAE(
        key=folder.name,
        label=folder.name,
        folder=folder,
        state=state_of(folder),
        own=False,
        layer=whole(layer, zero=True),
        architecture=None if architecture is None else str(architecture),
        n_features=features or _features_of(measured),
        k=number(known.get("k")),
        model=None if model is None else str(model),
        measured=measured,
        problem=problem,
    )


def _measured(quality: dict[str, Any], metadata: dict[str, Any]) -> Iterator[Measurement]:
    """The figures that a SAE's own folder holds: measured here, else in training; and what its makers give."""
    if quality:
        yield measurement("other", quality, quality.get("text") or "unknown text")
    elif isinstance(held_out := metadata.get("held_out"), dict):
        yield measurement("other", held_out, "documents held out of its training texts")
    if isinstance(claims := metadata.get("claims"), dict) and claims:
        yield measurement("claimed", claims, "what its makers give")


def _on_study(study: Study) -> Iterator[Measurement]:
    """The figures on the study's own text, at its layer, once the codes are there."""
    found = read_json(study.features / QUALITY)
    if found:
        older = "" if is_done(study, STEPS["codes"], STEPS) else " (out of date)"
        yield measurement("study", found, f"this study's text: {', '.join(study.run_names)}{older}")


def _features_of(measured: tuple[Measurement, ...]) -> int | None:
    densities = [found.density for found in measured if found.density]
    return sum(densities[0]["counts"]) + densities[0]["never"] if densities else None


def _further(study: Study) -> Iterator[Path]:
    """The folders of ``sae_folders``: each is that of a SAE or of a run, or holds some."""
    for name in study.config.sae_folders:
        folder = study.resolve(name)
        inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and _holds_sae(path)] if folder.is_dir() else []
        yield from [folder] if _holds_sae(folder) or not inside else inside


def _holds_sae(folder: Path) -> bool:
    if (folder / LOG).is_file():
        return True
    try:
        return identify(folder).weights.is_file()
    except InputError:
        return False


def _model(study: Study) -> str | None:
    """Name of the study's model, once it has been read."""
    name = read_json(study.activations / "index.json").get("model")
    return None if name is None else str(name)


def _named(saes: list[KnownSAE]) -> list[KnownSAE]:
    """Give every SAE a key and a label of its own: no more in the label than tells them apart."""

    def full(sae: KnownSAE) -> str:
        size = "" if sae.n_features is None else f" {sae.n_features:,}"
        return f"layer {sae.layer} · {sae.kind}{size}"

    layers, kinds = Counter(sae.layer for sae in saes), Counter(map(full, saes))
    again: Counter[str] = Counter()
    named = []
    for sae in saes:
        again[sae.folder.name] += 1
        name = sae.folder.name if again[sae.folder.name] == 1 else f"{sae.folder.name}~{again[sae.folder.name]}"
        if sae.layer is None:
            label = name
        elif layers[sae.layer] == 1:
            label = f"layer {sae.layer}"
        else:
            label = full(sae) if kinds[full(sae)] == 1 else f"layer {sae.layer} · {name}"
        named.append(replace(sae, key=name.replace(",", "_"), label=label))
    return named


def _run(folder: Path) -> dict[str, Any]:
    """What a run in progress is, as its checkpoint tells: its settings and its layer. Empty until there is one."""
    try:
        with safe_open(folder / CHECKPOINT, "np") as file:
            run = json.loads((file.metadata() or {})["run"])
    except (SafetensorError, OSError, ValueError, KeyError):
        return {}
    config = run.get("config") if isinstance(run, dict) else None
    return {**config, "layer": run.get("layer")} if isinstance(config, dict) else {}


def _quiet(folder: Path) -> float:
    """Seconds since the log was written last."""
    try:
        return max(0.0, time.time() - (folder / LOG).stat().st_mtime)
    except OSError:
        return float("inf")
