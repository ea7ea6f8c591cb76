"""The auxiliary loss that brings dead features back (Gao et al. 2024, section 2.4 and appendix A.2).

Features that were active on none of the last ``dead_after`` tokens learn what the live ones miss: with e = x - x_hat
(held fixed, as is b_dec) and e_hat its reconstruction from the ``k_aux`` strongest dead features of each token::

    L_aux = c_aux |e - e_hat|^2 / |e|^2

with relu(z) as their values, or log(1 + exp(z)) where dead features may have no positive z (ReLU, JumpReLU),
over a share of the batch's tokens, since its cost is many times that of the loss itself.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from saebrain.sae.training.choice import top_of_rows
from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.objectives.base import Objective
from saebrain.sae.training.state import State


def add(
    state: State,
    dead: Int[Tensor, " dead"],
    centred: Float[Tensor, "tokens d_in"],
    residual: Float[Tensor, "tokens d_in"],
    along: Float[Tensor, " n_features"] | None,
    objective: Objective,
    config: TrainConfig,
) -> Float[Tensor, ""]:
    """Add the loss's gradients to those of the weights, and what of the decoder's points along its row to ``along``.

    Returns
    -------
    Tensor
        The loss.
    """
    n_tokens = max(1, round(config.aux_share * len(centred)))
    centred, residual = centred[:n_tokens], residual[:n_tokens]
    W_enc, W_dec = state.W_enc[dead], state.W_dec[dead]
    z = torch.addmm(state.b_enc[dead], centred, W_enc.T)
    pattern, z = top_of_rows(z, min(config.k_aux, len(dead)))
    f, slope = objective.revive(z)
    miss = pattern.combine(f, W_dec) - residual
    weight = config.aux_coefficient / residual.square().sum()
    g = miss * (2 * weight)
    d_f = pattern.sample(g, W_dec)
    d_z = d_f * slope
    rows = torch.empty_like(W_dec)
    pattern.collect(f, g, rows)
    _grad(state.W_dec).index_add_(0, dead, rows)
    pattern.collect(d_z, centred, rows)
    _grad(state.W_enc).index_add_(0, dead, rows)
    _grad(state.b_enc).index_add_(0, dead, pattern.total(d_z))
    if along is not None:
        along.index_add_(0, dead, pattern.total(f * d_f))
    return weight * miss.square().sum()


def _grad(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.grad
