"""Item-level encoding from a table of texts to figures: hidden states and SAE codes of several layers against every target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import sparse

from saebrain.activations import States, hidden_states
from saebrain.errors import InputError
from saebrain.items.evaluate import Fitted, Sample
from saebrain.items.folds import Folds, Split
from saebrain.items.kernels import linear, side_by_side
from saebrain.items.pooling import Recipe
from saebrain.items.ridge import PENALTIES, KernelOf
from saebrain.items.table import Items
from saebrain.models import LanguageModel, check_layers, load_model
from saebrain.pipeline.checking import source
from saebrain.progress import OpenBar
from saebrain.sae import formats
from saebrain.sae.base import SAE
from saebrain.study import SHIPPED

TOKENS_AT_ONCE = 4096
# The logits over a whole vocabulary are the largest array of the pass; a processor is fastest while they fit its cache.
CPU_BATCH_TOKENS = 512
AUTO = "auto"
SCORE = "Pearson's r within each held-out fold, mean over folds"


@dataclass(frozen=True)
class ItemsPlan:
    """What to predict, from what, and how; the options of `saebrain encode-items`.

    prefix : token that opens every text; ``auto`` is the one that the SAEs were trained with, else the model's own.
    layers : layers to read; none for those of the SAEs.
    saes : SAE folders, at most one a layer; none for those that ship for this model.
    recipes : by representation (dense, sae, surprisal), the ways of pooling to choose from within the training folds.
    scale : divide every feature by its standard deviation over the training items.
    """

    items: Items
    model: str
    prefix: str
    device: str
    layers: list[int]
    saes: list[str]
    recipes: dict[str, list[Recipe]]
    folds: Folds
    scale: bool
    draws: int


def encode_items(plan: ItemsPlan, progress: OpenBar) -> dict[str, Any]:
    """Predict every target from hidden states and from SAE codes of every layer, from surprisal and from length.

    Returns
    -------
    dict
        As docs/items.md says, for JSON.

    Raises
    ------
    InputError
        If model or SAEs cannot be read or do not fit each other, or there are too few items for the folds.
    """
    items = plan.items
    splits = plan.folds.divide(items.groups)
    model = load_model(plan.model, device=plan.device)
    saes = _saes(plan, model)
    layers = sorted(set(plan.layers or saes))
    check_layers(model, layers)
    model = _opened(model, plan.prefix, saes)
    ids = _tokens(model, items.texts)
    with progress("Hidden states", "tokens") as report:
        batch_tokens = CPU_BATCH_TOKENS if model.device.type == "cpu" else TOKENS_AT_ONCE
        states = hidden_states(model, ids, layers, surprisal=True, batch_tokens=batch_tokens, report=report)
    fitter = _Fitter(plan, splits, np.array([len(tokens) for tokens in ids]), progress)
    common = fitter.common(states)
    by_layer = {layer: {**fitter.layer(layer, states.layers[layer], saes.get(layer)), **common} for layer in layers}
    figures = {}
    for column, target in enumerate(items.targets):
        sample = Sample(items.y[:, column], column, splits, items.groups, plan.draws, plan.folds.seed)
        figures[target] = {"layers": {str(layer): sample.figures(fitted) for layer, fitted in by_layer.items()}}
    return {
        "model": model.name,
        "n_items": len(items.texts),
        "n_groups": len(np.unique(items.groups)),
        "n_dropped": items.dropped,
        "n_tokens": sum(map(len, ids)),
        "target": items.targets[0],
        "layers": figures[items.targets[0]]["layers"],
        "targets": figures,
        "sae": {str(layer): _described(saes[layer]) for layer in layers if layer in saes},
        "folds": vars(plan.folds),
        "bootstrap": {"draws": plan.draws, "level": 0.95, "seed": plan.folds.seed},
        "score": SCORE,
        "scaled": plan.scale,
        "penalties": list(PENALTIES),
    }


@dataclass(frozen=True)
class _Fitter:
    """Fits representations of the same items on the same splits."""

    plan: ItemsPlan
    splits: list[Split]
    lengths: Int[np.ndarray, " items"]
    progress: OpenBar

    def common(self, states: States) -> dict[str, Fitted]:
        """Surprisal, and length in tokens, words and characters (in units of their deviations, as they have none in common)."""
        texts = self.plan.items.texts
        length = np.array([[n, len(text.split()), len(text)] for n, text in zip(self.lengths, texts, strict=True)], float)
        bits = np.asarray(states.surprisal, np.float64)[:, None]
        return {
            "surprisal": self._fit("surprisal", lambda recipe: recipe.states(bits, self.lengths)),
            "length": self._fit("length", lambda recipe: [length], scale=True),
        }

    def layer(self, number: int, x: Float[np.ndarray, "tokens d_model"], sae: SAE | None) -> dict[str, Fitted]:
        """Hidden states and, if the layer has a SAE, its codes: both of the same tokens, those within the SAE's norm limit."""
        kept = _ordinary(x, sae)
        item = np.repeat(np.arange(len(self.lengths)), self.lengths)
        lengths = np.bincount(item[kept], minlength=len(self.lengths))
        if not lengths.all():
            text = self.plan.items.texts[int(lengths.argmin())]
            raise InputError(
                f"text {text[:40]!r}: no token of it has an ordinary hidden state in layer {number} (its norm is above the SAE's max_norm); "
                "leave the text out, or choose another layer"
            )
        found = {"dense": self._fit("dense", lambda recipe: recipe.states(x[kept], lengths), f"Layer {number}, dense")}
        if sae is not None:
            codes = _codes(sae, x[kept])
            found["sae"] = self._fit("sae", lambda recipe: recipe.codes(codes, lengths), f"Layer {number}, SAE")
        return found

    def _fit(self, name: str, features: Callable[[Recipe], list[Any]], title: str = "", *, scale: bool = False) -> Fitted:
        candidates: dict[Recipe, KernelOf] = {}
        for recipe in self.plan.recipes.get(name, [Recipe(("sum",))]):
            candidates[recipe] = side_by_side([linear(part, scale=scale or self.plan.scale) for part in features(recipe)])
        with self.progress(title or name.capitalize(), "divisions") as report:
            return Fitted.of(candidates, self.plan.items.y, self.splits, report)


