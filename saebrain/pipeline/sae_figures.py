"""Figures of a SAE as a file holds them: each may be missing, and all come from outside. Brings no torch."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Text = Literal["other", "study", "claimed"]


@dataclass(frozen=True)
class Check:
    """The verdict of the import check: ok, doubtful or mismatch; why, and what would make the SAE work, in sentences."""

    status: Literal["ok", "doubtful", "mismatch"]
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class Measurement:
    """Figures of a SAE on one text; those that were not measured are None.

    of : whose text it is: the study's own, another (held-out documents), or one that the SAE's makers give figures of.
    text : what it is, as a sentence; comes from files, so not to be trusted.
    density : log10_edges, counts, never.
    """

    of: Text
    text: str
    n_tokens: int | None
    fvu: float | None
    l0: float | None
    dead_fraction: float | None
    ce_recovered: float | None
    density: dict[str, Any] | None
    check: Check | None


def measurement(of: Text, values: dict[str, Any], text: str) -> Measurement:
    """Take the figures of quality.json, of a part of it, or of a maker's claims; what is no figure is left out."""
    fvu = number(values.get("fvu"))
    if fvu is None and (explained := number(values.get("explained_variance"))) is not None:
        fvu = 1 - explained
    density = values.get("density")
    return Measurement(
        of=of,
        text=str(text),
        n_tokens=whole(values.get("n_tokens")),
        fvu=fvu,
        l0=number(values.get("l0")),
        dead_fraction=number(values.get("dead_fraction")),
        ce_recovered=number(values.get("ce_recovered")),
        density=density if _is_density(density) else None,
        check=_check(values.get("check")),
    )


def _is_density(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("counts"), list) or not isinstance(value.get("log10_edges"), list):
        return False
    edges, counts = value["log10_edges"], [*value["counts"], value.get("never")]
    if len(edges) != len(counts) or any(whole(count, zero=True) is None for count in counts) or not sum(counts):
        return False
    return all(number(edge) is not None and -20 <= edge <= 1 for edge in edges)


def _check(value: Any) -> Check | None:
    if not isinstance(value, dict) or value.get("status") not in ("ok", "doubtful", "mismatch"):
        return None
    reasons, remedies = (tuple(map(str, value[name])) if isinstance(value.get(name), list) else () for name in ("reasons", "remedies"))
    return Check(value["status"], reasons, remedies)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def number(value: Any) -> float | None:
    """A finite number, or None."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def whole(value: Any, *, zero: bool = False) -> int | None:
    """A positive whole number (or ``zero``), or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= (0 if zero else 1) else None
