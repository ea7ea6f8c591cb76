"""Which files make up a SAE's folder, in any layout that can be read. Brings no torch: pages ask this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from saebrain.errors import InputError
from saebrain.sae.formats.fields import Fields

CONFIG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"
SCALER = "activation_scaler.json"
WHITENING = "activation_whitening.safetensors"
EVALUATION = "eval_results.json"

Format = Literal["saelens", "sparsify", "lm-saes", "dictionary_learning"]
_CHECKPOINTS = (WEIGHTS, "checkpoints/pruned.safetensors", "checkpoints/final.safetensors")
# Config and weights of each layout. Where one folder holds the files of two, the first that is complete is meant.
_LAYOUTS: tuple[tuple[Format, tuple[str, ...], tuple[str, ...]], ...] = (
    ("saelens", (CONFIG,), (WEIGHTS,)),
    ("sparsify", (CONFIG,), ("sae.safetensors",)),
    ("lm-saes", ("hyperparams.json", "config.json"), _CHECKPOINTS),
    ("dictionary_learning", ("config.json",), ("ae.pt",)),
)
FILES = (CONFIG, WEIGHTS, "sae.safetensors", "ae.pt", "config.json", "hyperparams.json", *_CHECKPOINTS[1:], SCALER, WHITENING, EVALUATION)
"""Every file that a SAE may be read from, relative to its folder."""
READABLE = (
    f"SAELens ({CONFIG}, {WEIGHTS}), sparsify ({CONFIG}, sae.safetensors), "
    f"lm-saes (config.json, {WEIGHTS}, or hyperparams.json, checkpoints/final.safetensors), dictionary_learning (config.json, ae.pt)"
)
_LISTED = 8


@dataclass(frozen=True)
class Layout:
    """A SAE's folder whose layout is known."""

    format: Format
    folder: Path
    config: Path
    weights: Path

    def fields(self) -> Fields:
        """The config."""
        return Fields.load(self.config)


def identify(folder: Path) -> Layout:
    """Tell the layout of a folder by its files; the weights may be missing if the config alone tells it.

    Raises
    ------
    InputError
        If it is none that can be read; the message lists what was found and what can be.
    """
    partial: list[Layout] = []
    for name, configs, weights in _LAYOUTS:
        config = _first(folder, configs)
        if config is None:
            continue
        held = _first(folder, weights)
        if held is not None:
            return Layout(name, folder, config, held)
        partial.append(Layout(name, folder, config, folder / weights[0]))
    if partial and partial[0].config.name == CONFIG:
        return partial[0]
    raise InputError(
        f"SAE folder {folder}: {_listing(folder)}; layouts that can be read: {READABLE}; name a folder with one, or train a SAE: "
        "python -m saebrain sae train"
    )


def files(folder: Path) -> list[Path]:
    """Every file that says what the SAE in a folder computes, those of our own layout even if they are missing."""
    return [folder / name for name in FILES if name in (CONFIG, WEIGHTS) or (folder / name).is_file()]


def read_config(folder: Path) -> dict[str, Any]:
    """Read the config alone, without the weights; ``metadata``, if there is one, is an object.

    Raises
    ------
    InputError
        If there is none, or it is no JSON object.
    """
    fields = identify(folder).fields()
    fields.within("metadata")
    return dict(fields.values)


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _listing(folder: Path) -> str:
    """What is in a folder, in a few words."""
    if not folder.is_dir():
        return "no such folder"
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    if not names:
        return "empty"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"no layout of a SAE, but {', '.join(names[:_LISTED])}{more}"
