"""Results that are one JSON file each, named by a hash of what they depend on, and how jobs open their study."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from saebrain.atomic import write_json
from saebrain.pipeline.human_labels import moved
from saebrain.pipeline.selection import study_codebook
from saebrain.pipeline.steps import digest, read_record
from saebrain.study import Study

DIGITS = 6
"""Significant digits that are kept: more than any of these figures deserves."""


def opened(study: Study | Path, arguments: dict[str, Any]) -> Study:
    """The study that a job is about, at the layer that its arguments name; its main one otherwise."""
    found = study if isinstance(study, Study) else Study.open(study)
    layer = arguments.get("layer")
    return found if layer is None else found.at(int(layer))


def filed(study: Study, kind: str, version: int, **depends_on: Any) -> Path:
    """Where a result stands: ``encoding/{hash}/{kind}.json``.

    The hash holds the layer's codes and labels, those of people too, the responses, the encoding settings, and what is given in ``depends_on``.
    """
    upstream: dict[str, Any] = {step: read_record(study, step).get("key") for step in ("codes", "labels", "responses")}
    if relabelled := {path: features for path in study_codebook(study).paths if (features := moved(study, path))}:
        upstream["relabelled"] = relabelled
    content = {"kind": kind, "version": version, "encoding": study.config.encoding.settings(), **upstream, **depends_on}
    return study.encoding / digest(content) / f"{kind}.json"


def read_filed(path: Path) -> dict[str, Any] | None:
    """A result read back; None if there is none, or its file is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write_filed(path: Path, value: dict[str, Any]) -> dict[str, Any]:
    """Write a result and return it as it will be read back."""
    content: dict[str, Any] = plain(value)
    write_json(path, content)
    return content


def plain(value: Any) -> Any:
    """Arrays as lists, numbers at ``DIGITS`` significant digits, NaN and infinities as None: all that JSON can hold."""
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
