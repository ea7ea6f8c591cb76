"""Charts of agreement, as Vega-Lite specifications; undefined values are left out of the drawing and said in words."""

from __future__ import annotations

from typing import Any

import pandas as pd

from saebrain.agreement import GOAL
from saebrain.ui.plots import BLUE, GREY, ORANGE, Spec
from saebrain.ui.text import category

CELL = 44
CELL_SELECTION = "cell"


def confusion_chart(counts: list[list[int]], labels: list[str], first: str, second: str, chosen: tuple[str, str] | None) -> Spec:
    """A confusion matrix, rows the first annotator's labels; a click chooses a cell."""
    values = [
        {"a": labels[i], "b": labels[j], "n": n, "share": n / max(sum(row), 1), "same": i == j, "chosen": chosen == (labels[i], labels[j])}
        for i, row in enumerate(counts)
        for j, n in enumerate(row)
    ]
    names: Spec = {"labelExpr": "replace(datum.label, '/', ' / ')", "labelLimit": 170, "labelOverlap": False, "grid": False}
    size = CELL * len(labels)
    return {
        "data": {"values": values},
        "height": size + 170,
        "layer": [
            {
                "params": [{"name": CELL_SELECTION, "select": {"type": "point", "fields": ["a", "b"]}}],
                "mark": {"type": "rect", "cursor": "pointer", "strokeWidth": 3},
                "encoding": {
                    "color": {"field": "same", "scale": {"domain": [True, False], "range": [BLUE, ORANGE]}, "legend": None},
                    "opacity": {"field": "share", "type": "quantitative", "scale": {"domain": [0, 1], "range": [0.04, 0.85]}, "legend": None},
                    "stroke": {"condition": {"test": "datum.chosen", "value": ORANGE}, "value": None},
                    "tooltip": [{"field": "a", "title": first}, {"field": "b", "title": second}, {"field": "n", "title": "features"}],
                },
            },
            {
                "mark": {"type": "text", "fontSize": 13, "fontWeight": "bold"},
                "encoding": {
                    "text": {"condition": {"test": "datum.n > 0", "field": "n"}, "value": ""},
                    "color": {"condition": {"test": "datum.share > 0.4", "value": "white"}, "value": GREY},  # readable on light and dark
                },
            },
        ],
        "encoding": {
            "x": {"field": "b", "type": "nominal", "sort": labels, "title": second, "axis": {**names, "labelAngle": -40, "orient": "top"}},
            "y": {"field": "a", "type": "nominal", "sort": labels, "title": first, "axis": names},
        },
    }


def kappa_over(table: pd.DataFrame, over: str, title: str, *, joined: bool) -> Spec:
    """Kappa with its interval over time or versions (column ``over``), and the goal."""
    temporal = pd.api.types.is_datetime64_any_dtype(table[over])
    shown = table.dropna(subset="kappa")
    values = [
        {
            "x": row[over].isoformat() if temporal else str(row[over]),
            "kappa": row["kappa"],
            "low": row["low"],
            "high": row["high"],
            "n": int(row["n"]),
        }
        for row in shown.to_dict("records")
    ]
    x: Spec = {"field": "x", "type": "temporal" if temporal else "nominal", "title": title, "sort": None, "axis": {"grid": False, "labelAngle": 0}}
    tooltip = [{"field": "x", "title": title, **({"type": "temporal", "format": "%d %b %Y %H:%M"} if temporal else {})}]
    figures: list[dict[str, Any]] = [{"field": name, "format": ".2f"} for name in ("kappa", "low", "high")]
    span: Spec = {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}, "x": x}
    dot: Spec = {"type": "point", "color": BLUE, "filled": True, "size": 70, "opacity": 1}
    bar: Spec = {"type": "rule", "color": BLUE, "strokeWidth": 2}
    if joined and len(values) > 1:
        dot, bar = {"type": "line", "color": BLUE, "point": True}, {"type": "area", "color": BLUE, "opacity": 0.2}
    return {
        "data": {"values": values},
        "height": 260,
        "layer": [
            {"mark": bar, "encoding": span},
            {"mark": dot, "encoding": {"x": x, "y": _kappa_axis(values), "tooltip": [*tooltip, *figures, {"field": "n", "title": "features"}]}},
            *_goal(),
        ],
    }


def category_chart(per_category: dict[str, float | None], intervals: dict[str, list[float | None]]) -> Spec:
    """Kappa of every category against the rest, with its 95% interval; those that are undefined are left to the text."""
    values: list[dict[str, Any]] = []
    for label, kappa in per_category.items():
        low, high = intervals[label]
        if kappa is not None:
            values.append(
                {"category": category(label), "kappa": kappa, "low": kappa if low is None else low, "high": kappa if high is None else high}
            )
    y: Spec = {"field": "category", "type": "nominal", "sort": None, "title": None, "axis": {"grid": True, "labelLimit": 200}}
    figures = [{"field": name, "format": ".2f"} for name in ("kappa", "low", "high")]
    return {
        "data": {"values": values},
        "height": 30 * max(len(values), 1) + 70,
        "layer": [
            {
                "mark": {"type": "rule", "color": BLUE, "strokeWidth": 2},
                "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}, "y": y},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 80, "color": BLUE, "opacity": 1},
                "encoding": {"x": {**_kappa_axis(values), "axis": {"grid": True}}, "y": y, "tooltip": [{"field": "category"}, *figures]},
            },
            {"mark": {"type": "rule", "color": GREY, "strokeDash": [5, 4]}, "encoding": {"x": {"datum": GOAL, "type": "quantitative"}}},
        ],
    }


def _kappa_axis(values: list[dict[str, Any]]) -> Spec:
    least = min([0.0, *(value.get("low", value["kappa"]) for value in values)])
    return {"field": "kappa", "type": "quantitative", "title": "Cohen's κ", "scale": {"domain": [least, 1.0], "nice": True}}


def _goal() -> list[Spec]:
    line: Spec = {"y": {"datum": GOAL, "type": "quantitative"}}
    text: Spec = {"type": "text", "align": "right", "dx": -4, "dy": 9, "text": f"goal {GOAL:g}", "color": GREY}
    rule: Spec = {"type": "rule", "color": GREY, "strokeDash": [5, 4]}
    return [{"mark": rule, "encoding": line}, {"mark": text, "encoding": {**line, "x": {"value": "width"}}}]
