"""Recipes as people write them: ``mean``; ``last+mean``, side by side; ``last,mean``, to choose from; ``sae=max``, for the codes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from saebrain.errors import InputError
from saebrain.items.pooling import POOLINGS, TRANSFORMS, Recipe

REPRESENTATIONS = ("dense", "sae", "surprisal")
"""What is pooled from tokens."""
POOLING = "last+mean+max+sum"
TRANSFORM = "none"


def read_recipes(poolings: Sequence[str], transforms: Sequence[str]) -> dict[str, list[Recipe]]:
    """Recipes of each representation to choose from: each of its poolings with each of its transforms.

    Raises
    ------
    InputError
        If a pooling, a transform or a representation is unknown.
    """
    pooled = {name: _poolings(text) for name, text in _by_representation("--pooling", [POOLING, *poolings]).items()}
    changed = {name: _transforms(text) for name, text in _by_representation("--transform", [TRANSFORM, *transforms]).items()}
    return {name: [Recipe(how, change) for change in changed[name] for how in pooled[name]] for name in REPRESENTATIONS}


def _by_representation(option: str, given: Sequence[str]) -> dict[str, str]:
    """What holds for each representation: the last value given, one for itself before one for all."""
    chosen: dict[str, str] = {}
    for text in sorted(given, key=lambda text: "=" in text):
        before, sign, value = text.rpartition("=")
        if sign and before not in REPRESENTATIONS:
            raise InputError(f"{option} {text!r}: {before!r} is no representation; write {', '.join(f'{name}=...' for name in REPRESENTATIONS)}")
        chosen.update(dict.fromkeys([before] if sign else REPRESENTATIONS, value))
    return chosen


def _poolings(text: str) -> list[tuple[Any, ...]]:
    return [tuple(_distinct("--pooling", choice.split("+"), POOLINGS)) for choice in _distinct("--pooling", text.split(","))]


def _transforms(text: str) -> list[Any]:
    return _distinct("--transform", text.split(","), TRANSFORMS)


def _distinct(option: str, names: list[str], known: Sequence[str] = ()) -> list[str]:
    for name in names:
        if known and name not in known:
            raise InputError(f"{option}: {name!r} is none; choose among {', '.join(known)}")
    if len(set(names)) < len(names):
        raise InputError(f"{option}: the same named twice in {names}; name each once")
    return names
