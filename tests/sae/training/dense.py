"""The losses of :mod:`saebrain.sae.training` as their papers write them: dense, with autograd, in float64."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.state import State


def state(config: TrainConfig, d: int) -> State:
    """Weights as in the middle of training, in float64: encoder unlike decoder, biases not zero."""
    g = torch.Generator().manual_seed(0)
    n = config.n_features

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    W_dec = normal(n, d)
    return State(
        W_enc=normal(n, d) / 2,
        b_enc=0.3 * normal(n),
        W_dec=normalize(W_dec, dim=1) if config.decoder == "unit" else W_dec / 3,
        b_dec=0.3 * normal(d),
        log_threshold=(0.5 * normal(n)) if config.architecture == "jumprelu" else torch.zeros(0, dtype=torch.float64),
        idle=torch.zeros(n, dtype=torch.long),
        cutoff=torch.zeros(2, dtype=torch.float64),
    )


class Step(torch.autograd.Function):
    """[z > t]; with respect to t, -1/h inside the rectangle (Rajamanoharan et al. 2024, equation 12)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, t: Tensor, h: float) -> Tensor:
        ctx.save_for_backward(z, t)
        ctx.h = h
        return (z > t).to(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        z, t = ctx.saved_tensors
        rectangle = ((z - t).abs() < ctx.h / 2).to(z)
        return None, (-rectangle / ctx.h * gradients[0]).sum(0), None


class Jump(torch.autograd.Function):
    """z [z > t]; with respect to t, -t/h inside the rectangle (equation 11)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, t: Tensor, h: float) -> Tensor:
        ctx.save_for_backward(z, t)
        ctx.h = h
        return z * (z > t)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        z, t = ctx.saved_tensors
        rectangle = ((z - t).abs() < ctx.h / 2).to(z)
        return gradients[0] * (z > t), (-t / ctx.h * rectangle * gradients[0]).sum(0), None


def largest_of_rows(score: Tensor, k: int) -> Tensor:
    """Mask of the k largest of each row, by sorting."""
    return score >= score.sort(dim=1, descending=True).values[:, k - 1 : k]


def largest_of_all(score: Tensor, count: int) -> Tensor:
    """Mask of the largest of the whole matrix, by sorting."""
    return score >= score.flatten().sort(descending=True).values[count - 1]


def codes(config: TrainConfig, w: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Codes f, and pre-activations z."""
    z = (x - w["b_dec"]) @ w["W_enc"].T + w["b_enc"]
    score = (z * (w["W_dec"].norm(dim=1) if config.decoder == "scaled" else 1)).detach()
    match config.architecture:
        case "topk":
            return z.relu() * largest_of_rows(score, config.k), z
        case "batchtopk" | "matryoshka_batchtopk":
            return z.relu() * largest_of_all(score, config.k * len(x)), z
        case "jumprelu":
            return Jump.apply(z, w["log_threshold"].exp(), config.bandwidth), z
        case _:
            return z.relu(), z


def loss(config: TrainConfig, w: dict[str, Tensor], x: Tensor, sparsity: float, dead: Tensor) -> Tensor:
    """The whole loss."""
    f, z = codes(config, w, x)
    prefixes = config.prefixes or (config.n_features,)
    errors = [x - f[:, :m] @ w["W_dec"][:m] - w["b_dec"] for m in prefixes]
    value = sum((error.square().sum() for error in errors), torch.zeros(())) / (len(prefixes) * x.numel())
    size = f * w["W_dec"].norm(dim=1) if config.decoder == "scaled" else f
    if config.architecture == "standard":
        value = value + sparsity * size.sum() / x.numel()
    elif config.architecture == "jumprelu" and config.penalty == "tanh":
        value = value + sparsity * (config.tanh_slope * size).tanh().sum() / x.numel()
    elif config.architecture == "jumprelu":
        value = value + sparsity * Step.apply(z, w["log_threshold"].exp(), config.bandwidth).sum() / x.numel()
    if not dead.any():
        return value
    few = max(1, round(config.aux_share * len(x)))
    residual = errors[-1][:few].detach()
    z = ((x[:few] - w["b_dec"].detach()) @ w["W_enc"].T + w["b_enc"]).masked_fill(~dead, -torch.inf)
    smooth = config.architecture in ("standard", "jumprelu")
    revived = (z.exp().log1p() if smooth else z.relu()) * largest_of_rows(z.detach(), min(config.k_aux, int(dead.sum())))
    return value + config.aux_coefficient * (residual - revived @ w["W_dec"]).square().sum() / residual.square().sum()


def gradients(config: TrainConfig, s: State, x: Tensor, sparsity: float, dead: Tensor) -> tuple[dict[str, Tensor], float]:
    """Of all weights by autograd; along a decoder row of unit norm there is no step. Also the loss."""
    w = {name: weight.detach().clone().requires_grad_() for name, weight in s.weights.items()}
    value = loss(config, w, x, sparsity, dead)
    value.backward()
    found = {name: torch.zeros_like(weight) if weight.grad is None else weight.grad for name, weight in w.items()}
    if config.decoder == "unit":
        found["W_dec"] -= (found["W_dec"] * s.W_dec).sum(1, keepdim=True) * s.W_dec
    return found, float(value.detach())
