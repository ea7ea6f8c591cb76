"""Charts of the quality page, as Vega-Lite specifications. A SAE has one colour, dash and point shape in all of them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from saebrain.pipeline.sae_figures import Text
from saebrain.pipeline.sae_quality import KnownSAE
from saebrain.ui.plots import GREY, Spec

COLOURS = ["#4a86e8", "#e0762b", "#2fa37c", "#c65aa8", "#a98a1c", "#8a8f98"]
"""Of lines and points: each stands out on a light and on a dark page."""
DASHES = [[1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 2], [12, 4]]
POSSIBLE = len(COLOURS)
TEXTS: dict[Text, str] = {"other": "other text (held out)", "study": "this study's text", "claimed": "as its makers give"}
POINTS_A_CURVE = 400
_HEIGHT = 290
"""Of a chart without a legend of SAEs, in pixels, its axes included."""
_LEGEND: Spec = {"orient": "top", "title": None, "columns": 2, "labelLimit": 260}


@dataclass(frozen=True)
class Figure:
    """A figure of a SAE or of its training: the column or attribute it is in, its name with the unit, and how it is written."""

    field: str
    title: str
    format: str


FIGURES = [
    Figure("fvu", "FVU", ".3f"),
    Figure("ce_recovered", "Cross-entropy recovered (%)", ".1%"),
    Figure("l0", "L0 (features a token)", ".1f"),
    Figure("dead_fraction", "Dead features (%)", ".2%"),
]
CURVES = [
    Figure("loss", "Loss", ".4f"),
    Figure("fvu", "FVU of the batch", ".3f"),
    Figure("l0", "L0 (features a token)", ".1f"),
    Figure("dead_fraction", "Dead features (%)", ".2%"),
    Figure("learning_rate", "Learning rate", ".2~e"),
    Figure("tokens_per_s", "Speed (tokens a second)", ",.0f"),
]
OVER = {"tokens": "Tokens seen (millions)", "step": "Step", "seconds": "Time in training (minutes)"}
_UNIT = {"tokens": 1e6, "step": 1.0, "seconds": 60.0}


def by_layer(figure: Figure, saes: list[KnownSAE]) -> Spec:
    """One figure over the layers of the model: colours are SAEs, shapes the text it was measured on; lines join SAEs of one kind."""
    values = [
        {"sae": sae.label, "layer": sae.layer, "kind": sae.kind, "text": TEXTS[found.of], "value": getattr(found, figure.field)}
        for sae in saes
        for found in sae.measured
        if sae.layer is not None and getattr(found, figure.field) is not None
    ]
    shown = {value["sae"]: value["layer"] for value in values}
    layers = sorted(set(shown.values()))
    colour = _colours([sae.label for sae in saes], shown)
    apart = len(layers) == len(shown)  # the layer alone tells which SAE it is
    line = {"type": "line", "color": GREY, "strokeWidth": 1, "opacity": 0.6}
    point = {"type": "point", "size": 90, "strokeWidth": 2, "opacity": 1}
    return {
        "data": {"values": values},
        "height": _HEIGHT + (0 if apart else 30 + _legend_height(shown)),
        "layer": [
            {"mark": line, "encoding": {"detail": [{"field": "text"}, {"field": "kind"}], "order": {"field": "layer"}}},
            {
                "mark": point,
                "encoding": {
                    "color": colour | ({"legend": None} if apart else {}),
                    "fill": colour | {"legend": None},
                    # An open shape shows what lies under it.
                    "fillOpacity": {"condition": {"test": f"datum.text === {json.dumps(TEXTS['other'])}", "value": 1}, "value": 0},
                    "shape": _shapes(
                        [text for text in TEXTS.values() if any(value["text"] == text for value in values)], "top" if apart else "bottom"
                    ),
                    "tooltip": [
                        {"field": "sae", "title": "SAE"},
                        {"field": "value", "title": figure.title.partition(" (")[0], "format": figure.format},
                        {"field": "text", "title": "measured on"},
                    ],
                },
            },
        ],
        "encoding": {
            "x": {
                "field": "layer",
                "type": "quantitative",
                "title": "Layer",
                "scale": {"domain": [layers[0] - 1, layers[-1] + 1], "nice": False},
                "axis": {"values": layers, "grid": False, "format": "d"},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": figure.title,
                "scale": _reach(figure, [value["value"] for value in values]),
                "axis": _axis(figure),
            },
        },
    }


def densities(histograms: dict[str, dict[str, Any]], labels: list[str]) -> Spec:
    """How many of the features are active how often: a line a SAE, by its label the histogram of log10 densities."""
    values: list[dict[str, Any]] = []
    for label, density in histograms.items():
        total = sum(density["counts"]) + density["never"]
        edges = density["log10_edges"]
        for left, right, count in zip(edges[:-1], edges[1:], density["counts"], strict=True):
            values.append({"sae": label, "density": 10 ** ((left + right) / 2), "from": 10**left, "to": 10**right, "share": count / total})
    used = [value["density"] for value in values if value["share"]]
    span = [min(used, default=1e-6) / 1.6, max(used, default=1.0) * 1.6]
    return {
        "data": {"values": [value for value in values if span[0] <= value["density"] <= span[1]]},
        "height": 360,
        "mark": {"type": "line", "interpolate": "step", "strokeWidth": 2},
        "encoding": {
            "x": {
                "field": "density",
                "type": "quantitative",
                "title": "Density (share of tokens at which a feature is active, log scale)",
                "scale": {"type": "log", "domain": span, "nice": False},
                "axis": {"format": "~%", "values": [10.0**power for power in range(-8, 1)], "grid": True},
            },
            "y": {"field": "share", "type": "quantitative", "title": "Features of the SAE (%)", "axis": {"format": "~%", "tickCount": 5}},
            **_lines(labels, histograms),
            "tooltip": [
                {"field": "sae", "title": "SAE"},
                {"field": "from", "title": "density from", "format": ".2~%"},
                {"field": "to", "title": "to", "format": ".2~%"},
                {"field": "share", "title": "of its features", "format": ".1%"},
            ],
        },
    }


def curve(figure: Figure, logs: dict[str, pd.DataFrame], over: str, labels: list[str]) -> Spec:
    """One figure over the course of training, a line a SAE; ``over`` is a column of the logs."""
    values: list[dict[str, Any]] = []
    for label, log in logs.items():
        if figure.field in log and over in log:
            some = np.unique(np.linspace(0, len(log) - 1, POINTS_A_CURVE).round().astype(int))
            rows = log.iloc[some][[over, figure.field, "step"]].dropna()
            values += [
                {"sae": label, "at": float(at) / _UNIT[over], "value": float(value), "step": int(step)}
                for at, value, step in rows.itertuples(index=False)
            ]
    return {
        "data": {"values": values},
        "height": _HEIGHT + _legend_height(logs),
        "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {
            "x": {"field": "at", "type": "quantitative", "title": OVER[over], "axis": {"grid": False, "tickCount": 6}},
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": figure.title,
                "axis": _axis(figure),
                "scale": _reach(figure, [value["value"] for value in values]),
            },
            **_lines(labels, logs),
            "tooltip": [
                {"field": "sae", "title": "SAE"},
                {"field": "value", "title": figure.title.partition(" (")[0], "format": figure.format},
                {"field": "step", "title": "step", "format": ",d"},
                {"field": "at", "title": OVER[over].lower(), "format": ".3~f"},
            ],
        },
    }


def _legend_height(shown: Collection[str]) -> int:
    return 18 * -(-len(shown) // _LEGEND["columns"])


def _reach(figure: Figure, values: list[float]) -> Spec:
    """Ends of the axis: 0 is there, and of shares near one end enough to tell them apart."""
    if figure.field == "ce_recovered":
        return {"domain": [min([0.9, *values]), 1]}
    if figure.field == "dead_fraction":
        return {"domain": [0, max([0.01, *values])], "nice": True}
    return {"zero": True, "nice": True}


def _axis(figure: Figure) -> Spec:
    form = "~%" if figure.format.endswith("%") else ".1~e" if figure.format.endswith("e") else ",~r"
    return {"format": form, "tickCount": 4, "labelExpr": "datum.value ? datum.label : '0'"}


def _shapes(texts: list[str], orient: str) -> Spec:
    """Shape of every kind of text; the legend names those that occur."""
    legend = _LEGEND | {"orient": orient, "values": texts, "symbolStrokeColor": GREY, "symbolFillColor": GREY}
    return {"field": "text", "scale": {"domain": list(TEXTS.values()), "range": ["circle", "diamond", "triangle-up"]}, "legend": legend}


def _lines(labels: list[str], shown: Collection[str]) -> Spec:
    """Colour and dash of every SAE that is shown, with one legend."""
    dashes = [dash for label, dash in zip(labels, DASHES, strict=False) if label in shown]
    colour = _colours(labels, shown)
    domain = colour["scale"]["domain"]
    return {"color": colour, "strokeDash": {"field": "sae", "scale": {"domain": domain, "range": dashes}, "legend": _LEGEND}}


def _colours(labels: list[str], shown: Collection[str]) -> Spec:
    """A colour for each of ``labels``, so that it keeps it where some are not shown."""
    domain = [label for label in labels if label in shown]
    colours = [colour for label, colour in zip(labels, COLOURS, strict=False) if label in shown]
    return {"field": "sae", "type": "nominal", "scale": {"domain": domain, "range": colours}, "legend": _LEGEND}
