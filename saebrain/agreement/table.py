"""Agreement figures of a table of labels: one row an item and annotator, gaps allowed."""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from saebrain.agreement import GOAL
from saebrain.agreement.pair import agreement, items_needed, kappa, log_interval, one_against_rest
from saebrain.agreement.several import alpha_interval, fleiss_interval, fleiss_kappa, krippendorff_alpha
from saebrain.errors import InputError

COLUMNS = ("item", "annotator", "label")


def read_labels(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file with the columns item, annotator and label; rows without a label are gaps.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or an annotator labels an item twice.
    """
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: not a readable table ({' '.join(str(error).split())}); give a CSV with the columns {', '.join(COLUMNS)}"
        ) from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)} (found: {', '.join(map(str, table.columns))}); name them {', '.join(COLUMNS)}")
    return check_labels(table[list(COLUMNS)], str(path))


def check_labels(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Labels without gaps, each item once an annotator.

    Raises
    ------
    InputError
        If an annotator labels an item twice, or an item or annotator has no name.
    """
    table = table.dropna(subset=["label"])
    unnamed = table[["item", "annotator"]].isna().any(axis=1)
    if unnamed.any():
        raise InputError(f"{name}: {int(unnamed.sum())} rows without an item or annotator; fill them in")
    double = table.duplicated(["item", "annotator"])
    if double.any():
        first = table[double].iloc[0]
        raise InputError(f"{name}: {first['annotator']!r} labels item {first['item']!r} more than once; keep one label an item and annotator")
    return table


def top_level(label: str) -> str:
    """``semantic`` of ``semantic/place``."""
    return label.partition("/")[0]


def confusion(table: pd.DataFrame, first: str, second: str, categories: list[str]) -> Int[np.ndarray, "categories categories"]:
    """Counts of the items that both labelled, rows the first annotator's labels."""
    wide = table[table["annotator"].isin([first, second])].pivot(index="item", columns="annotator", values="label")
    counts = np.zeros((len(categories), len(categories)), int)
    if {first, second} <= set(wide.columns):
        both = wide.dropna()
        place = {label: number for number, label in enumerate(categories)}
        np.add.at(counts, (both[first].map(place).to_numpy(int), both[second].map(place).to_numpy(int)), 1)
    return counts


def figures(table: pd.DataFrame, *, goal: float = GOAL, seed: int = 0) -> dict[str, Any]:
    """Every figure of a table of labels, undefined ones as None.

    Returns
    -------
    dict
        ``pairs``: one entry a pair of annotators (see :class:`saebrain.agreement.pair.Agreement`), with the items still
        needed until the lower bound passes ``goal``; ``alpha``, ``fleiss``; ``per_category``: with two annotators Cohen's
        kappa of the category against all others, with more Fleiss'; ``alpha_interval``, ``fleiss_interval`` and
        ``per_category_interval``: their 95% intervals; ``levels``: alpha, fleiss and pairs of the top level, and of those
        items that two annotators both put under one top-level category (``within``).
    """
    table = table.assign(label=table["label"].astype(str), annotator=table["annotator"].astype(str))
    result = _level(table, goal, seed)
    nested = table["label"].str.contains("/", regex=False).any()
    if nested:
        top = table.assign(label=table["label"].map(top_level))
        result["levels"] = {"top": _level(top, goal, seed), "within": _within(table, seed)}
    return _jsonable(result)


def _level(table: pd.DataFrame, goal: float, seed: int) -> dict[str, Any]:
    categories = sorted(table["label"].unique())
    annotators = sorted(table["annotator"].unique())
    counts = _counts(table, categories)
    pairs = []
    for first, second in combinations(annotators, 2):
        confused = confusion(table, first, second, categories)
        needed = items_needed(confused, goal)
        used = _used(confused)
        pairs.append({"a": first, "b": second, **asdict(agreement(used, seed=seed)), "items_needed": needed, "confusion": confused.tolist()})
    return {
        "n_items": int(table["item"].nunique()),
        "n_labels": len(table),
        "annotators": annotators,
        "categories": categories,
        "pairs": pairs,
        "alpha": krippendorff_alpha(counts),
        "alpha_interval": list(alpha_interval(counts, seed=seed)),
        "fleiss": fleiss_kappa(counts),
        "fleiss_interval": list(fleiss_interval(counts, seed=seed)),
        **_per_category(table, categories, annotators, counts, seed),
    }


def _used(counts: Int[np.ndarray, "categories categories"]) -> Int[np.ndarray, "used used"]:
    """Without the categories that neither annotator used on these items: they would change PABAK and AC1."""
    used = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    return counts[np.ix_(used, used)]


def _per_category(
    table: pd.DataFrame, categories: list[str], annotators: list[str], counts: Int[np.ndarray, "items categories"], seed: int
) -> dict[str, Any]:
    """Kappa of every category against the rest, and its interval."""
    values: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    confused = confusion(table, annotators[0], annotators[1], categories) if len(annotators) == 2 else None
    rest = counts.sum(axis=1)
    for number, label in enumerate(categories):
        if confused is not None:
            own = one_against_rest(confused, number)
            values[label], intervals[label] = kappa(own)[0], list(log_interval(own))
        else:
            split = np.column_stack([counts[:, number], rest - counts[:, number]])
            values[label], intervals[label] = fleiss_kappa(split), list(fleiss_interval(split, seed=seed))
    return {"per_category": values, "per_category_interval": intervals}


def _within(table: pd.DataFrame, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Per top-level category: agreement on the leaf among items that both annotators put under it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for category in sorted(set(table["label"].map(top_level))):
        part = table[table["label"].map(top_level) == category]
        leaves = sorted(part["label"].unique())
        if len(leaves) < 2:
            continue
        for first, second in combinations(sorted(part["annotator"].unique()), 2):
            confused = _used(confusion(part, first, second, leaves))
            found.setdefault(category, []).append({"a": first, "b": second, **asdict(agreement(confused, seed=seed))})
    return found


def _counts(table: pd.DataFrame, categories: list[str]) -> Int[np.ndarray, "items categories"]:
    items = pd.factorize(table["item"])[0]
    labels = pd.Categorical(table["label"], categories=categories).codes
    counts = np.zeros((int(items.max(initial=-1)) + 1, len(categories)), int)
    np.add.at(counts, (items, labels), 1)
    return counts


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_jsonable(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
