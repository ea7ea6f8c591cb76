from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.surface import render
from saebrain.surface.atlas import desikan_killiany
from saebrain.surface.colour import DIVERGING, QUALITATIVE, SEQUENTIAL
from saebrain.surface.mesh import fsaverage5
from saebrain.surface.render import MASK_GREY, categories_strip, cells, limits, strip, thumbnail

ATLAS = desikan_killiany()
WIDTH = 480
VIEWS = ["Left lateral", "Left medial", "Right medial", "Right lateral"]
WAVES = np.sin(fsaverage5().mesh("white").coordinates @ np.array([0.05, 0.07, 0.06])).astype(np.float32)


def one_parcel(hemisphere: str, parcel: str) -> np.ndarray:
    return ATLAS.mask("left" if hemisphere == "left" else "right", parcel).astype(np.float32)


def redness(picture: np.ndarray) -> np.ndarray:
    """True where a pixel has the colour of high values, not a grey."""
    rgb = picture[..., :3].astype(int)
    return (rgb[..., 0] - rgb[..., 2] > 60) & (picture[..., 3] == 255)


def place(mask: np.ndarray, view: str) -> tuple[float, float]:
    """Mean position of some pixels in one view: 0 at its left and bottom, 1 at its right and top. NaN if there are none."""
    cell = next(cell for cell in cells("inflated", mask.shape[1]) if cell.name == view)
    rows, columns = np.nonzero(mask[:, cell.left : cell.right])
    if len(rows) == 0:
        return np.nan, np.nan
    return float(columns.mean() / (cell.right - cell.left)), float(1 - rows.mean() / len(mask))


@pytest.mark.parametrize("hemisphere", ["left", "right"])
@pytest.mark.parametrize(
    ("parcel", "side"),
    [
        ("transversetemporal", "lateral"),
        ("insula", "lateral"),
        ("superiortemporal", "lateral"),
        ("supramarginal", "lateral"),
        ("isthmuscingulate", "medial"),
        ("precuneus", "medial"),
        ("cuneus", "medial"),
        ("rostralanteriorcingulate", "medial"),
    ],
)
def test_parcels_show_on_their_own_side_only(hemisphere: str, parcel: str, side: str) -> None:
    red = redness(strip(one_parcel(hemisphere, parcel), width=WIDTH, threshold=0.5))
    area = {view: red[:, cell.left : cell.right].sum() for view, cell in zip(VIEWS, cells("inflated", WIDTH), strict=True)}
    right_view = f"{hemisphere.capitalize()} {side}"
    assert area[right_view] > 30
    assert area[right_view] > 0.9 * sum(area.values())
    other = "Right" if hemisphere == "left" else "Left"
    assert area[f"{other} lateral"] == area[f"{other} medial"] == 0


@pytest.mark.parametrize(("view", "front_is_left"), list(zip(VIEWS, [True, False, True, False], strict=True)))
def test_the_brain_faces_the_right_way(view: str, front_is_left: bool) -> None:
    hemisphere, side = view.split()
    front, back, top, bottom = (
        place(redness(strip(one_parcel(hemisphere.lower(), parcel), width=WIDTH, threshold=0.5)), view)
        for parcel in (
            "frontalpole" if side == "medial" else "rostralmiddlefrontal",
            "cuneus" if side == "medial" else "lateraloccipital",
            "paracentral" if side == "medial" else "superiorparietal",
            "entorhinal" if side == "medial" else "inferiortemporal",
        )
    )
    assert (front[0] < 0.25) if front_is_left else (front[0] > 0.75)
    assert (back[0] > 0.75) if front_is_left else (back[0] < 0.25)
    assert top[1] > 0.7
    assert bottom[1] < 0.35


def test_picture_is_opaque_on_the_brain_and_clear_around_it() -> None:
    picture = strip(WAVES, width=WIDTH)
    assert picture.dtype == np.uint8
    assert picture.shape[1] == WIDTH
    assert 0.13 < picture.shape[0] / WIDTH < 0.2
    assert set(np.unique(picture[..., 3])) == {0, 63, 127, 191, 255}  # smooth edges
    assert not picture[0, 0].any()


def test_colours_are_those_of_the_table() -> None:
    """Where the surface faces the light, full colour; elsewhere the same colour, darker."""
    for symmetric, table in ((True, DIVERGING), (False, SEQUENTIAL)):
        picture = strip(np.ones(20_484), width=WIDTH, symmetric=symmetric)
        pixels = picture[picture[..., 3] == 255][:, :3].astype(float)
        assert pixels.max(axis=0).tolist() == table[-1].tolist()
        share = pixels[:, 0] / float(table[-1, 0])
        assert share.min() > 0.5
        np.testing.assert_allclose(pixels, share[:, None] * table[-1], atol=3)


def test_what_was_not_measured_is_flat_grey() -> None:
    values = np.where(ATLAS.labels >= 0, WAVES, np.nan)
    picture = strip(values, width=WIDTH)
    grey = (np.ptp(picture[..., :3].astype(int), axis=-1) == 0) & (picture[..., 3] == 255)
    assert place(grey, "Left medial")[1] == pytest.approx(0.45, abs=0.15)
    assert picture[grey].max() == 255 == picture[grey][:, 3].min()
    assert np.quantile(picture[grey][:, :3], 0.99) <= MASK_GREY  # the few others are near 0, white in the map
    lateral = cells("inflated", WIDTH)[0]
    assert grey[:, lateral.left : lateral.right].mean() < 0.01


def test_a_map_without_values_is_all_grey() -> None:
    picture = strip(np.full(20_484, np.nan), width=WIDTH)
    pixels = picture[picture[..., 3] == 255][:, :3]
    assert np.ptp(pixels.astype(int), axis=1).max() == 0
    assert pixels.max() == MASK_GREY


