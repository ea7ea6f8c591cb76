"""Pooling of tokens, and recipes as people write them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from saebrain.errors import InputError
from saebrain.items.pooling import POOLINGS, Pooling, Recipe
from saebrain.items.recipes import read_recipes

LENGTHS = np.array([2, 1, 3])
TOKENS = np.array([[1.0, -4.0], [3.0, 0.0], [-9.0, 5.0], [0.0, 0.0], [6.0, 1.0], [0.0, 2.0]])
POOLED: dict[Pooling, list[list[float]]] = {
    "last": [[3, 0], [-9, 5], [0, 2]],
    "mean": [[2, -2], [-9, 5], [2, 1]],
    "max": [[3, 0], [-9, 5], [6, 2]],
    "sum": [[4, -4], [-9, 5], [6, 3]],
}


@pytest.mark.parametrize("how", POOLINGS)
def test_by_hand(how: Pooling) -> None:
    (found,) = Recipe((how,)).states(TOKENS, LENGTHS)
    assert found == pytest.approx(np.array(POOLED[how]))


def test_square_roots_keep_signs() -> None:
    (found,) = Recipe(("sum",), "sqrt").states(TOKENS, LENGTHS)
    assert found == pytest.approx(np.array([[2, -2], [-3, 5**0.5], [6**0.5, 3**0.5]]))


@pytest.mark.parametrize("transform", ["none", "sqrt"])
def test_sparse_codes_as_dense_ones(transform: str) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 40)
    codes = rng.random((lengths.sum(), 70)) * (rng.random((lengths.sum(), 70)) < 0.05)
    recipe = Recipe(POOLINGS, "sqrt" if transform == "sqrt" else "none")
    dense, found = recipe.states(codes, lengths), recipe.codes(sparse.csr_array(codes), lengths)
    assert len(found) == 4
    for expected, part in zip(dense, found, strict=True):
        assert sparse.issparse(part)
        assert part.toarray() == pytest.approx(expected)


def test_no_codes_at_all() -> None:
    for part in Recipe(POOLINGS).codes(sparse.csr_array((6, 4)), LENGTHS):
        assert part.shape == (3, 4)
        assert part.nnz == 0


def test_recipes_by_default_and_for_one() -> None:
    everything = Recipe(("last", "mean", "max", "sum"))
    assert read_recipes([], []) == {name: [everything] for name in ("dense", "sae", "surprisal")}
    found = read_recipes(["sae=max,last+mean", "last"], ["sae=none,sqrt"])
    assert found["dense"] == found["surprisal"] == [Recipe(("last",))]
    pairs = [(recipe.pooling, recipe.transform) for recipe in found["sae"]]
    assert pairs == [("max", "none"), ("last+mean", "none"), ("max", "sqrt"), ("last+mean", "sqrt")]


@pytest.mark.parametrize(
    ("poolings", "transforms", "named"),
    [(["median"], [], "'median'"), (["last+"], [], "''"), ([], ["log"], "'log'"), (["last,last"], [], "twice"), (["brain=last"], [], "'brain'")],
)
def test_unknown_recipes(poolings: list[str], transforms: list[str], named: str) -> None:
    with pytest.raises(InputError, match=named):
        read_recipes(poolings, transforms)
