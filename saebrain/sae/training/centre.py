"""Where a SAE's input is centred, and its scale."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def geometric_median(x: Float[Tensor, "sample d_in"], iterations: int = 50) -> Float[Tensor, " d_in"]:
    """The point with the least sum of distances to the rows (Weiszfeld's algorithm)."""
    median = x.mean(0)
    for _ in range(iterations):
        weight = 1 / (x - median).norm(dim=1).clamp_min(1e-6)
        median = (weight @ x) / weight.sum()
    return median


def spread(x: Float[Tensor, "sample d_in"], centre: Float[Tensor, " d_in"]) -> float:
    """Root of the mean squared deviation of a coordinate from ``centre``."""
    return float((x - centre).square().mean().sqrt())
