"""Gradients of every architecture against autograd of the plain dense loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from saebrain.sae.training import choice
from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.gradients import Gradients
from saebrain.sae.training.objectives import objective
from saebrain.sae.training.state import State
from tests.sae.training import dense

# Threads gain nothing on so little data, and on a busy machine they wait for one another.
torch.set_num_threads(1)

D, N = 12, 64
ARCHITECTURES: list[dict[str, Any]] = [
    {"architecture": "topk"},
    {"architecture": "batchtopk"},
    {"architecture": "matryoshka_batchtopk", "prefixes": (3, 8, 30, N)},
    {"architecture": "jumprelu", "penalty": "tanh", "tanh_slope": 1.7, "bandwidth": 0.6},
    {"architecture": "jumprelu", "penalty": "l0", "bandwidth": 0.6},
    {"architecture": "standard"},
]
SPARSITY = 1.3


def name(settings: dict[str, Any]) -> str:
    return "-".join(map(str, settings.values()))


def config(**settings: Any) -> TrainConfig:
    return TrainConfig(**{"n_features": N, "k": 5, "k_aux": 8, "aux_coefficient": 0.5, "aux_share": 0.5, "dead_after": 1000, **settings})


def tokens(n: int) -> Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def compute(c: TrainConfig, s: State, x: Tensor) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Ours: gradients and figures."""
    batch = Gradients(s, objective(c), c)(x, SPARSITY)
    found = {}
    for name, weight in s.weights.items():
        assert weight.grad is not None
        found[name] = weight.grad
    return found, batch.figures()


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for weight, gradient in theirs.items():
        assert gradient.abs().max() > 0, weight
        torch.testing.assert_close(ours[weight], gradient, rtol=1e-9, atol=1e-12 * float(gradient.abs().max()))


@pytest.mark.parametrize("settings", ARCHITECTURES, ids=name)
@pytest.mark.parametrize("decoder", ["unit", "scaled"])
@pytest.mark.parametrize("dense_above", [0.0, 1.0], ids=["dense", "sparse"])  # only some can be dense
@pytest.mark.parametrize("n_tokens", [3, 300])
def test_gradients_are_those_of_autograd(
    settings: dict[str, Any], decoder: str, dense_above: float, n_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "DENSE_ABOVE", dense_above)
    c, x = config(**settings, decoder=decoder), tokens(n_tokens)
    s = dense.state(c, D)
    expected, loss = dense.gradients(c, s, x, SPARSITY, torch.zeros(N, dtype=torch.bool))
    ours, figures = compute(c, s, x)
    assert_same(ours, expected)
    assert figures["loss"] == pytest.approx(loss, rel=1e-9)
    f, _ = dense.codes(c, s.weights, x)
    error = x - f @ s.W_dec - s.b_dec
    assert figures["fvu"] == pytest.approx(float(error.square().sum() / (x - x.mean(0)).square().sum()), rel=1e-9)
    assert figures["l0"] == pytest.approx(float((f > 0).sum(1).double().mean()))


@pytest.mark.parametrize("settings", ARCHITECTURES, ids=name)
@pytest.mark.parametrize("decoder", ["unit", "scaled"])
@pytest.mark.parametrize("n_dead", [5, 25])  # fewer and more than k_aux
def test_gradients_with_the_auxiliary_loss(settings: dict[str, Any], decoder: str, n_dead: int) -> None:
    c, x = config(**settings, decoder=decoder), tokens(10)
    s = dense.state(c, D)
    s.W_enc[:n_dead] *= 0.1
    s.b_enc[:n_dead] = 0.02
    if c.architecture == "standard":
        s.b_enc[:n_dead] = -1  # positive for no token
    s.idle[:n_dead] = 5000
    f, _ = dense.codes(c, s.weights, x)
    dead = (s.idle > 0) & ~(f > 0).any(dim=0)
    assert 3 <= dead.sum() <= n_dead
    expected, loss = dense.gradients(c, s, x, SPARSITY, dead)
    without, plain = dense.gradients(c, s, x, SPARSITY, torch.zeros_like(dead))
    ours, figures = compute(c, s, x)
    assert_same(ours, expected)
    assert figures["loss"] == pytest.approx(loss, rel=1e-9) != pytest.approx(plain, rel=1e-9)
    alive = ~dead
    torch.testing.assert_close(ours["W_dec"][alive], without["W_dec"][alive])  # it reaches dead features alone


def test_idle_time_counts_tokens_since_the_last_activation() -> None:
    c = config()
    s = dense.state(c, D)
    s.b_enc -= 3  # many tokens have fewer than k active features: kept at 0 is not active
    compute_gradients = Gradients(s, objective(c), c)
    first, second = tokens(14).split(7)
    fires = [(dense.codes(c, s.weights, x)[0] > 0).any(dim=0) for x in (first, second)]
    compute_gradients(first, 0.0)
    compute_gradients(second, 0.0)
    expected = torch.where(fires[1], 0, torch.where(fires[0], 7, 14))
    assert set(expected.tolist()) == {0, 7, 14}
    assert torch.equal(s.idle, expected)


def test_the_cutoff_is_the_running_mean_of_the_smallest_kept_values() -> None:
    c = config(architecture="batchtopk")
    s = dense.state(c, D)
    compute_gradients = Gradients(s, objective(c), c)
    smallest = []
    for x in tokens(60).split(20):
        f, _ = dense.codes(c, s.weights, x)
        smallest.append(float(f[f > 0].min()))
        compute_gradients(x, 0.0)
    weights = [0.95**2, 0.95, 1]
    assert s.threshold == pytest.approx(sum(w * v for w, v in zip(weights, smallest, strict=True)) / sum(weights), rel=1e-12)
    assert min(smallest) < s.threshold < max(smallest)


@pytest.mark.parametrize("settings", ARCHITECTURES, ids=name)
@pytest.mark.parametrize("decoder", ["unit", "scaled"])
def test_half_precision_chooses_and_full_precision_computes(settings: dict[str, Any], decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the choice is the same, so are the gradients, but for what float32 rounds."""
    monkeypatch.setattr(choice, "DENSE_ABOVE", 1.0)
    c = config(**settings, decoder=decoder)
    x = tokens(40).float()
    found = []
    precisions: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
    for precision in precisions:
        s = dense.state(c, D)
        for name, tensor in vars(s).items():
            if tensor.dtype == torch.float64 and name != "cutoff":
                setattr(s, name, tensor.float())
        found.append(compute(replace(c, precision=precision), s, x)[0])
    full, half = found
    for name in full:
        close = torch.isclose(half[name], full[name], rtol=1e-4, atol=1e-5 * float(full[name].abs().max()))
        assert float(close.float().mean()) > (0.6 if name != "b_dec" else -1), name
        assert float((half[name] - full[name]).norm() / full[name].norm()) < 0.2, name
