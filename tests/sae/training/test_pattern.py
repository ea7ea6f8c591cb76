"""Products at some places of a matrix, and the choice of those places, against dense ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saebrain.sae.training import choice
from saebrain.sae.training.choice import above, top_of_batch, top_of_rows
from saebrain.sae.training.pattern import Columns, Full, Pattern, Sparse

torch.set_num_threads(1)
ROWS, N, D = 9, 16, 5


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some() -> tuple[Sparse, Tensor, Tensor]:
    """A pattern with an empty row and an empty column, its values, and the same as a matrix."""
    mask = torch.rand(ROWS, N, generator=torch.Generator().manual_seed(1)) < 0.2
    mask[3], mask[:, 7] = False, False
    rows, features = mask.nonzero(as_tuple=True)
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), mask.sum(1).cumsum(0)])
    values = normal(len(rows))
    matrix = torch.zeros(ROWS, N, dtype=torch.float64)
    matrix[rows, features] = values
    return Sparse.of(offsets, features, N), values, matrix


def dense(pattern: Pattern, values: Tensor) -> Tensor:
    """A pattern's values as a matrix."""
    if isinstance(pattern, Full):
        return values
    assert isinstance(pattern, Sparse)
    matrix = torch.zeros(len(pattern.offsets) - 1, pattern.columns.n_features, dtype=values.dtype)
    matrix[pattern.rows, pattern.features] = values
    return matrix


@pytest.mark.parametrize("kind", ["sparse", "full"])
def test_products(kind: str) -> None:
    pattern, values, A = some()
    places: Pattern = pattern
    if kind == "full":
        places, values = Full(), A
    W, G = normal(N, D, seed=2), normal(ROWS, D, seed=3)
    torch.testing.assert_close(places.combine(values, W), A @ W)
    out = torch.full((N, D), torch.nan, dtype=torch.float64)
    places.collect(values, G, out)
    torch.testing.assert_close(out, A.T @ G)
    torch.testing.assert_close(places.total(values), A.sum(0))
    mask = (A != 0).double() if kind == "sparse" else torch.ones(ROWS, N, dtype=torch.float64)
    torch.testing.assert_close(dense(places, places.sample(G, W)), (G @ W.T) * mask)
    vector = normal(N, seed=4)
    torch.testing.assert_close(dense(places, places.spread(vector) * torch.ones_like(values)), vector * mask)


def test_nested_patterns_have_a_row_for_each_group_of_features() -> None:
    pattern, values, A = some()
    prefixes = (2, 7, N)
    nested = pattern.nested(prefixes)
    W = normal(N, D, seed=2)
    groups = [A[:, first:last] @ W[first:last] for first, last in ((0, 2), (2, 7), (7, N))]
    torch.testing.assert_close(nested.combine(values, W).view(ROWS, 3, D), torch.stack(groups, dim=1))
    G = normal(ROWS * 3, D, seed=5)
    out = torch.empty(N, D, dtype=torch.float64)
    nested.collect(values, G, out)
    parts = [A[:, first:last].T @ G.view(ROWS, 3, D)[:, group] for group, (first, last) in enumerate(((0, 2), (2, 7), (7, N)))]
    torch.testing.assert_close(out, torch.cat(parts))


def test_a_pattern_without_places() -> None:
    empty = Sparse(torch.zeros(ROWS + 1, dtype=torch.long), Columns(torch.zeros(0, dtype=torch.long), N))
    values, W, G = torch.zeros(0, dtype=torch.float64), normal(N, D), normal(ROWS, D)
    assert (empty.combine(values, W) == 0).all()
    out = normal(N, D)
    empty.collect(values, G, out)
    assert (out == 0).all()
    assert len(empty.sample(G, W)) == 0
    assert (empty.total(values) == 0).all()


def test_top_of_rows() -> None:
    z = normal(30, N)
    pattern, values = top_of_rows(z, 4)
    expected = z * (z >= z.sort(dim=1, descending=True).values[:, 3:4])
    assert torch.equal(dense(pattern, values), expected)


@pytest.mark.parametrize("n", [16, 13])  # eight columns at a time, and not
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_top_of_batch(n: int, scale: float) -> None:
    z = scale * normal(500, n)
    pattern, values = top_of_batch(z, 700)
    expected = z * (z >= z.flatten().sort(descending=True).values[699])
    assert torch.equal(dense(pattern, values), expected)
    assert len(values) == 700
    assert all(torch.equal(part, part.sort().values) for part in pattern.features.split(pattern.offsets.diff().tolist()))


def test_top_of_batch_where_few_are_positive() -> None:
    z = normal(40, N) - 2.5
    positive = int((z > 0).sum())
    assert 0 < positive < 80
    pattern, values = top_of_batch(z, 80)
    assert torch.equal(dense(pattern, values), z.relu())
    pattern, values = top_of_batch(z - 100, 80)
    assert len(values) == len(pattern.features) == 0


def test_top_of_batch_when_the_sample_misleads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The few tokens that the estimate is made from are the largest of all: its threshold is far too high."""
    monkeypatch.setattr(choice, "SAMPLE", 25)
    z = normal(100, N).abs()
    sampled = torch.arange(0, z.numel(), choice._stride(z))
    z.view(-1)[sampled] += 100
    pattern, values = top_of_batch(z, 200)
    assert torch.equal(dense(pattern, values), z * (z >= z.flatten().sort(descending=True).values[199]))


@pytest.mark.parametrize("n", [4096, 4095, 13, 1])
def test_a_sample_meets_all_columns(n: int) -> None:
    z = torch.arange(300_000 // n * n).view(-1, n)
    columns = z.flatten()[:: choice._stride(z)] % n
    assert len(columns.unique()) == min(n, len(columns))


@pytest.mark.parametrize("piece", [1, 100, 1 << 22])
def test_above(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "PIECE", piece)
    z, threshold = normal(50, N), normal(N, seed=3) / 4 + 2.0
    pattern, values = above(z, threshold)
    assert isinstance(pattern, Sparse)
    assert torch.equal(dense(pattern, values), z * (z > threshold))
    pattern, values = above(z, 2.0)
    assert torch.equal(dense(pattern, values), z * (z > 2.0))


def test_above_takes_all_places_where_many_are_active() -> None:
    z = normal(200, N)
    assert isinstance(above(z, 0.0)[0], Full)
    assert isinstance(above(z, 1.0)[0], Full)  # one in six
    assert isinstance(above(z, 2.0)[0], Sparse)  # one in fifty
    by_feature = torch.full((N,), 9.0, dtype=torch.float64)
    assert isinstance(above(z, by_feature)[0], Sparse)
    by_feature[: N // 2] = -9.0
    pattern, values = above(z, by_feature)
    assert isinstance(pattern, Full)
    assert values is z
