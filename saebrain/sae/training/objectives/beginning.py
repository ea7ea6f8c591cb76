"""Where thresholds begin."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from saebrain.sae.training.state import State

TOKENS = 512
SHARE = 4.0
"""Features active at the start for one that is wanted: training takes away more easily than it adds."""


def level(state: State, sample: Float[Tensor, "sample d_in"], k: int) -> float:
    """The pre-activation above which ``SHARE`` k features a token (at most half of them) are at the start.

    Without it half of all features would be active everywhere: dense work, and a reconstruction many times too long.
    """
    z = (sample[:TOKENS] @ state.W_enc.T).flatten()
    active = min(SHARE * k / len(state.W_enc), 0.5)
    return max(float(z.kthvalue(max(1, round((1 - active) * len(z)))).values), 1e-3)