def _saes(plan: ItemsPlan, model: LanguageModel) -> dict[int, SAE]:
    """The SAEs by layer: those named, else those that ship for this model; only layers that are asked for."""
    found: dict[int, SAE] = {}
    for name in plan.saes:
        sae = formats.read(source(name))
        layer = sae.metadata.get("layer")
        if layer is None and len(set(plan.layers)) == len(plan.saes) == 1:
            layer = plan.layers[0]
        if not isinstance(layer, int):
            raise InputError(f"SAE {name}: it does not say which layer it was made for; give this one alone, with --layer")
        if layer in found:
            raise InputError(f"SAE {name}: a second one for layer {layer}; compare SAEs of one layer in runs of their own")
        if plan.layers and layer not in plan.layers:
            raise InputError(f"SAE {name}: made for layer {layer}, but the layers asked for are {plan.layers}; add --layer {layer} or leave it out")
        found[layer] = sae
    if not plan.saes:
        found = {layer: sae for layer, sae in _shipped(model.name).items() if not plan.layers or layer in plan.layers}
    if not found and not plan.layers:
        raise InputError(f"no SAE ships for model {model.name!r}; name SAEs of its layers with --sae FOLDER, or layers with --layer")
    for layer, sae in found.items():
        if sae.d_in != model.d_model:
            raise InputError(
                f"SAE of layer {layer}: made for width {sae.d_in}, but {model.name} has width {model.d_model}; choose another SAE or model"
            )
    return {layer: sae.on(model.device) for layer, sae in found.items()}


def _shipped(name: str) -> dict[int, SAE]:
    """The SAEs under data/sae that were made for a model of this name."""
    folders = [path.parent for path in sorted((SHIPPED / "sae").glob(f"*/*/{formats.CONFIG}"))]
    of_model = [folder for folder in folders if formats.read_config(folder).get("metadata", {}).get("model_name") == name]
    return {int(sae.metadata["layer"]): sae for sae in map(formats.read, of_model)}


def _opened(model: LanguageModel, prefix: str, saes: dict[int, SAE]) -> LanguageModel:
    """The model with the prefix token asked for, or the one that its SAEs were trained with."""
    if prefix == AUTO:
        recorded = {str(sae.metadata.get("prefix") or AUTO) for sae in saes.values()} or {AUTO}
        if len(recorded) > 1:
            raise InputError(
                f"SAEs trained behind different prefix tokens ({', '.join(sorted(recorded))}); run them apart, or choose one with --prefix"
            )
        (prefix,) = recorded
    if prefix == AUTO:
        return model
    token = model.tokenizer.convert_tokens_to_ids(prefix)
    if token is None or (token == model.tokenizer.unk_token_id and prefix != model.tokenizer.unk_token):
        raise InputError(f"prefix {prefix!r}: the tokenizer of {model.name} has no such token; name one of its special tokens with --prefix")
    return replace(model, prefix_id=int(token))


def _tokens(model: LanguageModel, texts: list[str]) -> list[Int[np.ndarray, " tokens"]]:
    return [np.array(ids, np.int32) for ids in model.tokenizer(texts, add_special_tokens=False)["input_ids"]]


def _ordinary(x: Float[np.ndarray, "tokens d_model"], sae: SAE | None) -> Bool[np.ndarray, " tokens"]:
    limit = float(sae.metadata.get("max_norm") or np.inf) if sae else np.inf
    return np.asarray(np.linalg.norm(x, axis=1) <= limit)


def _codes(sae: SAE, x: Float[np.ndarray, "tokens d_model"]) -> Any:
    """Codes of hidden states as sparse rows, tokens x features."""
    parts = []
    for batch in torch.from_numpy(x).split(TOKENS_AT_ONCE):
        codes = sae.encode(batch.to(sae.b_dec.device))
        rows = [part.cpu().numpy() for part in (codes.values, codes.features, codes.offsets)]
        parts.append(sparse.csr_array((rows[0].astype(np.float64), rows[1], rows[2]), shape=(len(batch), sae.n_features)))
    return sparse.vstack(parts, format="csr")


def _described(sae: SAE) -> dict[str, Any]:
    recorded = sae.metadata.get("source")
    path = recorded.get("path") if isinstance(recorded, dict) else None
    return {"path": path, "architecture": sae.architecture, "n_features": sae.n_features, "made_for": sae.metadata.get("model_name")}
