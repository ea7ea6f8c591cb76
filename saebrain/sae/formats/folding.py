"""Equivalent weights: what a source applies around its SAE, taken into the weights or out of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from saebrain.sae.base import SAE
from saebrain.sae.gated import Gated

Any_SAE = TypeVar("Any_SAE", bound=SAE)


def unit_decoder(sae: Any_SAE) -> Any_SAE:
    """Decoder rows of norm 1, with z and so the codes times the norms they had; of SAEs whose z is all that is activated.

    Of sources that choose the active features, or give codes, in this unit. A threshold stays as it is: theirs is in it too.
    """
    norm = sae.W_dec.norm(dim=1)
    W_dec = sae.W_dec / norm.clamp_min(torch.finfo(norm.dtype).tiny)[:, None]
    return replace(sae, W_enc=sae.W_enc * norm, b_enc=sae.b_enc * norm, W_dec=W_dec)


def folded(sae: Any_SAE, factor: float) -> Any_SAE:
    """The SAE that gives for x the codes that ``sae`` gives for factor * x, and reconstructs x; 1 / factor undoes it.

    W_enc^T (factor x - b_dec) = (factor W_enc)^T (x - b_dec / factor), so biases of the encoder and thresholds stay.
    """
    return replace(sae, W_enc=sae.W_enc * factor, W_dec=sae.W_dec / factor, b_dec=sae.b_dec / factor)


def unwhitened(sae: Any_SAE, mean: Float[Tensor, " d_in"], M: Float[Tensor, "d_in d_in"], M_inv: Float[Tensor, "d_in d_in"]) -> Any_SAE:
    """The SAE that gives for x the codes that ``sae`` gives for (x - mean) M, and reconstructs x (arXiv:2511.13981); in float64 on the way."""
    mean, M, M_inv = mean.double(), M.double(), M_inv.double()
    W_enc = M @ sae.W_enc.double()
    changes: dict[str, Any] = {}
    if not sae.apply_b_dec_to_input:  # otherwise the new b_dec takes the mean off
        shift = mean @ W_enc
        changes["b_enc"] = (sae.b_enc.double() - shift).float()
        if isinstance(sae, Gated):
            changes["b_mag"] = (sae.b_mag.double() - shift * sae.r_mag.double().exp()).float()
    W_dec, b_dec = sae.W_dec.double() @ M_inv, sae.b_dec.double() @ M_inv + mean
    return replace(sae, W_enc=W_enc.float(), W_dec=W_dec.float(), b_dec=b_dec.float(), **changes)
