from __future__ import annotations

import base64
import importlib.util
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from saebrain.errors import InputError
from saebrain.surface import lettering
from saebrain.surface.atlas import desikan_killiany
from saebrain.surface.colour import DIVERGING, QUALITATIVE, SEQUENTIAL
from saebrain.surface.figure import Theme, categories_png, figure_png
from saebrain.surface.lettering import format_ticks, nice_ticks, text_length
from saebrain.surface.marks import png_url
from saebrain.surface.mesh import fsaverage5
from saebrain.surface.page import FOLDS_COLOUR
from saebrain.surface.render import MASK_GREY, strip

WIDTH = 480
ATLAS = desikan_killiany()
WAVES = np.where(ATLAS.labels >= 0, np.sin(fsaverage5().mesh("white").coordinates @ np.array([0.05, 0.07, 0.06])), np.nan).astype(np.float32)


def read(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    assert image.mode == "RGBA"
    return np.asarray(image)


def bar_colours(picture: np.ndarray) -> np.ndarray:
    """Colours along the bar, which is the last stretch of opaque pixels over the middle third of the figure."""
    middle = picture[:, round(WIDTH * 0.35) : round(WIDTH * 0.65)]
    row = np.flatnonzero(np.all(middle[..., 3] == 255, axis=1))[-4]
    return middle[row, :, :3]


def test_figure_holds_the_strip() -> None:
    picture = read(figure_png(WAVES, label="Correlation (r)", width=WIDTH))
    brain = strip(WAVES, width=WIDTH)
    assert picture.shape[1] == WIDTH
    top = np.flatnonzero((picture[:, 3:60, 3] == 255).any(axis=1))
    assert any(np.array_equal(picture[y : y + len(brain)], brain) for y in range(int(top[0]) + 1))


def test_colour_bar_runs_through_the_table() -> None:
    for symmetric, table in ((True, DIVERGING), (False, SEQUENTIAL)):
        colours = bar_colours(read(figure_png(np.abs(WAVES), label="r", symmetric=symmetric, width=WIDTH))).astype(int)
        assert np.abs(colours[0] - table[0]).max() < 8
        assert np.abs(colours[-1] - table[-1]).max() < 8
        assert np.abs(colours[len(colours) // 4] - table[64]).max() < 12


def test_colour_bar_is_grey_below_the_threshold() -> None:
    colours = bar_colours(read(figure_png(WAVES, label="r", threshold=0.5, vmax=1, width=WIDTH)))
    grey = np.all(colours == FOLDS_COLOUR, axis=1)
    assert grey.mean() == pytest.approx(0.5, abs=0.04)
    assert grey[len(grey) // 2]


def test_bar_is_pointed_only_where_values_lie_beyond() -> None:
    def beyond_the_ends(picture: np.ndarray) -> tuple[bool, bool]:
        left, right = round(WIDTH * 0.35), round(WIDTH * 0.65)
        row = np.flatnonzero(np.all(picture[:, left:right, 3] == 255, axis=1))[-4]
        return bool(picture[row, left - 2, 3]), bool(picture[row, right + 1, 3])

    assert beyond_the_ends(read(figure_png(WAVES, label="r", width=WIDTH))) == (False, False)
    assert beyond_the_ends(read(figure_png(WAVES, label="r", vmax=0.5, width=WIDTH))) == (True, True)
    assert beyond_the_ends(read(figure_png(np.abs(WAVES), label="r", vmax=0.5, width=WIDTH))) == (False, True)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_map_without_values_has_an_empty_bar(theme: Theme) -> None:
    picture = read(figure_png(np.full(20_484, np.nan), label="Correlation (r)", theme=theme, width=WIDTH))
    left, right = round(WIDTH * 0.35), round(WIDTH * 0.65)
    edges = np.flatnonzero(np.all(picture[:, left:right, 3] == 255, axis=1))
    assert np.diff(edges) == 7  # 8 pixels high
    assert not picture[edges[0] + 1 : edges[1], left + 1 : right - 1].any()
    coloured = np.ptp(picture[..., :3].astype(int), axis=-1) > 20
    assert not coloured[picture[..., 3] == 255].any()


@pytest.mark.parametrize("value", [0.0, 0.2, -3e-7, 1e9])
@pytest.mark.parametrize("symmetric", [True, False])
def test_constant_maps_are_drawn(value: float, symmetric: bool) -> None:
    assert read(figure_png(np.full(20_484, value), label="x", symmetric=symmetric, threshold=0.1, width=WIDTH)).shape[1] == WIDTH


def test_theme_changes_the_text_and_not_the_brain() -> None:
    light, dark = (read(figure_png(WAVES, label="r", title="Map", theme=theme, width=WIDTH)) for theme in ("light", "dark"))
    changed = np.flatnonzero(np.any(light != dark, axis=-1).any(axis=1))
    text = (light[..., 3] == 255) & (light[..., :3].max(axis=-1) < 60)
    assert dark[text][:, :3].min() >= 100
    brain = range(60, 100)
    assert not set(brain) & set(changed)


def test_background_fills_the_page() -> None:
    picture = read(figure_png(WAVES, label="r", background="#0e1117", theme="dark", width=WIDTH))
    assert picture[..., 3].min() == 255
    assert picture[0, 0].tolist() == [14, 17, 23, 255]
    assert not read(figure_png(WAVES, label="r", width=WIDTH))[0, 0].any()


def test_title_stands_above_and_stays_inside() -> None:
    plain, short, long = (read(figure_png(WAVES, label="r", title=title, width=WIDTH)) for title in ("", "Map", "long title " * 100_000))
    assert len(plain) < len(short) == len(long)
    title = long[: len(long) - len(plain), :, 3] > 0
    columns = np.flatnonzero(title.any(axis=0))
    assert 5 <= columns[0] < 80
    assert WIDTH - 80 < columns[-1] <= WIDTH - 5


def test_control_characters_do_not_break_lines() -> None:
    one, other = (figure_png(WAVES, label="r", title=title, width=WIDTH) for title in ("two words", "two\n\t\0words"))
    assert one == other


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"theme": "blue"}, "theme 'blue'"),
        ({"background": "nonsense"}, "'nonsense' is no colour"),
        ({"width": 200}, "width of 200"),
        ({"width": 10**9}, "width of 1000000000"),
        ({"threshold": -1}, "threshold"),
        ({"surface": "sphere"}, "'sphere'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        figure_png(WAVES, label="r", **{"width": WIDTH, **options})


def test_half_a_map_is_refused() -> None:
    with pytest.raises(InputError, match="20,484"):
        figure_png(WAVES[:10_242], label="r")


def test_legend_names_every_category() -> None:
    labels = np.where(ATLAS.labels >= 0, ATLAS.labels % 5, -1)
    names = ["Social", "Action", "Spatial", "Emotion", "Temporal"]
    figure = read(categories_png(labels, QUALITATIVE[:5], names, none="none", measured=ATLAS.labels >= 0, width=WIDTH))
    legend = figure[-25:]
    for colour in (*QUALITATIVE[:5], np.array(FOLDS_COLOUR), np.full(3, MASK_GREY)):
        assert np.all(legend == [*colour, 255], axis=-1).sum() == 81  # a swatch of 9 x 9
    wrapped = read(categories_png(labels, QUALITATIVE[:5], [f"{name} and its many relations" for name in names], width=WIDTH))
    assert len(wrapped) > len(figure)
    with pytest.raises(InputError, match="4 names for 5 colours"):
        categories_png(labels, QUALITATIVE[:5], names[:4], width=WIDTH)


def test_png_url_keeps_the_picture() -> None:
    picture = strip(WAVES, width=WIDTH)
    np.testing.assert_array_equal(read(base64.b64decode(png_url(picture).removeprefix("data:image/png;base64,"))), picture)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.3, 0.3, ["−0.3", "−0.2", "−0.1", "0.0", "0.1", "0.2", "0.3"]),
        (-0.2384, 0.2384, ["−0.2", "−0.1", "0.0", "0.1", "0.2"]),
        (0, 0.07, ["0.00", "0.02", "0.04", "0.06"]),
        (0, 40, ["0", "10", "20", "30", "40"]),
        (-1, 1, ["−1.0", "−0.5", "0.0", "0.5", "1.0"]),
        (0, 3e-7, ["0", "5e−08", "1e−07", "1.5e−07", "2e−07", "2.5e−07", "3e−07"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[str]) -> None:
    assert format_ticks(nice_ticks(low, high)) == expected


@pytest.mark.parametrize("span", np.geomspace(1e-6, 1e6, 37))
def test_ticks_are_few_and_inside(span: float) -> None:
    ticks = nice_ticks(-span, span)
    assert 3 <= len(ticks) <= 7
    assert 0 in ticks
    assert np.all(np.abs(ticks) <= span * (1 + 1e-6))
    assert len(set(format_ticks(ticks))) == len(ticks)


@pytest.fixture
def only_pillow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No Streamlit, so no typeface but Pillow's."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "streamlit" else real(name, *rest))
    for cached in (lettering.typeface, lettering._source_sans):
        cached.cache_clear()
    yield
    for cached in (lettering.typeface, lettering._source_sans):
        cached.cache_clear()


@pytest.mark.usefixtures("only_pillow")
def test_signs_pillow_lacks_are_spelled_in_ascii() -> None:
    assert text_length("−0.5 ≥ é", 20) == text_length("-0.5 >= e", 20)
    assert read(figure_png(WAVES, label="Korrelation, gekürzt (r)", title="Größe 中", threshold=0.2, width=WIDTH)).shape[1] == WIDTH


def test_text_is_set_in_the_dashboards_typeface() -> None:
    font = lettering.typeface(20, 400)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert str(font.getname()[0]).startswith("Source")
    assert text_length("−≥²éµ", 40) > 60
