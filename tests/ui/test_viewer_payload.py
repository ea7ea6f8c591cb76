"""What the browser is sent: bytes of meshes and maps, and the page that needs no server."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.surface.atlas import Atlas, desikan_killiany
from saebrain.surface.colour import QUALITATIVE
from saebrain.surface.mesh import fsaverage5
from saebrain.ui.viewer.code import mount_code, viewer_code
from saebrain.ui.viewer.html import viewer_html
from saebrain.ui.viewer.payload import CategoryMap, State, ValueMap, mesh_bytes, mesh_name, quantise, view_bytes

SURFACES, ATLAS = fsaverage5(), desikan_killiany()
VALUES = np.where(ATLAS.labels >= 0, np.random.default_rng(0).normal(size=20_484), np.nan).astype(np.float32)


def unpacked(message: bytes) -> tuple[dict[str, Any], bytes]:
    (size,) = struct.unpack_from("<I", message)
    return json.loads(message[4 : 4 + size]), message[4 + size :]


def test_bytes_of_a_map_give_its_values_back() -> None:
    data, low, high = quantise(VALUES)
    np.testing.assert_array_equal(data == 0, np.isnan(VALUES))
    back = low + (data[data > 0].astype(float) - 1) / 254 * (high - low)
    assert np.abs(back - VALUES[data > 0]).max() <= (high - low) / 254 / 2 + 1e-6


@pytest.mark.parametrize("value", [0.0, -3.5, np.nan])
def test_constant_and_empty_maps(value: float) -> None:
    data, low, high = quantise(np.full(10, value))
    assert (data == (0 if np.isnan(value) else 1)).all() and low == high == (0 if np.isnan(value) else value)


def test_infinite_values_become_the_ends() -> None:
    data, low, high = quantise(np.array([-np.inf, -1.0, 0.0, 2.0, np.inf]))
    assert (low, high) == (-1, 2) and data[0] == data[1] == 1 and data[3] == data[4] == 255


def test_mesh_comes_back_to_a_hundredth_of_a_millimetre() -> None:
    header, body = unpacked(mesh_bytes(SURFACES, ATLAS))
    parts = {
        part["name"]: np.frombuffer(body, part["type"], part["length"] // np.dtype(part["type"]).itemsize, part["start"]) for part in header["parts"]
    }
    for name in ("pial", "white"):
        about = header["surfaces"][name]
        points = np.array(about["low"]) + parts[f"points {name}"].reshape(-1, 3) * np.array(about["step"])
        np.testing.assert_allclose(points, SURFACES.mesh(name).coordinates, atol=0.01)
    faces = parts["faces"].reshape(-1, 3)
    np.testing.assert_array_equal(faces, SURFACES.mesh("pial").faces)
    assert (faces[: len(faces) // 2] < 10_242).all()
    np.testing.assert_array_equal(parts["labels"], ATLAS.labels)
    assert header["parcels"][0] == list(ATLAS.parcels[0])


def test_inflated_hemispheres_lie_side_by_side() -> None:
    header, body = unpacked(mesh_bytes(SURFACES, ATLAS))
    part = next(part for part in header["parts"] if part["name"] == "points inflated")
    x = np.frombuffer(body, "uint16", part["length"] // 2, part["start"]).reshape(-1, 3)[:, 0]
    assert x[:10_242].max() < x[10_242:].min()


def test_message_of_one_map_is_small() -> None:
    state = State("mesh", "p ", "p a", {"p a": "A", "p b": "B"})
    message = view_bytes(state, {"p a": ValueMap("A", VALUES, "r", 1.0)}, SURFACES)
    header, body = unpacked(message)
    assert len(message) < 21_200 and len(body) == 20_484
    assert header["current"] == "p a" and header["maps"][0]["masked"] and header["maps"][0]["reach"] == 1.0


def test_categories_carry_index_and_winner() -> None:
    index = np.where(ATLAS.labels >= 0, ATLAS.labels % 3, -1)
    shown = CategoryMap("best", index, np.abs(VALUES), ["a", "b", "c"], QUALITATIVE[:3], "none", "r")
    _, body = unpacked(view_bytes(State("m", "", "best", {}), {"best": shown}, SURFACES))
    sent = np.frombuffer(body, np.uint8)
    np.testing.assert_array_equal(sent[:20_484] == 0, np.isnan(VALUES))
    np.testing.assert_array_equal(sent[20_484:], np.where(index < 0, 255, index))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"map of shape \(5,\)"):
        view_bytes(State("m", "", "a", {}), {"a": ValueMap("a", VALUES[:5], "r", 1.0)}, SURFACES)
    with pytest.raises(InputError, match="choose an atlas of this mesh"):
        mesh_bytes(SURFACES, Atlas("small", (), np.zeros(7, np.int16)))
    many = CategoryMap("many", ATLAS.labels % 12, VALUES, [str(i) for i in range(12)], np.zeros((12, 3), np.uint8), "", "r")
    with pytest.raises(InputError, match="at most 11"):
        view_bytes(State("m", "", "a", {}), {"a": many}, SURFACES)


def test_name_of_a_mesh_follows_its_content() -> None:
    other = Atlas("other", ATLAS.parcels, np.where(ATLAS.labels == 3, -1, ATLAS.labels).astype(np.int16))
    assert mesh_name(SURFACES, ATLAS) == mesh_name(SURFACES, ATLAS) != mesh_name(SURFACES, other)


def test_component_sent_with_every_map_is_small() -> None:
    assert len(mount_code()) < 1_500 < len(viewer_code())


def test_page_of_its_own_escapes_its_title() -> None:
    page = viewer_html({"a": ValueMap("a", VALUES, "r", 1.0)}, SURFACES, ATLAS, title="<script>alert(1)</script>", note="a & b")
    assert "&lt;script&gt;alert(1)" in page and "a &amp; b" in page and "http" not in page.replace("http-equiv", "").split("<script>")[0]
