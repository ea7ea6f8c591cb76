"""Training: gradients against autograd of the dense loss, and what comes out on data whose features are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import normalize

from saebrain.errors import InputError
from saebrain.sae.quality import measure
from saebrain.sae.topk import TopK
from saebrain.sae.train import LogRow, TrainConfig, _State, geometric_median, schedule, train

# Threads gain nothing on so little data, and on a busy machine they wait for one another.
torch.set_num_threads(1)

D, TRUE, ACTIVE = 24, 32, 3


def planted() -> Tensor:
    """Known directions, of unit norm; the seed is not one of those that weights are drawn with."""
    return normalize(torch.randn(TRUE, D, generator=torch.Generator().manual_seed(100)), dim=1)


def batches(*, seed: int = 1, size: int = 512, scale: float = 1.0, shift: float = 0.0) -> Iterator[Tensor]:
    """Endless sums of ACTIVE of the planted directions with positive weights."""
    generator, directions = torch.Generator().manual_seed(seed), planted()
    while True:
        which = torch.rand(size, TRUE, generator=generator).topk(ACTIVE, dim=1).indices
        weight = torch.zeros(size, TRUE).scatter(1, which, 0.5 + torch.rand(size, ACTIVE, generator=generator))
        yield scale * (weight @ directions) + shift


CONFIG = TrainConfig(n_features=64, k=ACTIVE, steps=400, learning_rate=1e-2, k_aux=12, dead_after=5_000)


# gradients


def state(config: TrainConfig, d: int) -> _State:
    """Weights as in the middle of training: encoder unlike decoder, biases not zero."""
    generator = torch.Generator().manual_seed(0)
    n = config.n_features
    W_enc, b_enc, W_dec, b_dec = (torch.randn(*shape, generator=generator) for shape in ((n, d), (n,), (n, d), (d,)))
    return _State(W_enc, 0.3 * b_enc, normalize(W_dec, dim=1), 0.3 * b_dec, idle=torch.zeros(n, dtype=torch.long))


def kept(z: Tensor, k: int) -> Tensor:
    """relu of the k largest entries of each row, zero elsewhere."""
    return torch.zeros_like(z).scatter(1, z.topk(k, dim=1).indices, 1.0) * z.relu()


def dense_gradients(s: _State, x: Tensor, config: TrainConfig, dead: Tensor) -> list[Tensor]:
    """Of the loss in the module's docstring by autograd, all products dense, in float64."""
    W_enc, b_enc, W_dec, b_dec = (weight.double().requires_grad_() for weight in s.parameters)
    x = x.double()
    z = (x - b_dec) @ W_enc.T + b_enc
    x_hat = kept(z, config.k) @ W_dec + b_dec
    loss = (x - x_hat).square().sum() / x.numel()
    if dead.any():
        e = (x - x_hat).detach()
        z = ((x - b_dec.detach()) @ W_enc.T + b_enc).masked_fill(~dead, -torch.inf)
        e_hat = kept(z, min(config.k_aux, int(dead.sum()))) @ W_dec
        loss = loss + config.aux_coefficient * (e - e_hat).square().sum() / e.square().sum()
    loss.backward()
    gradients = [weight.grad for weight in (W_enc, b_enc, W_dec, b_dec) if weight.grad is not None]
    # Along a row of the decoder there is no step: its norm is held at 1.
    gradients[2] = gradients[2] - (gradients[2] * s.W_dec.double()).sum(1, keepdim=True) * s.W_dec.double()
    return gradients


@pytest.mark.parametrize("tokens", [3, 300])  # 300: more than one chunk of the gathered rows
@pytest.mark.parametrize("n_dead", [0, 5, 25])  # fewer and more than k_aux
def test_gradients_are_those_of_autograd(tokens: int, n_dead: int) -> None:
    config = TrainConfig(n_features=60, k=5, k_aux=8, aux_coefficient=0.5, dead_after=1000)
    s = state(config, d=12)
    s.W_enc[:n_dead] *= 0.2  # seldom among the k largest, often positive
    s.b_enc[:n_dead] = 0.1
    x = torch.randn(tokens, 12, generator=torch.Generator().manual_seed(1))
    s.idle[:n_dead] = 5000
    fires = (kept((x - s.b_dec) @ s.W_enc.T + s.b_enc, config.k) > 0).any(dim=0)
    dead = (s.idle > 0) & ~fires
    assert bool(dead.any()) == (n_dead > 0)
    expected = dense_gradients(s, x, config, dead)
    error, variance = s.gradients(x, config)
    for weight, gradient in zip(s.parameters, expected, strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, gradient.float(), rtol=1e-5, atol=1e-5 * float(gradient.abs().max()))
    x_hat = kept((x - s.b_dec) @ s.W_enc.T + s.b_enc, config.k) @ s.W_dec + s.b_dec
    assert error == pytest.approx(float((x - x_hat).square().sum()), rel=1e-4)
    assert variance == pytest.approx(float(x.var(dim=0, correction=0).sum()) * tokens, rel=1e-4)


