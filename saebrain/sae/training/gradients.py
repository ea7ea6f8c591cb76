"""One batch: codes, errors, and the gradient of the loss with respect to every weight, without autograd.

With c = x - b_dec, error e_m = x_hat_m - x of prefix m of P, G_m = 2 e_m / (P B d), and g_i the sum of G_m over the
prefixes that hold feature i, the loss of :mod:`saebrain.sae.training.objectives.base` has::

    dL/df_i   = w_i . g_i + s cost'(f_i |w_i|) |w_i| / (B d)
    dL/dz_i   = dL/df_i  where z_i > t_i, else 0
    dL/dW_dec = f^T g (+ s cost' f w / (|w| B d) with free norms),   dL/dW_enc = (dL/dz)^T c,   dL/db_enc = sum dL/dz
    dL/db_dec = sum over prefixes and tokens of G - (dL/db_enc) W_enc           (b_dec is taken from the input too)
    dL/dt_i   = -(t_i dL/df_i + s jump / (B d)) / h  where |z_i - t_i| < h / 2

all of which need the places of the code alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from saebrain.sae.training import auxiliary
from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.objectives.base import Objective
from saebrain.sae.training.pattern import Pattern, Sparse
from saebrain.sae.training.state import State


@dataclass(frozen=True)
class Batch:
    """What became of a batch; sums over its tokens, tensors so that a GPU need not be waited for."""

    centred: Float[Tensor, "tokens d_in"]
    errors: Float[Tensor, "tokens prefixes d_in"]
    penalty: Float[Tensor, ""]
    auxiliary: Float[Tensor, ""]
    times: Float[Tensor, " n_features"]
    """How often each feature was active."""

    def figures(self) -> dict[str, float]:
        """Loss, FVU and L0."""
        loss = float(self.errors.square().mean()) + float(self.penalty) + float(self.auxiliary)
        variance = float((self.centred - self.centred.mean(0)).square().sum())
        return {"loss": loss, "fvu": float(self.errors[:, -1].square().sum()) / variance, "l0": float(self.times.sum()) / len(self.centred)}


class Gradients:
    """Computes gradients into the ``.grad`` of a state's weights; memory is kept from step to step."""

    def __init__(self, state: State, objective: Objective, config: TrainConfig) -> None:
        self.state, self.objective, self.config = state, objective, config
        self._z = state.W_enc.new_empty(0)
        for weight in state.weights.values():
            weight.grad = torch.zeros_like(weight)

    def __call__(self, x: Float[Tensor, "tokens d_in"], sparsity: float) -> Batch:
        """Set all gradients for one batch, in the training scale; ``sparsity`` is the weight s."""
        state, objective, unit = self.state, self.objective, self.config.decoder == "unit"
        norms = None if unit else state.W_dec.norm(dim=1)
        centred = x - state.b_dec
        z = self._preactivations(centred)
        pattern, z = self._exact(*objective.choose(z if norms is None else z * norms, norms, state), norms, centred)
        threshold = objective.threshold(state)
        on = (z > (0 if threshold is None else pattern.spread(threshold))).to(z.dtype)
        f = z * on
        times = pattern.total(on)

        nested, errors, g, d_bias = self._reconstruct(pattern, f, centred)
        d_f = nested.sample(g, state.W_dec)
        nested.collect(f, g, _grad(state.W_dec))
        # What of the decoder's gradient points along its (unit) row.
        along = pattern.total(f * d_f) if unit else None
        penalty = self._charge(pattern, f, on, d_f, norms, sparsity / x.numel())
        if threshold is not None:
            self._teach_threshold(pattern, z, d_f, threshold, sparsity / x.numel())
        d_z = d_f.mul_(on)
        pattern.collect(d_z, centred, _grad(state.W_enc))
        _grad(state.b_enc).copy_(pattern.total(d_z))
        _grad(state.b_dec).copy_(d_bias - _grad(state.b_enc) @ state.W_enc)

        extra = torch.zeros((), device=x.device)
        state.note_active(times, len(x))
        objective.note(f, norms, pattern, state)
        if self.config.aux_coefficient and len(dead := (state.idle >= self.config.dead_after).nonzero()[:, 0]):
            extra = auxiliary.add(state, dead, centred, -errors[:, -1], along, objective, self.config)
        if along is not None:
            # Along the row there is nothing to learn: the step would only change a length that is put back after it.
            _grad(state.W_dec).addcmul_(along[:, None], state.W_dec, value=-1)
        return Batch(centred, errors, penalty, extra, times)

    def _preactivations(self, centred: Float[Tensor, "tokens d_in"]) -> Float[Tensor, "tokens n_features"]:
        """Of all features; in half precision if only the choice of features depends on it."""
        state = self.state
        if self.config.precision == "bfloat16":
            with torch.autocast(centred.device.type, dtype=torch.bfloat16):
                return linear(centred, state.W_enc, state.b_enc)
        shape = (len(centred), len(state.W_enc))
        if self._z.shape != shape:
            self._z = centred.new_empty(shape)
        return torch.addmm(state.b_enc, centred, state.W_enc.T, out=self._z)

    def _exact(
        self, pattern: Pattern, score: Tensor, norms: Float[Tensor, " n_features"] | None, centred: Float[Tensor, "tokens d_in"]
    ) -> tuple[Pattern, Tensor]:
        """A pattern with its pre-activations in full precision."""
        if self.config.precision == "bfloat16":
            return pattern, pattern.sample(centred, self.state.W_enc) + pattern.spread(self.state.b_enc)
        return pattern, score if norms is None else score / pattern.spread(norms)

    def _reconstruct(
        self, pattern: Pattern, f: Tensor, centred: Float[Tensor, "tokens d_in"]
    ) -> tuple[Pattern, Float[Tensor, "tokens prefixes d_in"], Float[Tensor, "rows d_in"], Float[Tensor, " d_in"]]:
        """The pattern of the decoder, the error of each prefix, g for the pattern's rows, and the sum of all G."""
        prefixes, W_dec = self.config.prefixes, self.state.W_dec
        if not prefixes:
            error = pattern.combine(f, W_dec).sub_(centred)
            g = error * (2 / error.numel())
            return pattern, error[:, None], g, g.sum(0)
        assert isinstance(pattern, Sparse)  # as BatchTopK's are
        nested = pattern.nested(prefixes)
        parts = nested.combine(f, W_dec).view(len(centred), len(prefixes), -1)
        errors = parts.cumsum(dim=1) - centred[:, None]
        G = errors * (2 / errors.numel())
        # A feature is in its own prefix and in all longer ones.
        g = G.flip(1).cumsum(dim=1).flip(1)
        return nested, errors, g.flatten(0, 1), g[:, 0].sum(0)

    def _charge(
        self, pattern: Pattern, f: Tensor, on: Tensor, d_f: Tensor, norms: Float[Tensor, " n_features"] | None, weight: float
    ) -> Float[Tensor, ""]:
        """Add the gradient of the sparsity cost to ``d_f`` and to free decoder rows; returns the cost."""
        size = f if norms is None else f * pattern.spread(norms)
        cost = self.objective.cost(size, on)
        if cost is None:
            return torch.zeros((), device=f.device)
        if norms is None:
            d_f += weight * cost.slope
        else:
            d_f += weight * cost.slope * pattern.spread(norms)
            d_norms = weight * pattern.total(cost.slope * f)
            _grad(self.state.W_dec).addcmul_((d_norms / norms)[:, None], self.state.W_dec)
        return weight * cost.total

    def _teach_threshold(self, pattern: Pattern, z: Tensor, d_f: Tensor, threshold: Float[Tensor, " n_features"], weight: float) -> None:
        t = pattern.spread(threshold)
        inside = (z - t).abs() < self.config.bandwidth / 2
        d_t = -(d_f * t + weight * self.objective.jump) * inside / self.config.bandwidth
        # d/d(log t) = t d/dt
        _grad(self.state.log_threshold).copy_(pattern.total(d_t) * threshold)


def _grad(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.grad
