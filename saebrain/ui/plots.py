"""Charts, as Vega-Lite specifications; Streamlit's theme gives them the colours of text and axes.

Colours stand out on light and dark pages, and what they tell apart differs in shape or place too.
Vega-Lite and not Plotly: its code is a sixth of the size, which is most of the time that a first page takes to draw.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from saebrain.pipeline.selection import ALL, NUISANCE
from saebrain.taxonomy import SEMANTIC

Spec = dict[str, Any]
BLUE, ORANGE, GREY = "#4a86e8", "#e0762b", "#8a8f98"
_ROW = 46
"""Height of a row with a mean and points, in pixels."""
_AROUND = 110
"""Height that axis and legend take: a chart's height is that of all of it."""

_NAMES: Spec = {"grid": True, "labelLimit": 200, "labelOverlap": False}
"""An axis of names: every one of them in full."""


def subcategory_chart(subcategories: dict[str, Any]) -> Spec:
    """Mean r in predicted and in other parcels, a row per subcategory: bars are means, points subjects.

    ``subcategories`` is that part of summary.json.
    """
    series = {"r_predicted": "predicted parcels", "r_other": "all other parcels"}
    values = [
        {"row": name.capitalize(), "series": title, "subject": subject, "r": r[key]}
        for name, found in subcategories.items()
        for subject, r in found["by_subject"].items()
        for key, title in series.items()
    ]
    return _means_and_points(values, list(series.values()), "r of the subcategory's features")


def accuracy_chart(r_by_subject: dict[str, dict[str, float]]) -> Spec:
    """Mean r over predicted cortex of all features, semantic features and nuisance alone: bars are means, points subjects."""
    titles = {ALL: "All features", SEMANTIC: "Semantic only", NUISANCE: "Nuisance only"}
    values = [
        {"row": title, "series": "predicted cortex", "subject": subject, "r": r}
        for name, title in titles.items()
        for subject, r in r_by_subject.get(name, {}).items()
    ]
    return _means_and_points(values, ["predicted cortex"], "r of the whole prediction")


def histogram(counts: list[int], largest: float) -> Spec:
    """How often a feature is active how strongly: counts in equal bins from 0 to its maximum, on a logarithmic axis."""
    edges = np.linspace(0, largest, len(counts) + 1)
    values = [
        {"from": round(float(a), 3), "to": round(float(b), 3), "tokens": int(n)} for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True) if n
    ]
    floor = 0.7  # a logarithmic axis has no 0 to stand on
    return {
        "data": {"values": values},
        "height": 230,
        "mark": {"type": "bar", "color": BLUE, "binSpacing": 1},
        "encoding": {
            "x": {
                "field": "from",
                "bin": {"binned": True},
                "title": "Activation (units of the SAE)",
                "scale": {"domain": [0, float(largest)], "nice": False},
                "axis": {"tickCount": 6, "grid": False},
            },
            "x2": {"field": "to"},
            "y": {
                "field": "tokens",
                "type": "quantitative",
                "title": "Tokens (log scale)",
                "scale": {"type": "log", "domain": [floor, max(10, *map(int, counts))]},
                "axis": {"values": [1, 10, 100, 1000, 10_000, 100_000], "format": ",d"},
            },
            "y2": {"datum": floor},
            "tooltip": [
                {"field": "tokens", "title": "Tokens"},
                {"field": "from", "title": "Activation from", "format": ".1f"},
                {"field": "to", "title": "to", "format": ".1f"},
            ],
        },
    }


def story(fired: pd.DataFrame, predicted: Float[np.ndarray, " samples"], measured: Float[np.ndarray, " samples"] | None, tr_s: float) -> Spec:
    """Activations at word onsets, above the courses over samples; both along the same time, in seconds from the start of the run.

    ``fired`` has the columns s, activation and word.
    """
    words = [{"s": round(float(row.s), 2), "activation": round(float(row.activation), 2), "word": str(row.word)} for row in fired.itertuples()]
    courses = {"predicted": predicted, **({} if measured is None else {"measured": measured})}
    samples = [
        {"s": round(n * tr_s, 2), "course": name, "sd": round(float(value), 3)} for name, values in courses.items() for n, value in enumerate(values)
    ]
    time: Spec = {"field": "s", "type": "quantitative", "scale": {"domain": [0, len(predicted) * tr_s], "nice": False}}
    names, colours, dashes = list(courses), [BLUE, ORANGE][: len(courses)], [[4, 2], [1, 0]][: len(courses)]
    zoom = {"name": "zoom", "select": {"type": "interval", "encodings": ["x"]}, "bind": "scales"}
    above: Spec = {
        "data": {"values": words},
        "width": "container",
        "height": 90,
        "params": [zoom],
        "mark": {"type": "rule", "color": BLUE, "strokeWidth": 1.5},
        "encoding": {
            "x": {**time, "axis": {"title": None, "labels": False, "grid": False}},
            "y": {"field": "activation", "type": "quantitative", "title": "Activation", "scale": {"domainMin": 0}},
            "y2": {"datum": 0},
            "tooltip": [{"field": "word"}, {"field": "activation"}, {"field": "s", "title": "onset (s)"}],
        },
    }
    below: Spec = {
        "data": {"values": samples},
        "width": "container",
        "height": 170,
        "params": [{**zoom, "name": "zoom_below"}],
        "mark": {"type": "line", "strokeWidth": 1.5},
        "encoding": {
            "x": {**time, "title": "Time in the run (s)"},
            "y": {"field": "sd", "type": "quantitative", "title": "Course (SD)"},
            "color": {"field": "course", "scale": {"domain": names, "range": colours}, "legend": {"orient": "top", "title": None}},
            "strokeDash": {"field": "course", "scale": {"domain": names, "range": dashes}, "legend": None},
        },
    }
    return {"vconcat": [above, below], "resolve": {"scale": {"x": "shared"}}, "spacing": 6}


