"""Training of a TopK SAE, with gradients that touch only the active features.

Loss per batch, with x in units where its mean squared deviation from b_dec is 1 per dimension::

    L = |x - x_hat|^2 / (B d)  +  c_aux |e - e_hat|^2 / |e|^2

e = x - x_hat (held fixed, as is b_dec in the second term) and e_hat its reconstruction from the ``k_aux`` strongest
*dead* features, those that were active on none of the last ``dead_after`` tokens (Gao et al. 2024, section 2.4 and
appendix A.2). Only the encoder's forward pass is a dense product: with the code A (tokens x features, k non-zeros a row)
as a sparse matrix, the decoder's gradient is A^T g and the encoder's D^T (x - b_dec), D having A's pattern. That is what
makes a step fast on a CPU.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from saebrain.errors import InputError
from saebrain.progress import Report, silent
from saebrain.sae.topk import TopK

# What is used of torch's sparse matrices is tested here against dense gradients.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state", category=UserWarning)


@dataclass(frozen=True)
class TrainConfig:
    """How to train; saved beside the weights."""

    n_features: int = 4096
    k: int = 32
    """Active features a token."""
    steps: int = 4000
    learning_rate: float = 6e-4
    warmup: float = 0.02
    """Share of the steps in which the learning rate rises from 0."""
    decay: float = 0.25
    """Share of the steps at the end in which it falls to 0."""
    max_gradient_norm: float = 1.0
    k_aux: int = 256
    aux_coefficient: float = 1 / 32
    dead_after: int = 250_000
    """Tokens without activation after which a feature counts as dead."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.n_features:
            raise InputError(f"k = {self.k} with {self.n_features} features: k must be between 1 and the number of features")


@dataclass(frozen=True)
class LogRow:
    """What is measured at a training step, on the batch of that step."""

    step: int
    tokens: int
    fvu: float
    dead_fraction: float
    learning_rate: float
    tokens_per_s: float


