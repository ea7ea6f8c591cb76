"""Agreement of the people who label, from the log: what `saebrain.agreement` needs, cut by version, exposure and time.

Versions of the codebook are never pooled. Everything is computed from `saebrain.annotation.state.first_blind` unless it says otherwise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from saebrain.agreement.pair import items_needed, kappa, log_interval
from saebrain.agreement.table import confusion, figures, top_level
from saebrain.annotation.state import first_blind, headline, repeats, standing

WINDOW = 50
"""Doubly labelled features in each point of kappa over time."""


def label_table(events: pd.DataFrame) -> pd.DataFrame:
    """Labels as `saebrain.agreement.table` takes them: item, annotator, label."""
    return pd.DataFrame({"item": events["feature"], "annotator": events["annotator"], "label": events["label"]}).reset_index(drop=True)


def report(events: pd.DataFrame, codebook: str, *, goal: float) -> dict[str, Any]:
    """All figures of one version of the codebook.

    Returns
    -------
    dict
        ``headline``: `saebrain.agreement.table.figures` of the random sample; ``all_queues``: the same of every queue;
        ``exposed``: of labels given after a suggestion was shown; ``intra``: kappa of each person with themselves.
    """
    labels = standing(events)
    shown = labels[(labels["codebook"] == codebook) & labels["suggestion_visible"]]
    return {
        "codebook": codebook,
        "headline": figures(label_table(headline(events, codebook)), goal=goal),
        "all_queues": figures(label_table(first_blind(events, codebook)), goal=goal),
        "exposed": figures(label_table(shown), goal=goal),
        "intra": intra(events, codebook),
    }


def versions(events: pd.DataFrame) -> list[str]:
    """Versions of the codebook that labels were given by, oldest first."""
    return list(dict.fromkeys(events.loc[events["kind"] == "label", "codebook"]))


def by_version(events: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Kappa of a pair under every version: codebook, n, kappa, low, high; NaN where undefined."""
    rows = [{"codebook": version, **_kappa_row(label_table(headline(events, version)), first, second)} for version in versions(events)]
    return pd.DataFrame(rows, columns=["codebook", "n", "kappa", "low", "high"])


def over_time(events: pd.DataFrame, codebook: str, first: str, second: str, *, window: int = WINDOW) -> pd.DataFrame:
    """Kappa of a pair in the last ``window`` features that both had labelled by then, at every tenth of a window.

    Returns
    -------
    DataFrame
        time (when the last of them got its second label), doubly (features that both had labelled), n, kappa, low, high.
    """
    labels = headline(events, codebook)
    pair = labels[labels["annotator"].isin([first, second])]
    both = pair.groupby("feature").agg(people=("annotator", "nunique"), time=("time", "max")).query("people == 2").sort_values("time")
    ends = sorted({*range(window, len(both) + 1, max(window // 10, 1)), len(both)} - {0})
    rows = []
    for end in ends:
        inside = pair[pair["feature"].isin(both.index[max(end - window, 0) : end])]
        rows.append({"time": both["time"].iloc[end - 1], "doubly": end, **_kappa_row(label_table(inside), first, second)})
    return pd.DataFrame(rows, columns=["time", "doubly", "n", "kappa", "low", "high"])


def intra(events: pd.DataFrame, codebook: str) -> pd.DataFrame:
    """Kappa of each person's labels with their own of the same features, asked again: annotator, n, kappa, low, high."""
    rows = []
    for annotator, group in repeats(events, codebook).groupby("annotator"):
        twice = pd.concat([pd.DataFrame({"item": group["feature"], "annotator": when, "label": group[when]}) for when in ("first", "again")])
        rows.append({"annotator": annotator, **_kappa_row(twice, "first", "again")})
    return pd.DataFrame(rows, columns=["annotator", "n", "kappa", "low", "high"])


def still_needed(counts: Int[np.ndarray, "categories categories"], goal: float) -> int | None:
    """Doubly labelled features still to come until the lower bound passes ``goal``; None if it never would."""
    total = items_needed(counts, goal)
    return None if total is None else max(total - int(counts.sum()), 0)


def cell(events: pd.DataFrame, codebook: str, first: str, second: str, label_first: str, label_second: str, *, top: bool = False) -> list[int]:
    """Features of one cell of a pair's confusion matrix, ascending."""
    labels = label_table(headline(events, codebook))
    if top:
        labels = labels.assign(label=labels["label"].map(top_level))
    wide = labels[labels["annotator"].isin([first, second])].pivot(index="item", columns="annotator", values="label")
    if not {first, second} <= set(wide.columns):
        return []
    return sorted(int(item) for item in wide.index[(wide[first] == label_first) & (wide[second] == label_second)])


def _kappa_row(labels: pd.DataFrame, first: str, second: str) -> dict[str, float]:
    counts = confusion(labels, first, second, sorted(labels["label"].unique()))
    value, low, high = kappa(counts)[0], *log_interval(counts)
    return {"n": int(counts.sum()), "kappa": value, "low": low, "high": high} if counts.sum() else _nothing()


def _nothing() -> dict[str, float]:
    return {"n": 0, "kappa": math.nan, "low": math.nan, "high": math.nan}
