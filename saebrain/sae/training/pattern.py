"""Where a batch's code may differ from zero, and the products that need those places alone.

The code A (tokens x features), with values at the places of a pattern, enters training through four products::

    combine   A W              reconstructions, from the decoder's rows
    collect   A^T G            gradients of weights, a row a feature
    sample    (G W^T) at the places
    total     sum over tokens of A

A TopK code has one place in a hundred: :class:`Sparse` does them in time proportional to the places. A ReLU early in
training is active everywhere: :class:`Full` does them as dense products, which are then faster.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

# What is used of torch's sparse matrices is tested here against dense products.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state", category=UserWarning)

DENSE_ABOVE = 1 / 16
"""Share of active places above which dense products are faster (measured on a CPU; a GPU's share is of that order too)."""


class Pattern(ABC):
    """Places of a (rows x features) matrix; ``values`` have one number a place, in the pattern's own layout."""

    @abstractmethod
    def combine(self, values: Tensor, W: Float[Tensor, "features d"]) -> Float[Tensor, "rows d"]:
        """A W."""

    @abstractmethod
    def collect(self, values: Tensor, G: Float[Tensor, "rows d"], out: Float[Tensor, "features d"]) -> None:
        """A^T G, into ``out``."""

    @abstractmethod
    def sample(self, G: Float[Tensor, "rows d"], W: Float[Tensor, "features d"]) -> Tensor:
        """Values of G W^T."""

    @abstractmethod
    def total(self, values: Tensor) -> Float[Tensor, " features"]:
        """Sum of a feature's values."""

    @abstractmethod
    def spread(self, vector: Float[Tensor, " features"]) -> Tensor:
        """Values that are those of their feature."""


@dataclass(frozen=True)
class Columns:
    """Places brought into the order of their features; shared by patterns that differ in rows alone."""

    features: Int[Tensor, " places"]
    n_features: int

    @cached_property
    def order(self) -> Int[Tensor, " places"]:
        return self.features.int().sort(stable=True).indices

    @cached_property
    def offsets(self) -> Int[Tensor, " n_features_plus_1"]:
        counts = torch.bincount(self.features, minlength=self.n_features)
        return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


@dataclass(frozen=True)
class Sparse(Pattern):
    """Places listed row after row: those of row r are at ``offsets[r]:offsets[r + 1]``."""

    offsets: Int[Tensor, " rows_plus_1"]
    columns: Columns

    @classmethod
    def of(cls, offsets: Int[Tensor, " rows_plus_1"], features: Int[Tensor, " places"], n_features: int) -> Sparse:
        return cls(offsets, Columns(features, n_features))

    @property
    def features(self) -> Int[Tensor, " places"]:
        return self.columns.features

    @cached_property
    def rows(self) -> Int[Tensor, " places"]:
        """Row of each place."""
        rows = torch.arange(len(self.offsets) - 1, device=self.offsets.device)
        return torch.repeat_interleave(rows, self.offsets.diff(), output_size=len(self.features))

    @cached_property
    def _rows_by_feature(self) -> Int[Tensor, " places"]:
        return self.rows[self.columns.order]

    def nested(self, prefixes: tuple[int, ...]) -> Sparse:
        """The same places with ``len(prefixes)`` rows a token, one for each group of features between two prefixes.

        Within a token features must ascend.
        """
        bounds = torch.tensor(prefixes, device=self.offsets.device)
        groups = torch.searchsorted(bounds, self.features, right=True)
        counts = torch.bincount(self.rows * len(prefixes) + groups, minlength=(len(self.offsets) - 1) * len(prefixes))
        return Sparse(torch.cat([counts.new_zeros(1), counts.cumsum(0)]), self.columns)

    def combine(self, values: Float[Tensor, " places"], W: Float[Tensor, "features d"]) -> Float[Tensor, "rows d"]:
        return embedding_bag(self.features, W, self.offsets, per_sample_weights=values, mode="sum", include_last_offset=True)

    def collect(self, values: Float[Tensor, " places"], G: Float[Tensor, "rows d"], out: Float[Tensor, "features d"]) -> None:
        shape = (self.columns.n_features, len(self.offsets) - 1)
        A_t = torch.sparse_csr_tensor(self.columns.offsets, self._rows_by_feature, values[self.columns.order], shape, check_invariants=False)
        torch.addmm(out, A_t, G, beta=0, out=out)

    def sample(self, G: Float[Tensor, "rows d"], W: Float[Tensor, "features d"]) -> Float[Tensor, " places"]:
        shape = (len(self.offsets) - 1, self.columns.n_features)
        places = torch.sparse_csr_tensor(self.offsets, self.features, G.new_zeros(len(self.features)), shape, check_invariants=False)
        return torch.sparse.sampled_addmm(places, G, W.T, beta=0.0).values()

    def total(self, values: Float[Tensor, " places"]) -> Float[Tensor, " features"]:
        return values.new_zeros(self.columns.n_features).index_add_(0, self.features, values)

    def spread(self, vector: Float[Tensor, " features"]) -> Float[Tensor, " places"]:
        return vector[self.features]


class Full(Pattern):
    """Every place; values are matrices."""

    def combine(self, values: Float[Tensor, "rows features"], W: Float[Tensor, "features d"]) -> Float[Tensor, "rows d"]:
        return values @ W

    def collect(self, values: Float[Tensor, "rows features"], G: Float[Tensor, "rows d"], out: Float[Tensor, "features d"]) -> None:
        torch.mm(values.T, G, out=out)

    def sample(self, G: Float[Tensor, "rows d"], W: Float[Tensor, "features d"]) -> Float[Tensor, "rows features"]:
        return G @ W.T

    def total(self, values: Float[Tensor, "rows features"]) -> Float[Tensor, " features"]:
        return values.sum(0)

    def spread(self, vector: Float[Tensor, " features"]) -> Float[Tensor, "1 features"]:
        return vector[None]
