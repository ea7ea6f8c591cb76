"""Areas on the map of features, and the layout itself."""

from __future__ import annotations

import numpy as np
import pytest

from saebrain.errors import InputError
from saebrain.pipeline.feature_area import CORNERS, inside, parse_area, write_area
from saebrain.pipeline.feature_layout import lay_out


def test_points_inside_a_polygon() -> None:
    corners = parse_area("0,0,4,0,4,4,2,1,0,4")  # a notch from above
    points = np.array([[1, 1], [3, 1], [2, 0.5], [2, 2], [5, 1], [-1, 1], [0.2, 3.5], [2, 3.9]])
    assert inside(points, corners).tolist() == [True, True, True, False, False, False, True, False]
    assert inside(points, corners[::-1]).tolist() == inside(points, corners).tolist()


def test_area_in_an_address_is_the_area_drawn() -> None:
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    text = write_area((0.7 * np.cos(angle)).tolist(), (0.7 * np.sin(angle)).tolist())
    assert len(text) < 1000 and len(parse_area(text)) == CORNERS
    points = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    radius = np.hypot(*points.T)
    sure = abs(radius - 0.7) > 0.02
    assert (inside(points, parse_area(text)) == (radius < 0.7))[sure].all()


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "1,2,3,4,5", "a,b,c,d,e,f", "nan,0,1,1,2,2", "inf,0,1,1,2,2"])
def test_what_is_no_area_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="draw it again"):
        parse_area(text)


def test_few_features_are_laid_out_by_their_components() -> None:
    directions = np.random.default_rng(0).normal(size=(12, 6))
    places = lay_out(directions)
    assert places.shape == (12, 2) and np.abs(places).max() == pytest.approx(1)
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=1e-6)


def test_similar_directions_lie_close_together() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4), 15)
    directions = 5 * np.eye(4, 12)[group] + rng.normal(size=(60, 12)) * rng.uniform(0.5, 2, (60, 1))
    places = lay_out(directions)
    np.testing.assert_array_equal(places, lay_out(directions))
    distance = np.linalg.norm(places[:, None] - places, axis=2) + 10 * np.eye(60)
    assert (group[distance.argmin(axis=1)] == group).mean() > 0.9
