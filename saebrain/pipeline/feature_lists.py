"""Lists of features that people save under a name: ``lists/{layer}/{name}.json`` in the study.

Features of one layer's SAE mean nothing at another, so each layer has its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
from jaxtyping import Int

from saebrain.atomic import write_json
from saebrain.errors import InputError
from saebrain.study import Study

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def check_name(name: str) -> str:
    """Return a name that a list may have.

    Raises
    ------
    InputError
        If it may not.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"list {name[:80]!r}: a name has letters, digits, - and _ only, at most 64; choose another name")
    return name


def list_path(study: Study, name: str) -> Path:
    """Where a list is kept (InputError if no list may be called so)."""
    return study.folder / "lists" / str(study.layer) / f"{check_name(name)}.json"


def saved_lists(study: Study) -> list[str]:
    """Names of the lists there are."""
    return sorted(path.stem for path in (study.folder / "lists" / str(study.layer)).glob("*.json") if _NAME.fullmatch(path.stem))


def save_list(study: Study, name: str, features: Collection[int]) -> None:
    """Save features under a name; a list of that name is replaced."""
    write_json(list_path(study, name), {"features": sorted({int(feature) for feature in features})})


def read_list(study: Study, name: str) -> Int[np.ndarray, " features"]:
    """Features of a saved list, ascending.

    Raises
    ------
    InputError
        If there is no such list, or its file is damaged.
    """
    path = list_path(study, name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        features = content["features"]
        if not all(type(feature) is int for feature in features):
            raise ValueError("holds something that is no whole number")
        return np.unique(np.array(features, dtype=np.int64))
    except FileNotFoundError:
        known = ", ".join(saved_lists(study)) or "none yet"
        raise InputError(f"list {name!r}: not saved at layer {study.layer} of study {study.folder}; there are: {known}") from None
    except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise InputError(f'{path}: not a list of features ({error}); write it like {{"features": [12, 15]}}, or remove it') from error
