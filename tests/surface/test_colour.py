from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.surface.colour import DIVERGING, QUALITATIVE, SEQUENTIAL, colourise, levels, oklab, srgb
from saebrain.surface.render import GYRUS_GREY, MASK_GREY, SULCUS_GREY

# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
COLOUR_BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def as_seen(table: np.ndarray, kind: str) -> np.ndarray:
    """OKLab of uint8 colours as a colour-blind person sees them."""
    unit = table / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(COLOUR_BLIND[kind]).T, 0, 1)
    return oklab(np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055))


def test_oklab_agrees_with_published_values() -> None:
    """Ottosson 2020: white, and the sRGB primary red."""
    np.testing.assert_allclose(oklab(np.array([255, 255, 255], np.uint8)), [1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(oklab(np.array([1.0, 0.0, 0.0])), [0.62796, 0.22486, 0.12585], atol=1e-4)


def test_srgb_undoes_oklab() -> None:
    colours = np.random.default_rng(0).random((500, 3))
    np.testing.assert_allclose(srgb(oklab(colours)), colours, atol=1e-6)


@pytest.mark.parametrize("table", [DIVERGING[:128], DIVERGING[128:], SEQUENTIAL])
def test_equal_differences_look_equal(table: np.ndarray) -> None:
    steps = np.linalg.norm(np.diff(oklab(table)[::5], axis=0), axis=1)  # 5 rows: above the rounding to 8 bits
    assert steps.max() / steps.min() < 1.25


def test_diverging_map_is_even_handed() -> None:
    assert DIVERGING.shape == SEQUENTIAL.shape == (256, 3)
    assert DIVERGING.dtype == SEQUENTIAL.dtype == np.uint8
    lab = oklab(DIVERGING)
    lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    np.testing.assert_allclose(lightness, lightness[::-1], atol=0.01)
    np.testing.assert_allclose(chroma, chroma[::-1], atol=0.01)
    assert np.all(np.diff(lightness[:128:4]) > 0)
    assert lightness[127:129].min() > 0.95
    assert chroma[127:129].max() < 0.01


def test_sequential_map_darkens_all_the_way() -> None:
    assert np.all(np.diff(oklab(SEQUENTIAL)[::4, 0]) < 0)


@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_sign_and_size_survive_colour_blindness(kind: str) -> None:
    seen = as_seen(DIVERGING, kind)
    for distance in (64, 127):  # half way and all the way out
        assert np.linalg.norm(seen[128 + distance] - seen[127 - distance]) > 0.15
    assert np.all(np.diff(as_seen(SEQUENTIAL, kind)[::8, 0]) < 0)


@pytest.mark.parametrize(("kind", "least"), [("normal", 0.21), *((kind, 0.18) for kind in COLOUR_BLIND)])
def test_categories_are_told_apart(kind: str, least: float) -> None:
    def look(table: np.ndarray) -> np.ndarray:
        return oklab(table) if kind == "normal" else as_seen(table, kind)

    five = look(QUALITATIVE[:5])
    assert min(np.linalg.norm(a - b) for a, b in combinations(five, 2)) > least
    greys = look(np.repeat(np.array([[GYRUS_GREY], [SULCUS_GREY], [MASK_GREY], [128]], np.uint8), 3, axis=1))
    assert min(np.linalg.norm(colour - grey) for colour in five for grey in greys) > 0.09
    assert len(set(QUALITATIVE[5])) == 1


def test_colourise_spans_the_table() -> None:
    colours = colourise(np.array([-2.0, -1.0, 0.0, 1.0, 2.0, np.nan, -np.inf, np.inf]), -1, 1, DIVERGING)
    assert colours[:, :3][[0, 1, 6]].tolist() == [DIVERGING[0].tolist()] * 3
    assert colours[:, :3][[3, 4, 7]].tolist() == [DIVERGING[-1].tolist()] * 3
    assert colours[2, :3].tolist() == DIVERGING[128].tolist()
    assert colours[5].tolist() == [0, 0, 0, 0]
    assert set(colours[[0, 1, 2, 3, 4, 6, 7], 3]) == {255}


def test_levels_are_evenly_wide() -> None:
    counts = np.bincount(levels(np.linspace(0, 1, 255_001), 0, 1), minlength=256)
    assert counts[1:-1].min() >= 999
    assert counts[1:-1].max() <= 1001


@pytest.mark.parametrize(("vmin", "vmax"), [(1, 1), (1, 0), (np.nan, 1)])
def test_empty_colour_range_is_refused(vmin: float, vmax: float) -> None:
    with pytest.raises(InputError, match="must be below"):
        colourise(np.zeros(3), vmin, vmax, SEQUENTIAL)