def parcel_chart(parcels: pd.DataFrame, label: str) -> Spec:
    """Mean r of every parcel: a row a parcel, the hemispheres as two triangles, predicted parcels in colour and bold."""
    order = parcels.groupby("parcel")["r"].mean().sort_values(ascending=False, na_position="last").index.tolist()
    shown = parcels.dropna(subset="r")
    values = [
        {"parcel": row.parcel, "hemisphere": row.hemisphere, "series": "predicted" if row.predicted else "other", "r": round(float(row.r), 4)}
        for row in shown.itertuples()
    ]
    predicted = sorted(set(parcels.loc[parcels["predicted"], "parcel"]))
    weight = {"condition": {"test": f"indexof({json.dumps(predicted)}, datum.label) >= 0", "value": "bold"}, "value": "normal"}
    return {
        "data": {"values": values},
        "height": 18 * len(order) + _AROUND,
        "layer": [
            _zero_line(),
            {
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {
                    "shape": {
                        "field": "hemisphere",
                        "scale": {"domain": ["left", "right"], "range": ["triangle-left", "triangle-right"]},
                        "legend": {"orient": "top", "title": None, "symbolFillColor": GREY, "symbolStrokeColor": GREY},
                    },
                    "color": _colour(["predicted", "other"], [BLUE, GREY]),
                    "tooltip": [
                        {"field": "parcel"},
                        {"field": "hemisphere"},
                        {"field": "r", "format": ".3f"},
                        {"field": "series", "title": "codebook"},
                    ],
                },
            },
        ],
        "encoding": {
            "x": {"field": "r", "type": "quantitative", "title": label, "scale": _scale(values)},
            "y": {"field": "parcel", "sort": order, "title": None, "axis": {**_NAMES, "labelFontSize": 11, "labelFontWeight": weight}},
        },
    }


def _means_and_points(values: list[dict[str, Any]], series: list[str], label: str) -> Spec:
    """Rows of subjects as points, and their means as upright bars, a colour and a shape per series."""
    rows = list(dict.fromkeys(value["row"] for value in values))
    colour = _colour(series, [BLUE, ORANGE][: len(series)])
    return {
        "data": {"values": values},
        "height": _ROW * len(rows) + _AROUND,
        "layer": [
            _zero_line(),
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 0.7},
                "encoding": {
                    "x": {"field": "r", "type": "quantitative", "title": label, "scale": _scale(values), "axis": {"grid": True}},
                    "color": colour,
                    "shape": {
                        "field": "series",
                        "legend": {"orient": "top", "title": None},
                        "scale": {"domain": series, "range": ["circle", "diamond"][: len(series)]},
                    },
                    "tooltip": [{"field": "subject"}, {"field": "r", "format": ".3f"}, {"field": "series", "title": "over"}],
                },
            },
            {
                "mark": {"type": "tick", "thickness": 3, "size": 26},
                "encoding": {
                    "x": {"aggregate": "mean", "field": "r", "type": "quantitative"},
                    "color": colour,
                    "tooltip": [{"aggregate": "mean", "field": "r", "format": ".3f", "title": "mean r"}, {"field": "series", "title": "over"}],
                },
            },
        ],
        "encoding": {"y": {"field": "row", "type": "nominal", "sort": rows, "title": None, "axis": _NAMES}},
    }


def _colour(names: list[str], colours: list[str]) -> Spec:
    return {"field": "series", "type": "nominal", "scale": {"domain": names, "range": colours}, "legend": {"orient": "top", "title": None}}


def _scale(values: list[dict[str, Any]]) -> Spec:
    """From the least to the greatest r, 0 included."""
    r = [value["r"] for value in values]
    return {"domain": [min([0.0, *r]), max([0.0, *r])], "nice": True}


def _zero_line() -> Spec:
    return {"mark": {"type": "rule", "color": GREY, "strokeDash": [3, 3]}, "encoding": {"x": {"datum": 0, "type": "quantitative"}, "y": None}}