def test_threshold_shows_the_folds() -> None:
    everything, some, nothing = (strip(WAVES, width=WIDTH, threshold=threshold) for threshold in (0, 0.5, 2))
    greys = [np.ptp(picture[..., :3].astype(int), axis=-1) <= 1 for picture in (everything, some, nothing)]
    assert greys[0].mean() < greys[1].mean() < greys[2].mean() == 1
    folds = nothing[nothing[..., 3] == 255][:, 0]
    assert folds.min() > 80  # lighter than the grey of the mask, even in the shade
    assert np.quantile(folds, 0.9) - np.quantile(folds, 0.1) > 30  # gyri and sulci


def test_a_value_at_the_threshold_is_shown() -> None:
    values = one_parcel("left", "precuneus") * np.float32(0.3)
    assert redness(strip(values, width=WIDTH, threshold=0.3, vmax=0.3)).any()


def test_infinite_values_have_the_end_colours() -> None:
    values = WAVES.copy()
    values[ATLAS.mask("left", "superiorparietal")] = np.inf
    values[ATLAS.mask("left", "precuneus")] = -np.inf
    clipped = np.clip(values, -1, 1)
    np.testing.assert_array_equal(strip(values, width=WIDTH, vmax=1), strip(clipped, width=WIDTH, vmax=1))


def test_outlines_follow_the_borders() -> None:
    plain, outlined = strip(WAVES, width=WIDTH), strip(WAVES, width=WIDTH, outlines=ATLAS.labels)
    changed = np.any(plain != outlined, axis=-1)
    assert 0.02 < changed.mean() < 0.2
    assert outlined[changed][:, :3].mean() < plain[changed][:, :3].mean() - 30
    np.testing.assert_array_equal(strip(WAVES, width=WIDTH, outlines=np.zeros(20_484, int)), plain)


def test_table_is_built_once_per_surface_and_width() -> None:
    strip(WAVES, width=WIDTH)
    before = render._canvas.cache_info()
    strip(-WAVES, width=WIDTH, threshold=0.1)
    after = render._canvas.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)


@pytest.mark.parametrize("surface", ["pial", "white", "flat"])
def test_other_surfaces_are_drawn(surface: str) -> None:
    picture = strip(WAVES, surface=surface, width=WIDTH, outlines=ATLAS.labels)
    assert 0.5 < np.mean(picture[..., 3] > 0) < 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"surface": "sphere"}, "unknown surface 'sphere'"),
        ({"width": 20}, "width of 20"),
        ({"width": 100_000}, "width of 100000"),
        ({"threshold": -0.1}, "threshold = -0.1"),
        ({"threshold": np.nan}, "threshold = nan"),
        ({"vmax": np.inf}, "vmax = inf"),
        ({"vmax": -1}, "range from 1 to -1"),
        ({"vmin": -1, "vmax": 2}, "not symmetric"),
        ({"vmin": 2, "vmax": 1, "symmetric": False}, "range from 2 to 1"),
        ({"outlines": np.zeros(10_242, int)}, "20,484 vertices"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        strip(WAVES, **{"width": WIDTH, **options})


@pytest.mark.parametrize("shape", [(10_242,), (20_485,), (1, 20_484)])
def test_other_numbers_of_vertices_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="20,484 vertices"):
        strip(np.zeros(shape))


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        ([-3.0, 1.0, np.nan, np.inf], {}, (-3, 3)),
        ([-3.0, 1.0], {"vmax": 0.5}, (-0.5, 0.5)),
        ([-3.0, 1.0], {"vmin": -0.5}, (-0.5, 0.5)),
        ([0.0, 0.0], {}, (-1, 1)),
        ([np.nan], {}, (-1, 1)),
        ([2.0, 3.0], {"symmetric": False}, (0, 3)),
        ([-2.0, -1.0], {"symmetric": False}, (-2, 0)),
        ([0.0, np.nan], {"symmetric": False}, (0, 1)),
        ([2.0, 3.0], {"symmetric": False, "vmin": 1}, (1, 3)),
    ],
)
def test_colour_range(values: list[float], options: dict[str, Any], expected: tuple[float, float]) -> None:
    assert limits(np.array(values), **options) == expected


def test_categories_have_their_own_colours() -> None:
    labels = np.full(20_484, -1)
    for category, parcel in enumerate(("precuneus", "superiortemporal", "lateraloccipital")):
        labels[ATLAS.mask("left", parcel)] = category
    picture = categories_strip(labels, QUALITATIVE[:5], measured=ATLAS.labels >= 0, width=WIDTH)
    opaque = picture[picture[..., 3] == 255]
    hue = opaque[:, :3] / np.maximum(opaque[:, :3].max(axis=1, keepdims=True), 1)
    for category in range(5):
        own = QUALITATIVE[category] / QUALITATIVE[category].max()
        found = np.abs(hue - own).max(axis=1) < 0.02
        assert found.sum() > 100 if category < 3 else not found.any()
    greys = opaque[np.ptp(opaque[:, :3].astype(int), axis=1) <= 1][:, 0]
    assert (greys <= MASK_GREY).any()
    assert (greys > 150).any()


@pytest.mark.parametrize("labels", [np.full(20_484, 5), np.full(20_484, -2), np.zeros(20_484)])
def test_labels_without_a_colour_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(InputError, match="integers from -1"):
        categories_strip(labels, QUALITATIVE[:5], width=WIDTH)


def test_thumbnail_is_small() -> None:
    height, width, channels = thumbnail(WAVES, threshold=0.3).shape
    assert (width, channels) == (320, 4)
    assert 45 <= height <= 65
