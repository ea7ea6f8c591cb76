"""From tokens to items: last token, mean, maximum, sum, or several of them side by side, as they are or as square roots.

Codes are heavy-tailed: the strongest few of a text carry most of its squares, and with them most of a linear kernel. Square
roots (of hidden states with their signs) let the others count too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

Pooling = Literal["last", "mean", "max", "sum"]
Transform = Literal["none", "sqrt"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
TRANSFORMS: tuple[Transform, ...] = get_args(Transform)


@dataclass(frozen=True)
class Recipe:
    """How an item's features are made from its tokens: pooled in one or several ways, then transformed."""

    poolings: tuple[Pooling, ...]
    transform: Transform = "none"

    @property
    def pooling(self) -> str:
        """Name of the poolings, such as ``last+mean``."""
        return "+".join(self.poolings)

    def states(self, x: Float[np.ndarray, "tokens columns"], lengths: Int[np.ndarray, " items"]) -> list[Float[np.ndarray, "items columns"]]:
        """Items' features from dense rows, one array a pooling; item i has ``lengths[i]`` rows, at least one, in order."""
        pooled = [_pool_states(x, lengths, how) for how in self.poolings]
        return pooled if self.transform == "none" else [np.sign(part) * np.sqrt(np.abs(part)) for part in pooled]

    def codes(self, codes: Any, lengths: Int[np.ndarray, " items"]) -> list[Any]:
        """Items' features from sparse codes (CSR, tokens x features, none negative), one CSR array a pooling."""
        pooled = [_pool_codes(codes, lengths, how) for how in self.poolings]
        return pooled if self.transform == "none" else [part.sqrt() for part in pooled]


def _pool_states(x: Float[np.ndarray, "tokens columns"], lengths: Int[np.ndarray, " items"], how: Pooling) -> Float[np.ndarray, "items columns"]:
    stop = np.cumsum(lengths)
    pooled: dict[Pooling, Callable[[], np.ndarray]] = {
        "last": lambda: x[stop - 1],
        "mean": lambda: np.add.reduceat(x, stop - lengths, axis=0, dtype=np.float64) / lengths[:, None],
        "max": lambda: np.maximum.reduceat(x, stop - lengths, axis=0),
        "sum": lambda: np.add.reduceat(x, stop - lengths, axis=0, dtype=np.float64),
    }
    return pooled[how]()


def _pool_codes(codes: Any, lengths: Int[np.ndarray, " items"], how: Pooling) -> Any:
    stop = np.cumsum(lengths)
    item = np.repeat(np.arange(len(lengths)), lengths)
    if how == "last":
        return codes[stop - 1]
    if how == "max":
        return _largest(codes.tocoo(), item, len(lengths))
    weight = np.ones(len(item)) if how == "sum" else 1 / lengths[item]
    return sparse.csr_array((weight, (item, np.arange(len(item)))), shape=(len(lengths), len(item))) @ codes


def _largest(codes: Any, item: Int[np.ndarray, " tokens"], n_items: int) -> Any:
    shape = (n_items, codes.shape[1])
    if not codes.nnz:
        return sparse.csr_array(shape)
    place = item[codes.row] * codes.shape[1] + codes.col.astype(np.int64)
    order = np.argsort(place, kind="stable")
    places, first = np.unique(place[order], return_index=True)
    largest = np.maximum.reduceat(codes.data[order], first)
    return sparse.csr_array((largest, np.divmod(places, codes.shape[1])), shape=shape)
