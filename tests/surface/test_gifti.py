from __future__ import annotations

import io
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from nibabel.gifti import GiftiImage

from saebrain.errors import InputError
from saebrain.surface.atlas import desikan_killiany
from saebrain.surface.gifti import func_gii, vertex_csv, vertex_table, write_func_gii

ATLAS = desikan_killiany()
VALUES = np.where(ATLAS.labels >= 0, np.random.default_rng(0).normal(size=20_484), np.nan).astype(np.float32)


def test_functional_image_survives_its_bytes() -> None:
    image = GiftiImage.from_bytes(func_gii(VALUES[:10_242], "left", name="social r").to_bytes())
    assert len(image.darrays) == 1
    np.testing.assert_array_equal(image.darrays[0].data, VALUES[:10_242])
    assert image.darrays[0].data.dtype == np.float32
    assert image.meta["AnatomicalStructurePrimary"] == "CortexLeft"
    assert image.darrays[0].meta["Name"] == "social r"


def test_both_hemispheres_are_written(tmp_path: Path) -> None:
    paths = write_func_gii(VALUES, tmp_path / "maps" / "layer-15.social")
    assert [path.name for path in paths] == ["layer-15.social_hemi-L.func.gii", "layer-15.social_hemi-R.func.gii"]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [path.name for path in paths]
    for path, half, structure in zip(paths, (VALUES[:10_242], VALUES[10_242:]), ("CortexLeft", "CortexRight"), strict=True):
        image = nibabel.load(path)
        np.testing.assert_array_equal(image.agg_data(), half)
        assert image.meta["AnatomicalStructurePrimary"] == structure


def test_maps_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="10,242 numbers"):
        func_gii(VALUES, "left")
    with pytest.raises(InputError, match="20,484 vertices"):
        write_func_gii(VALUES[:10_242], tmp_path / "map")
    with pytest.raises(InputError, match="20,484 vertices"):
        vertex_table(VALUES[:10_242], ATLAS)


def test_vertex_table_names_hemisphere_and_parcel() -> None:
    table = vertex_table(VALUES, ATLAS)
    assert table.columns.tolist() == ["vertex", "hemisphere", "parcel", "value"]
    assert len(table) == 20_484
    assert table["vertex"].max() == 10_241
    inside = table[(table["hemisphere"] == "right") & (table["parcel"] == "insula")]
    assert inside.index.tolist() == np.flatnonzero(ATLAS.mask("right", "insula")).tolist()
    assert inside["vertex"].tolist() == (inside.index - 10_242).tolist()
    np.testing.assert_array_equal(inside["value"], VALUES[ATLAS.mask("right", "insula")])
    assert table["parcel"].isna().sum() == np.sum(ATLAS.labels < 0)


def test_csv_reads_back() -> None:
    text = vertex_csv(VALUES, ATLAS)
    assert text.startswith("vertex,hemisphere,parcel,value\n0,left,")
    back = pd.read_csv(io.StringIO(text))
    np.testing.assert_allclose(back["value"], VALUES, rtol=1e-5)
    assert back["parcel"].isna().sum() == np.sum(ATLAS.labels < 0)
    assert set(back["hemisphere"]) == {"left", "right"}
