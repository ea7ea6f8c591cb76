"""Charts. Colours are told apart by lightness too and stand out on light and dark pages; Streamlit's theme does the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from saebrain.pipeline.selection import ALL, NUISANCE
from saebrain.taxonomy import SEMANTIC
from saebrain.ui.text import escaped

BLUE, ORANGE, GREY = "#4a86e8", "#e0762b", "#8a8f98"
CONFIG: dict[str, Any] = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"]}


def subcategory_chart(subcategories: dict[str, Any]) -> go.Figure:
    """Mean r in predicted and in other parcels, a row per subcategory: bars are means, points subjects.

    ``subcategories`` is that part of summary.json.
    """
    figure = go.Figure()
    for key, title, colour, symbol in (("r_predicted", "predicted parcels", BLUE, "circle"), ("r_other", "all other parcels", ORANGE, "diamond")):
        rows = {name.capitalize(): {subject: r[key] for subject, r in values["by_subject"].items()} for name, values in subcategories.items()}
        _add_rows(figure, rows, title, colour, symbol)
    return _finished(figure, "r of the subcategory's features", height=300)


def accuracy_chart(r_by_subject: dict[str, dict[str, float]]) -> go.Figure:
    """Mean r over predicted cortex of all features, semantic features and nuisance alone: bars are means, points subjects."""
    titles = {ALL: "All features", SEMANTIC: "Semantic only", NUISANCE: "Nuisance only"}
    figure = go.Figure()
    _add_rows(figure, {title: r_by_subject[name] for name, title in titles.items() if name in r_by_subject}, "predicted cortex", BLUE, "circle")
    return _finished(figure, "r of the whole prediction", height=300)


def _add_rows(figure: go.Figure, rows: dict[str, dict[str, float]], title: str, colour: str, symbol: str) -> None:
    """A row per name: its mean over subjects as an upright bar, its subjects as points."""
    names = list(rows)[::-1]  # the first row is drawn on top
    points = [(name, subject, r) for name in names for subject, r in rows[name].items()]
    figure.add_scatter(
        x=[float(np.mean(list(rows[name].values()))) for name in names],
        y=names,
        mode="markers",
        marker={"color": colour, "symbol": "line-ns", "size": 20, "line": {"width": 3, "color": colour}},
        name=title,
        hovertemplate="mean: r = %{x:.3f}<extra>" + title + "</extra>",
        legendgroup=title,
        showlegend=False,
    )
    figure.add_scatter(
        x=[r for _, _, r in points],
        y=[name for name, _, _ in points],
        customdata=[escaped(subject) for _, subject, _ in points],
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 8, "opacity": 0.7},
        name=title,
        hovertemplate="%{customdata}: r = %{x:.3f}<extra>" + title + "</extra>",
        legendgroup=title,
        showlegend=True,
    )


def histogram(counts: list[int], largest: float) -> go.Figure:
    """How often a feature is active how strongly: counts in equal bins from 0 to its maximum, on a logarithmic axis."""
    edges = np.linspace(0, largest, len(counts) + 1)
    centres, width = (edges[:-1] + edges[1:]) / 2, largest / max(len(counts), 1)
    figure = go.Figure(
        go.Bar(
            x=centres,
            y=counts,
            width=width * 0.92,
            marker_color=BLUE,
            customdata=np.stack([edges[:-1], edges[1:]], axis=1),
            hovertemplate="%{y} tokens from %{customdata[0]:.1f} to %{customdata[1]:.1f}<extra></extra>",
        )
    )
    figure.update_yaxes(type="log", title="Tokens (log scale)", dtick=1, range=[-0.3, np.log10(max(*counts, 2)) + 0.15])
    figure.update_xaxes(title="Activation (units of the SAE)")
    return figure.update_layout(height=240, margin={"l": 10, "r": 10, "t": 10, "b": 10}, bargap=0)


def parcel_chart(parcels: pd.DataFrame, label: str) -> go.Figure:
    """Mean r of every parcel: a row a parcel, left and right hemisphere as two points, predicted parcels in colour and by name."""
    mean = parcels.groupby("parcel")["r"].mean().sort_values(na_position="first")
    predicted = set(parcels.loc[parcels["predicted"], "parcel"])
    shown = {name: f"<b>{escaped(name)}</b>" if name in predicted else escaped(name) for name in mean.index}
    figure = go.Figure()
    for hemisphere, symbol in (("left", "triangle-left"), ("right", "triangle-right")):
        for inside, colour, title in ((True, BLUE, "predicted"), (False, GREY, "other")):
            rows = parcels[(parcels["hemisphere"] == hemisphere) & (parcels["predicted"] == inside)]
            if len(rows):
                figure.add_scatter(
                    x=rows["r"],
                    y=[shown[name] for name in rows["parcel"]],
                    mode="markers",
                    marker={"symbol": symbol, "size": 10, "color": colour},
                    name=f"{hemisphere}, {title}",
                    hovertemplate=f"{hemisphere} %{{y}}: r = %{{x:.3f}}<extra>{title}</extra>",
                )
    figure.update_yaxes(categoryorder="array", categoryarray=[shown[name] for name in mean.index], tickfont={"size": 11}, dtick=1)
    return _finished(figure, label, height=720)


def _finished(figure: go.Figure, label: str, *, height: int) -> go.Figure:
    figure.update_xaxes(title=label, zeroline=True, zerolinewidth=1, showgrid=True, rangemode="tozero")
    figure.update_yaxes(showgrid=True, automargin=True)
    return figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 36, "b": 10},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "left", "x": 0, "title": None},
    )
