"""Linear kernels between items, from dense or sparse features, scaled by the training items if asked to.

Several sets of features side by side (a text's last token and its mean, say) have the sum of their kernels; each is first
divided by its scale, so that none drowns the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse

from saebrain.items.ridge import KernelOf, mean_square

COLUMNS_AT_ONCE = 4096


def linear(x: Any, *, scale: bool = False) -> KernelOf:
    """Kernel X X^T of features that are an array or sparse rows, items x features.

    With ``scale`` every feature is divided by its standard deviation over the training items; one that does not vary there
    is left out.
    """
    if not scale:
        kernel = _product(x, np.ones(x.shape[1]))
        return lambda training: kernel
    return lambda training: _product(x, _per_deviation(x, training))


def side_by_side(kernels: Sequence[KernelOf]) -> KernelOf:
    """Sum of kernels, each divided by the mean diagonal it has among the training items once their mean is taken off."""
    if len(kernels) == 1:
        return kernels[0]

    def total(training: Bool[np.ndarray, " items"]) -> Float[np.ndarray, "items items"]:
        parts = [kernel(training) for kernel in kernels]
        scales = [mean_square(part[np.ix_(training, training)]) for part in parts]
        return sum((part / scale for part, scale in zip(parts, scales, strict=True) if scale > 0), start=np.zeros_like(parts[0]))

    return total


def _product(x: Any, factor: Float[np.ndarray, " features"]) -> Float[np.ndarray, "items items"]:
    kernel = np.zeros((x.shape[0], x.shape[0]))
    for start, block in _blocks(x):
        block = block * factor[start : start + block.shape[1]]
        kernel += block @ block.T
    return kernel


def _per_deviation(x: Any, training: Bool[np.ndarray, " items"]) -> Float[np.ndarray, " features"]:
    deviation = np.concatenate([block[training].std(axis=0) for _, block in _blocks(x)])
    largest = np.concatenate([np.abs(block).max(axis=0) for _, block in _blocks(x)])
    varies = deviation > 1e-9 * largest
    return np.divide(1, deviation, out=np.zeros_like(deviation), where=varies)


def _blocks(x: Any) -> Iterator[tuple[int, Float[np.ndarray, "items some"]]]:
    """Columns as dense float64, some thousand at a time, with the number of the first."""
    columns = sparse.csc_array(x) if sparse.issparse(x) else x
    for start in range(0, x.shape[1], COLUMNS_AT_ONCE):
        block = columns[:, start : start + COLUMNS_AT_ONCE]
        yield start, np.asarray(block.toarray() if sparse.issparse(block) else block, np.float64)
