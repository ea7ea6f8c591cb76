"""Charts of the quality page hold the figures that they are given, and a SAE keeps its colour in all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from saebrain.pipeline.sae_figures import Measurement, measurement
from saebrain.pipeline.sae_quality import KnownSAE
from saebrain.ui import quality_plots as plots

LABELS = ["one", "two", "three"]
DENSITY = {"log10_edges": [-3.0, -2.0, -1.0, 0.0], "counts": [6, 2, 0], "never": 2}


def known(label: str, layer: int | None, *measured: Measurement) -> KnownSAE:
    return KnownSAE(label, label, Path(label), "finished", False, layer, "topk", 10, 4, None, measured)


def on(text: Any, **figures: Any) -> Measurement:
    return measurement(text, figures, "text")


def colours(encoding: dict[str, Any]) -> dict[str, str]:
    scale = encoding["color"]["scale"]
    return dict(zip(scale["domain"], scale["range"], strict=True))


def test_figures_by_layer() -> None:
    saes = [
        known("one", 5, on("other", fvu=0.2), on("study", fvu=0.3)),
        known("two", 15, on("other", fvu=0.1)),
        known("three", None, on("other", fvu=0.9)),
    ]
    spec = plots.by_layer(plots.FIGURES[0], saes)
    assert [(value["sae"], value["layer"], value["value"]) for value in spec["data"]["values"]] == [
        ("one", 5, 0.2),
        ("one", 5, 0.3),
        ("two", 15, 0.1),
    ]
    points = spec["layer"][1]["encoding"]
    assert colours(points) == {"one": plots.COLOURS[0], "two": plots.COLOURS[1]} and points["color"]["legend"] is None
    assert points["shape"]["legend"]["values"] == [plots.TEXTS["other"], plots.TEXTS["study"]]
    assert spec["encoding"]["x"]["axis"]["values"] == [5, 15]


def test_saes_of_one_layer_are_told_apart_by_a_legend() -> None:
    spec = plots.by_layer(plots.FIGURES[0], [known("one", 5, on("other", fvu=0.2)), known("two", 5, on("other", fvu=0.1))])
    assert spec["layer"][1]["encoding"]["color"]["legend"]["orient"] == "top"


@pytest.mark.parametrize(
    ("field", "value", "domain"), [("ce_recovered", 0.98, [0.9, 1]), ("ce_recovered", 0.4, [0.4, 1]), ("dead_fraction", 0.0, [0, 0.01])]
)
def test_ends_of_axes(field: str, value: float, domain: list[float]) -> None:
    figure = next(figure for figure in plots.FIGURES if figure.field == field)
    assert plots.by_layer(figure, [known("one", 5, on("other", **{field: value}))])["encoding"]["y"]["scale"]["domain"] == domain


def test_densities_are_shares_of_all_features() -> None:
    spec = plots.densities({"two": DENSITY}, LABELS)
    shares = {round(value["from"], 6): value["share"] for value in spec["data"]["values"]}
    assert shares[0.001] == pytest.approx(0.6) and shares[0.01] == pytest.approx(0.2)
    assert colours(spec["encoding"]) == {"two": plots.COLOURS[1]}
    assert spec["encoding"]["strokeDash"]["scale"] == {"domain": ["two"], "range": [plots.DASHES[1]]}


def test_curves_in_units_of_the_axis() -> None:
    log = pd.DataFrame({"step": [0, 10], "tokens": [2_000_000, 4_000_000], "seconds": [60.0, 180.0], "fvu": [0.5, None]})
    fvu = next(figure for figure in plots.CURVES if figure.field == "fvu")
    at = {over: [value["at"] for value in plots.curve(fvu, {"one": log}, over, LABELS)["data"]["values"]] for over in plots.OVER}
    assert at == {"tokens": [2.0], "step": [0.0], "seconds": [1.0]}  # a figure that is missing is no point


def test_long_curves_are_thinned_but_keep_both_ends() -> None:
    step = list(range(10_007))
    log = pd.DataFrame({"step": step, "tokens": step, "loss": step})
    shown = [value["step"] for value in plots.curve(plots.CURVES[0], {"one": log}, "step", LABELS)["data"]["values"]]
    assert len(shown) <= plots.POINTS_A_CURVE and (shown[0], shown[-1]) == (0, 10_006)


def test_a_log_without_the_figure_is_left_out() -> None:
    old, new = pd.DataFrame({"step": [1], "tokens": [9]}), pd.DataFrame({"step": [1], "tokens": [9], "loss": [0.5]})
    spec = plots.curve(plots.CURVES[0], {"one": old, "two": new}, "tokens", LABELS)
    assert [value["sae"] for value in spec["data"]["values"]] == ["two"]