def test_the_auxiliary_loss_reaches_dead_features_alone() -> None:
    config = TrainConfig(n_features=60, k=5, k_aux=8, dead_after=1000)
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(1))
    without, with_dead = state(config, 12), state(config, 12)
    fires = (kept((x - without.b_dec) @ without.W_enc.T + without.b_enc, config.k) > 0).any(dim=0)
    with_dead.idle[~fires] = 5000
    without.gradients(x, config)
    with_dead.gradients(x, config)
    assert without.W_dec.grad is not None
    assert with_dead.W_dec.grad is not None
    torch.testing.assert_close(with_dead.W_dec.grad[fires], without.W_dec.grad[fires])
    assert (without.W_dec.grad[~fires] == 0).all()
    assert (with_dead.W_dec.grad[~fires] != 0).any()


def test_idle_time_counts_tokens_since_the_last_activation() -> None:
    config = TrainConfig(n_features=60, k=5)
    s = state(config, 12)
    s.b_enc -= 5  # many tokens have fewer than k active features: kept at 0 is not active
    first, second = torch.randn(2, 7, 12, generator=torch.Generator().manual_seed(1))
    fires = [(kept((x - s.b_dec) @ s.W_enc.T + s.b_enc, config.k) > 0).any(dim=0) for x in (first, second)]
    s.gradients(first, config)
    s.gradients(second, config)
    expected = torch.where(fires[1], 0, torch.where(fires[0], 7, 14))
    assert set(expected.tolist()) == {0, 7, 14}
    assert torch.equal(s.idle, expected)


# what is learnt


@pytest.fixture(scope="module")
def learnt() -> tuple[TopK, list[LogRow]]:
    log: list[LogRow] = []
    sample = next(batches(seed=2, size=2000))
    return train(batches(), sample, CONFIG, log=log.append, log_every=50), log


def test_a_planted_dictionary_is_recovered(learnt: tuple[TopK, list[LogRow]]) -> None:
    sae, _ = learnt
    untrained = train(batches(), next(batches(seed=2)), replace(CONFIG, steps=1))
    x = next(batches(seed=3, size=4000))

    def recovery(sae: TopK) -> float:
        return float((planted() @ sae.W_dec.T).max(dim=1).values.mean())

    assert recovery(sae) > 0.95 > 0.7 > recovery(untrained)
    assert measure(sae, [x]).fvu < 0.05 < 0.4 < measure(untrained, [x]).fvu
    assert measure(sae, [x]).l0 == pytest.approx(ACTIVE, abs=0.2)


def test_decoder_rows_have_unit_norm(learnt: tuple[TopK, list[LogRow]]) -> None:
    torch.testing.assert_close(learnt[0].W_dec.norm(dim=1), torch.ones(CONFIG.n_features), rtol=1e-5, atol=1e-5)


def test_log_and_metadata(learnt: tuple[TopK, list[LogRow]]) -> None:
    sae, log = learnt
    assert [row.step for row in log] == [*range(0, 400, 50), 399]
    assert [row.tokens for row in log] == [512 * (row.step + 1) for row in log]
    assert log[-1].fvu < 0.2 * log[0].fvu
    assert log[-1].learning_rate < log[5].learning_rate == CONFIG.learning_rate
    assert sae.metadata["training_tokens"] == 400 * 512
    assert TrainConfig(**sae.metadata["training"]) == CONFIG
    assert (sae.k, sae.n_features, sae.d_in, sae.apply_b_dec_to_input) == (ACTIVE, CONFIG.n_features, D, True)


