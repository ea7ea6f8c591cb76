"""Charts of the encoding and topography pages, as Vega-Lite specifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from saebrain.ui.plots import BLUE, GREY, ORANGE, Spec

MOST_BINS = 40
_HEIGHT = 260


def null_histogram(null: Sequence[float | None], observed: float, title: str, what: str) -> Spec:
    """A null distribution in equal bins, with the observed value as a line; ``what`` the null is made of."""
    values = np.asarray([value for value in null if value is not None], float)
    counts, edges = np.histogram(values, bins=int(np.clip(1.3 * len(values) ** 0.5, 8, MOST_BINS)))
    return counted_null(counts.tolist(), edges.tolist(), observed, title, what)


def counted_null(counts: Sequence[int], edges: Sequence[float], observed: float, title: str, what: str) -> Spec:
    """The same of a null distribution that is counted already."""
    bins = [{"from": float(a), "to": float(b), "draws": int(n)} for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True) if n]
    return {
        "height": _HEIGHT,
        "layer": [
            {
                "data": {"values": bins},
                "mark": {"type": "bar", "color": GREY, "binSpacing": 1},
                "encoding": {
                    "x": {"field": "from", "bin": {"binned": True}, "title": title, "scale": {"zero": False}, "axis": {"grid": False}},
                    "x2": {"field": "to"},
                    "y": {"field": "draws", "type": "quantitative", "title": what},
                    "tooltip": [
                        {"field": "draws", "title": what},
                        {"field": "from", "format": ".3f"},
                        {"field": "to", "format": ".3f"},
                    ],
                },
            },
            {
                "data": {"values": [{"observed": observed, "name": f"observed {observed:.3f}"}]},
                "mark": {"type": "rule", "color": ORANGE, "strokeWidth": 3},
                "encoding": {"x": {"field": "observed", "type": "quantitative"}, "tooltip": [{"field": "observed", "format": ".4f"}]},
            },
            {
                "data": {"values": [{"observed": observed, "name": f"observed {observed:.3f}"}]},
                "mark": {"type": "text", "color": ORANGE, "align": "right", "dx": -6, "baseline": "top", "fontWeight": "bold"},
                "encoding": {"x": {"field": "observed", "type": "quantitative"}, "y": {"value": 2}, "text": {"field": "name"}},
            },
        ],
    }


def beside_ceiling(rows: list[dict[str, Any]], ceilings: dict[str, float]) -> Spec:
    """r of subjects under their ceilings: ``rows`` have subject, series and r; bars are the ceilings."""
    series = list(dict.fromkeys(row["series"] for row in rows))
    subjects = list(dict.fromkeys(row["subject"] for row in rows))
    colours = [BLUE, ORANGE, GREY][: len(series)]
    layers: list[Spec] = [
        {
            "data": {"values": rows},
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 0.9},
            "encoding": {
                "x": {"field": "r", "type": "quantitative", "title": "r, mean over predicted cortex", "scale": {"zero": True}},
                "color": {"field": "series", "scale": {"domain": series, "range": colours}, "legend": {"orient": "top", "title": None}},
                "shape": {
                    "field": "series",
                    "scale": {"domain": series, "range": ["circle", "diamond", "square"][: len(series)]},
                    "legend": {"orient": "top", "title": None},
                },
                "tooltip": [{"field": "subject"}, {"field": "series", "title": "model"}, {"field": "r", "format": ".3f"}],
            },
        }
    ]
    if ceilings:
        layers.append(
            {
                "data": {"values": [{"subject": subject, "ceiling": value} for subject, value in ceilings.items()]},
                "mark": {"type": "tick", "thickness": 2, "size": 26, "color": GREY},
                "encoding": {
                    "x": {"field": "ceiling", "type": "quantitative"},
                    "tooltip": [{"field": "subject"}, {"field": "ceiling", "format": ".3f", "title": "noise ceiling"}],
                },
            }
        )
    return {
        "height": 46 * len(subjects) + 110,
        "layer": layers,
        "encoding": {"y": {"field": "subject", "type": "nominal", "sort": subjects, "title": None, "axis": {"grid": True, "labelOverlap": False}}},
    }


def layer_profile_chart(rows: list[dict[str, Any]], layers: list[int]) -> Spec:
    """r over the layers of the model: ``rows`` have layer, series, subject and r; lines join means, points are subjects."""
    series = list(dict.fromkeys(row["series"] for row in rows))
    colours = {"domain": series, "range": [BLUE, ORANGE, GREY][: len(series)]}
    return {
        "data": {"values": rows},
        "height": 340,
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 110, "filled": True}},
                "encoding": {
                    "y": {"aggregate": "mean", "field": "r", "type": "quantitative"},
                    "strokeDash": {"field": "series", "legend": None, "scale": {"domain": series, "range": [[1, 0], [6, 3], [2, 2]][: len(series)]}},
                    "tooltip": [{"field": "layer"}, {"field": "series", "title": "model"}, {"aggregate": "mean", "field": "r", "format": ".3f"}],
                },
            },
            {
                "mark": {"type": "point", "size": 40, "opacity": 0.6},
                "encoding": {
                    "y": {"field": "r", "type": "quantitative", "title": "r, mean over predicted cortex", "scale": {"zero": False}},
                    "tooltip": [{"field": "layer"}, {"field": "subject"}, {"field": "series", "title": "model"}, {"field": "r", "format": ".3f"}],
                },
            },
        ],
        "encoding": {
            "x": {
                "field": "layer",
                "type": "quantitative",
                "title": "Layer",
                "scale": {"domain": [min(layers) - 1, max(layers) + 1], "nice": False},
                "axis": {"values": layers, "grid": False, "format": "d"},
            },
            "color": {"field": "series", "scale": colours, "legend": {"orient": "top", "title": None}},
        },
    }


def heat_map(cells: list[dict[str, Any]], rows: list[str], columns: list[str], end: float, *, legend: bool) -> Spec:
    """Contribution of subcategories to parcels: ``cells`` have row, column, r and predicted; predicted ones bear a diamond.

    Colours reach from -``end`` to ``end``.
    """
    names = {"labelAngle": -55, "labelOverlap": False, "labelLimit": 160}
    bar = {"orient": "top", "gradientLength": 240, "title": "Unique contribution, r"} if legend else None
    scale = {"scheme": "blueorange", "domain": [-end, end], "domainMid": 0}
    diamond = {"type": "point", "shape": "diamond", "filled": True, "size": 46, "color": "black", "stroke": "white", "strokeWidth": 1, "opacity": 1}
    return {
        "data": {"values": cells},
        "height": 30 * len(rows) + 140 + 60 * legend,
        "layer": [
            {"mark": {"type": "rect"}, "encoding": {"color": {"field": "r", "type": "quantitative", "scale": scale, "legend": bar}}},
            {"transform": [{"filter": "datum.predicted"}], "mark": diamond},
        ],
        "encoding": {
            "x": {"field": "column", "type": "nominal", "sort": columns, "title": None, "axis": names},
            "y": {"field": "row", "type": "nominal", "sort": rows, "title": None, "axis": {"labelOverlap": False}},
            "tooltip": [
                {"field": "row", "title": "subcategory"},
                {"field": "column", "title": "parcel"},
                {"field": "r", "format": ".4f", "title": "contribution in r"},
                {"field": "predicted", "title": "predicted by the codebook"},
            ],
        },
    }


def parts_chart(rows: list[dict[str, Any]], order: list[str]) -> Spec:
    """Parts of variance, stacked: ``rows`` have row, part and r2."""
    parts = list(dict.fromkeys(row["part"] for row in rows))
    return {
        "data": {"values": rows},
        "height": 34 * len(order) + 120,
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": "row", "type": "nominal", "sort": order, "title": None, "axis": {"labelOverlap": False}},
            "x": {"field": "r2", "type": "quantitative", "title": "R², mean over predicted parcels"},
            "color": {"field": "part", "scale": {"domain": parts, "range": [BLUE, GREY][: len(parts)]}, "legend": {"orient": "top", "title": None}},
            "order": {"field": "part", "sort": "descending"},
            "tooltip": [{"field": "row", "title": "subcategory"}, {"field": "part"}, {"field": "r2", "format": ".4f", "title": "R²"}],
        },
    }