def train(
    batches: Iterable[Float[Tensor, "tokens d_in"]],
    sample: Float[Tensor, "sample d_in"],
    config: TrainConfig,
    *,
    log: Callable[[LogRow], None] = lambda row: None,
    log_every: int = 50,
    report: Report = silent,
) -> TopK:
    """Train a TopK SAE.

    Parameters
    ----------
    batches : iterable of tensors
        Shuffled hidden states, at least ``config.steps`` batches.
    sample : tensor
        A few thousand hidden states, for the geometric median and the scale.

    Returns
    -------
    TopK
        In the units of the hidden states (the scale used in training is folded back), decoder rows of unit norm.
    """
    centre = geometric_median(sample)
    scale = float((sample - centre).square().mean().sqrt())
    state = _State.start(sample.shape[1], config)
    optimizer = torch.optim.Adam(state.parameters, lr=config.learning_rate, betas=(0.9, 0.999), eps=1e-8)
    started, tokens = time.monotonic(), 0
    for step, raw in enumerate(batches):
        if step == config.steps:
            break
        x = (raw - centre) / scale
        rate = config.learning_rate * schedule(step, config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        error, variance = state.gradients(x, config)
        torch.nn.utils.clip_grad_norm_(state.parameters, config.max_gradient_norm)
        optimizer.step()
        state.W_dec.data = normalize(state.W_dec.data, dim=1)
        tokens += len(x)
        if step % log_every == 0 or step == config.steps - 1:
            dead = float((state.idle >= config.dead_after).float().mean())
            log(LogRow(step, tokens, error / variance, dead, rate, tokens / (time.monotonic() - started)))
        report(step + 1, config.steps)
    return TopK(
        k=config.k,
        W_enc=state.W_enc.data.T.contiguous(),
        b_enc=state.b_enc.data * scale,
        W_dec=state.W_dec.data,
        b_dec=state.b_dec.data * scale + centre,
        metadata={"training": asdict(config), "training_tokens": tokens},
    )


def geometric_median(x: Float[Tensor, "sample d_in"], iterations: int = 50) -> Float[Tensor, " d_in"]:
    """The point with the least sum of distances to the rows (Weiszfeld's algorithm)."""
    median = x.mean(0)
    for _ in range(iterations):
        weight = 1 / (x - median).norm(dim=1).clamp_min(1e-6)
        median = (weight[:, None] * x).sum(0) / weight.sum()
    return median


def schedule(step: int, config: TrainConfig) -> float:
    """Learning-rate factor: linear warm-up, plateau, linear decay to zero."""
    rise = min(1.0, (step + 1) / max(1.0, config.warmup * config.steps))
    fall = min(1.0, (config.steps - step) / max(1.0, config.decay * config.steps))
    return rise * fall


@dataclass
class _State:
    """Weights under training, both matrices with one row a feature, and each feature's idle time in tokens."""

    W_enc: Float[Tensor, "n_features d_in"]
    b_enc: Float[Tensor, " n_features"]
    W_dec: Float[Tensor, "n_features d_in"]
    b_dec: Float[Tensor, " d_in"]
    idle: Int[Tensor, " n_features"]

    @classmethod
    def start(cls, d_in: int, config: TrainConfig) -> _State:
        rng = torch.Generator().manual_seed(config.seed)
        W_dec = normalize(torch.randn(config.n_features, d_in, generator=rng), dim=1)
        zeros: dict[str, Any] = {"b_enc": torch.zeros(config.n_features), "b_dec": torch.zeros(d_in)}
        return cls(W_enc=W_dec.clone(), W_dec=W_dec, idle=torch.zeros(config.n_features, dtype=torch.long), **zeros)

    @property
    def parameters(self) -> list[Tensor]:
        return [self.W_enc, self.b_enc, self.W_dec, self.b_dec]

    def gradients(self, x: Float[Tensor, "tokens d_in"], config: TrainConfig) -> tuple[float, float]:
        """Set ``.grad`` of every weight; returns the batch's squared error and its variance (both summed)."""
        centred = x - self.b_dec
        z = torch.addmm(self.b_enc, centred, self.W_enc.T)
        values, features = z.topk(config.k, dim=-1, sorted=False)
        values = values.relu()
        error = embedding_bag(features, self.W_dec, per_sample_weights=values, mode="sum") - centred
        g = error * (2 / error.numel())
        dW_enc, db_enc, dW_dec, dx = _sparse_gradients(features, values, g, centred, self.W_enc, self.W_dec)
        # b_dec is added to the reconstruction and taken from the encoder's input.
        db_dec = g.sum(0) - dx
        self._note_activity(features, values)
        dead = (self.idle >= config.dead_after).nonzero()[:, 0]
        if len(dead):
            aux = self._revive(z, dead, -error, centred, config)
            dW_enc, db_enc, dW_dec = dW_enc + aux[0], db_enc + aux[1], dW_dec + aux[2]
        # Along a unit-norm row the gradient would only change its length, which is put back after the step.
        dW_dec = dW_dec - (dW_dec * self.W_dec).sum(1, keepdim=True) * self.W_dec
        self.W_enc.grad, self.b_enc.grad, self.W_dec.grad, self.b_dec.grad = dW_enc, db_enc, dW_dec, db_dec
        return float(error.square().sum()), float((x - x.mean(0)).square().sum())

    def _note_activity(self, features: Int[Tensor, "tokens k"], values: Float[Tensor, "tokens k"]) -> None:
        self.idle += len(features)
        self.idle[features[values > 0]] = 0

    def _revive(
        self,
        z: Float[Tensor, "tokens n_features"],
        dead: Int[Tensor, " dead"],
        residual: Float[Tensor, "tokens d_in"],
        centred: Float[Tensor, "tokens d_in"],
        config: TrainConfig,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of the auxiliary loss, which teaches dead features what the live ones miss."""
        values, among_dead = z[:, dead].topk(min(config.k_aux, len(dead)), dim=-1, sorted=False)
        features, values = dead[among_dead], values.relu()
        miss = embedding_bag(features, self.W_dec, per_sample_weights=values, mode="sum") - residual
        g = miss * (2 * config.aux_coefficient / float(residual.square().sum()))
        return _sparse_gradients(features, values, g, centred, self.W_enc, self.W_dec)[:3]


def _sparse_gradients(
    features: Int[Tensor, "tokens k"],
    values: Float[Tensor, "tokens k"],
    g: Float[Tensor, "tokens d_in"],
    centred: Float[Tensor, "tokens d_in"],
    W_enc: Float[Tensor, "n_features d_in"],
    W_dec: Float[Tensor, "n_features d_in"],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients with respect to W_enc, b_enc, W_dec and (summed over tokens) the encoder's input; g is dL/dx_hat."""
    tokens, k = features.shape
    # dL/df = W_dec g, needed at the active features only; chunks keep the gathered rows within the cache's reach.
    active = torch.cat([torch.bmm(W_dec[f], r[:, :, None])[:, :, 0] for f, r in zip(features.split(256), g.split(256), strict=True)])
    d_values = active * (values > 0)
    rows = torch.arange(0, tokens * k + 1, k)
    shape = (tokens, len(W_dec))
    A_t = torch.sparse_csr_tensor(rows, features.reshape(-1), values.reshape(-1), shape).to_sparse_csc()
    D_t = torch.sparse_csr_tensor(rows, features.reshape(-1), d_values.reshape(-1), shape).to_sparse_csc()
    dW_dec = _transposed(A_t) @ g
    dW_enc = _transposed(D_t) @ centred
    db_enc = torch.zeros(len(W_dec)).index_add_(0, features.reshape(-1), d_values.reshape(-1))
    return dW_enc, db_enc, dW_dec, db_enc @ W_enc


def _transposed(matrix: Tensor) -> Tensor:
    """Transpose of a CSC matrix, as CSR over the same memory."""
    rows, columns = matrix.shape
    return torch.sparse_csr_tensor(matrix.ccol_indices(), matrix.row_indices(), matrix.values(), (columns, rows))