def test_dead_features_are_revived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the features begin with an encoder so short that they are never among the k largest; the others are too few."""
    half = 24
    begin = _State.start

    def short(d_in: int, config: TrainConfig) -> _State:
        s = begin(d_in, config)
        s.W_enc[:half] *= 0.05
        return s

    monkeypatch.setattr(_State, "start", short)
    config = TrainConfig(n_features=2 * half, k=ACTIVE, steps=250, learning_rate=1e-2, k_aux=6, dead_after=1_000)
    sample, x = next(batches(seed=2, size=2000)), next(batches(seed=3, size=4000))
    left, revived = (train(batches(), sample, replace(config, aux_coefficient=c)) for c in (0.0, 1 / 32))

    def used(sae: TopK) -> int:
        codes = sae.encode(x)
        return len(codes.features[codes.values > 0].unique())

    assert used(left) < 1.2 * half
    assert used(revived) > 1.25 * half
    assert measure(revived, [x]).fvu < 0.6 * measure(left, [x]).fvu


def weights(sae: TopK) -> list[Tensor]:
    return [sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec]


def test_same_seed_same_weights() -> None:
    sample = next(batches(seed=2, size=500))
    config = replace(CONFIG, steps=20)
    first, again, other = (train(batches(), sample, replace(config, seed=seed)) for seed in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(again), strict=True))
    assert not torch.allclose(first.W_dec, other.W_dec)


def test_units_are_those_of_the_hidden_states() -> None:
    """Ten times the states, moved away from the origin: the same features, ten times as active."""
    config = replace(CONFIG, steps=30)
    x = next(batches(seed=3))
    plain = train(batches(), next(batches(seed=2)), config)
    moved = train(batches(scale=10.0, shift=5.0), next(batches(seed=2, scale=10.0, shift=5.0)), config)
    torch.testing.assert_close(moved.decode(moved.encode(10 * x + 5)), 10 * plain.decode(plain.encode(x)) + 5, rtol=1e-2, atol=5e-2)
    torch.testing.assert_close(moved.W_dec, plain.W_dec, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(moved.encode(10 * x + 5).values.sum(), 10 * plain.encode(x).values.sum(), rtol=1e-3, atol=0)


def test_progress_and_early_end_of_the_data() -> None:
    seen: list[tuple[int, int]] = []
    few = [next(batches(seed=seed)) for seed in range(3)]
    train(few, few[0], replace(CONFIG, steps=5), report=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 5), (2, 5), (3, 5)]


@pytest.mark.parametrize("k", [0, 65])
def test_k_must_fit_the_features(k: int) -> None:
    with pytest.raises(InputError, match=f"k = {k} with 64 features: k must be between 1 and the number of features"):
        TrainConfig(n_features=64, k=k)


# geometric median and schedule


def test_geometric_median_has_the_least_sum_of_distances() -> None:
    x = np.random.default_rng(0).standard_t(2, size=(200, 3)) + np.array([4.0, 0.0, -2.0])
    start, limits = x.mean(axis=0), {"xatol": 1e-8, "fatol": 1e-10}
    found = minimize(lambda point: np.linalg.norm(x - point, axis=1).sum(), start, method="Nelder-Mead", options=limits)
    median = geometric_median(torch.from_numpy(x))
    np.testing.assert_allclose(median.numpy(), found.x, atol=1e-4)
    assert np.linalg.norm(median.numpy() - x.mean(axis=0)) > 0.01


def test_geometric_median_on_a_data_point() -> None:
    x = torch.tensor([[0.0, 0.0]] * 5 + [[3.0, 4.0]])
    torch.testing.assert_close(geometric_median(x), torch.zeros(2), rtol=0, atol=1e-4)


def test_learning_rate_rises_stays_and_falls() -> None:
    config = TrainConfig(steps=100, warmup=0.1, decay=0.2)
    factor = [schedule(step, config) for step in range(100)]
    assert factor[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factor[10:80] == [1.0] * 70
    assert factor[80:] == pytest.approx([(100 - step) / 20 for step in range(80, 100)])


def test_learning_rate_without_warm_up_and_decay() -> None:
    assert [schedule(step, TrainConfig(steps=3, warmup=0, decay=0)) for step in range(3)] == [1.0, 1.0, 1.0]
