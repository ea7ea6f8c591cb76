"""Values of a SAE's config file, checked as they are taken, and what names in it mean. Brings no torch."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from saebrain.errors import InputError

Number = TypeVar("Number", int, float)

# Figures that makers give of their SAEs, under the names that saebrain uses, and how to get from theirs to ours.
_FIGURES = {
    "fvu": ("fvu", False),
    "l0": ("l0", False),
    "explained_variance": ("explained_variance", False),
    "frac_variance_explained": ("explained_variance", False),
    "dead_fraction": ("dead_fraction", False),
    "frac_alive": ("dead_fraction", True),
    "ce_recovered": ("ce_recovered", False),
    "frac_recovered": ("ce_recovered", False),
}
# Modules and hook points at which a residual stream is read, and the layer relative to the number in their name.
_RESIDUAL = (
    (re.compile(r"blocks\.(\d+)\.hook_resid_post"), 1),
    (re.compile(r"blocks\.(\d+)\.hook_resid_pre"), 0),
    (re.compile(r"(?:.*\.)?(?:layers|h)[._](\d+)"), 1),
    (re.compile(r"resid_post_layer_(\d+)"), 1),
)
_EMBEDDING = {"hook_embed", "embed_tokens", "wte"}


@dataclass(frozen=True)
class Fields:
    """A JSON object and the file that holds it. Every method but ``get`` raises InputError if the value is no such thing."""

    path: Path
    values: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path) -> Fields:
        """Read a JSON object; NaN and infinities in it become None."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
        except ValueError as error:
            raise InputError(f"{path}: not valid JSON ({error}); restore the file") from error
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); restore the file") from error
        if not isinstance(values, dict):
            raise InputError(f"{path}: holds a {type(values).__name__}, not an object; restore the file")
        return cls(path, values)

    def get(self, name: str, default: Any = None) -> Any:
        """A value as it is; ``default`` if it is missing or null."""
        value = self.values.get(name)
        return default if value is None else value

    def within(self, name: str) -> Fields:
        """The object under a name; an empty one if it is missing or null."""
        value = self.get(name, {})
        if not isinstance(value, dict):
            raise InputError(f"{self.path}: {name} is a {type(value).__name__}, not an object; restore the file")
        return Fields(self.path, value)

    def text(self, name: str, default: str) -> str:
        """A string."""
        value = self.get(name, default)
        if not isinstance(value, str):
            raise self.refusal(name, "is no text; restore the file")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or False."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise self.refusal(name, "is neither true nor false; restore the file")
        return value

    def whole(self, name: str) -> int:
        """A positive whole number."""
        value = self._required(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.refusal(name, "is no positive whole number; restore the file")
        return value

    def number(self, name: str) -> float:
        """A finite number."""
        value = self._required(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self.refusal(name, "is no finite number; restore the file")
        return float(value)

    def k(self, n_features: int, name: str = "k") -> int:
        """The number of active features."""
        return self._at_most(n_features, name, self.whole(name))

    def mean_k(self, n_features: int, name: str = "k") -> float:
        """The mean number of active features, which need not be whole."""
        value = self.number(name)
        if value <= 0:
            raise self.refusal(name, "is no positive number; restore the file")
        return self._at_most(n_features, name, value)

    def refuse_unless(self, name: str, value: Any, why: str) -> None:
        """Refuse a setting with another value than the one that can be read."""
        if self.get(name, value) != value:
            raise self.refusal(name, why)

    def refusal(self, name: str, why: str) -> InputError:
        """The error that tells a value and what is wrong with it."""
        return InputError(f"{self.path}: {name} = {self.values.get(name)!r:.80} {why}")

    def _required(self, name: str) -> Any:
        if name not in self.values:
            raise InputError(f"{self.path}: {name} missing; restore the file")
        return self.values[name]

    def _at_most(self, n_features: int, name: str, value: Number) -> Number:
        if value > n_features:
            raise self.refusal(name, f"is more than the {n_features} features; restore the file")
        return value


def known_scale(path: Path, recorded: float | None, given: float | None) -> float:
    """The factor of a SAE's input, which has to be known from one place and from one only.

    Raises
    ------
    InputError
        If it is known from nowhere, from two places, or no factor.
    """
    if recorded is not None and given is not None:
        raise InputError(f"{path}: its input is scaled by {recorded:.6g} already; leave out input_scale = {given:.6g}, or it would be scaled twice")
    factor = given if recorded is None else recorded
    if factor is None:
        raise InputError(
            f"{path}: trained on hidden states times a factor that is not recorded; give it as input_scale: sqrt(width) / mean norm of those states"
        )
    if not (math.isfinite(factor) and factor > 0):
        raise InputError(f"{path}: {factor:.6g} as the factor of the input is no positive number; give the right one as input_scale")
    return factor


def refuse_scale(path: Path, given: float | None) -> None:
    """Refuse a factor for a SAE whose input takes none."""
    if given is not None:
        raise InputError(
            f"{path}: takes hidden states without a factor of their own; leave out input_scale = {given:.6g}, or they would be scaled twice"
        )


def layer_of(hook: str) -> int | None:
    """Layer that a hook point or module reads (0 embedding, k residual stream after block k); None if not the residual stream at such a place."""
    if hook in _EMBEDDING:
        return 0
    for pattern, after in _RESIDUAL:
        if match := pattern.fullmatch(hook):
            return int(match[1]) + after
    return None


def figures(*objects: Mapping[str, Any]) -> dict[str, float]:
    """The figures that a SAE's makers give of it, by saebrain's names; those found first count."""
    found: dict[str, float] = {}
    for values in objects:
        for name, (ours, complement) in _FIGURES.items():
            value = values.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                found.setdefault(ours, 1 - value if complement else float(value))
    return found
