"""What training makes of data whose features are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from saebrain.errors import InputError
from saebrain.sae.base import SAE
from saebrain.sae.batch_topk import BatchTopK
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.matryoshka import Matryoshka
from saebrain.sae.quality import measure
from saebrain.sae.training import choice
from saebrain.sae.training.config import Architecture, TrainConfig
from saebrain.sae.training.log import LogRow
from saebrain.sae.training.loop import Training, train
from saebrain.sae.training.state import State
from tests.sae.training import dense, planted

CONFIG = TrainConfig(n_features=64, k=planted.ACTIVE, steps=400, learning_rate=1e-2, k_aux=12, dead_after=5_000)
ALL: dict[str, dict[str, Any]] = {
    "topk": {},
    "topk, scaled": {"decoder": "scaled"},
    "batchtopk": {"architecture": "batchtopk"},
    "batchtopk, scaled": {"architecture": "batchtopk", "decoder": "scaled"},
    "matryoshka": {"architecture": "matryoshka_batchtopk", "prefixes": (16, 64)},
    "jumprelu, tanh": {"architecture": "jumprelu", "sparsity": 1.0},
    "jumprelu, l0": {"architecture": "jumprelu", "sparsity": 1.0, "penalty": "l0"},
    "jumprelu, scaled": {"architecture": "jumprelu", "sparsity": 1.0, "decoder": "scaled"},
    "standard": {"architecture": "standard", "sparsity": 0.5},
    "standard, scaled": {"architecture": "standard", "sparsity": 0.5, "decoder": "scaled"},
}


def recovery(sae: SAE) -> float:
    """Mean over the planted directions of the cosine with the nearest decoder row."""
    return float((planted.directions() @ sae.W_dec.T).max(dim=1).values.mean())


@pytest.fixture(scope="module", params=ALL)
def learnt(request: pytest.FixtureRequest) -> tuple[str, SAE, list[LogRow]]:
    log: list[LogRow] = []
    config = replace(CONFIG, **ALL[request.param])
    return request.param, train(planted.batches(), planted.batch(2, size=2000), config, log=log.append), log


def test_a_planted_dictionary_is_recovered(learnt: tuple[str, SAE, list[LogRow]]) -> None:
    name, sae, log = learnt
    untrained = train(planted.batches(), planted.batch(2), replace(CONFIG, **ALL[name], steps=1))
    x = planted.batch(3, size=4000)
    quality = measure(sae, [x])
    assert recovery(sae) > 0.9 > 0.75 > recovery(untrained)
    assert quality.fvu < 0.1 < 0.4 < measure(untrained, [x]).fvu
    assert log[-1].fvu == pytest.approx(quality.fvu, rel=0.15)  # on the last batch, with the batch's own choice of features
    assert log[-1].l0 == pytest.approx(quality.l0, rel=0.1)
    expected = planted.ACTIVE if not name.startswith("standard") else 7.5  # a relu needs more: it cannot cut off what is weak
    assert quality.l0 == pytest.approx(expected, rel=0.2)


def test_decoder_rows_have_unit_norm(learnt: tuple[str, SAE, list[LogRow]]) -> None:
    torch.testing.assert_close(learnt[1].W_dec.norm(dim=1), torch.ones(CONFIG.n_features), rtol=1e-5, atol=1e-5)


def test_log_and_metadata(learnt: tuple[str, SAE, list[LogRow]]) -> None:
    name, sae, log = learnt
    config = replace(CONFIG, **ALL[name])
    assert [row.step for row in log] == [*range(0, 400, 50), 399]
    assert [row.tokens for row in log] == [512 * (row.step + 1) for row in log]
    assert log[-1].fvu < 0.2 * log[0].fvu
    assert log[-1].learning_rate < log[5].learning_rate == CONFIG.learning_rate
    assert all(0 <= row.dead_fraction <= 1 and row.tokens_per_s > 0 and row.l0 > 0 for row in log)
    assert [row.seconds for row in log] == sorted(row.seconds for row in log)
    assert log[-1].loss < log[0].loss
    assert sae.metadata["training_tokens"] == 400 * 512
    assert TrainConfig(**sae.metadata["training"]) == config
    assert sae.metadata["training"] == asdict(config)
    assert (sae.architecture, sae.n_features, sae.d_in, sae.apply_b_dec_to_input) == (config.architecture, 64, planted.D, True)
    assert sae.scaling.raw


def test_what_only_some_have(learnt: tuple[str, SAE, list[LogRow]]) -> None:
    name, sae, _ = learnt
    if isinstance(sae, BatchTopK):
        assert sae.k == planted.ACTIVE
        assert sae.threshold > 0
    if isinstance(sae, Matryoshka):
        assert sae.prefixes == (16, 64)
    if isinstance(sae, JumpReLU):
        assert (sae.threshold > 0).all()
        assert len(sae.threshold.unique()) > 10
    assert isinstance(sae, Matryoshka) == (name == "matryoshka")


def test_the_first_features_of_a_matryoshka_sae_do_more_by_themselves() -> None:
    x = planted.batch(3, size=4000)
    config = replace(CONFIG, **ALL["matryoshka"])

    def fvu_of_first(sae: SAE) -> float:
        f = sae.encode(x).dense(64)[:, :16]
        return float((x - f @ sae.W_dec[:16] - sae.b_dec).square().sum() / (x - x.mean(0)).square().sum())

    nested, plain = (train(planted.batches(), planted.batch(2, size=2000), c) for c in (config, replace(CONFIG, architecture="batchtopk")))
    assert fvu_of_first(nested) < 0.8 * fvu_of_first(plain)


@pytest.mark.parametrize("name", ALL)
def test_units_are_those_of_the_hidden_states(name: str) -> None:
    """Ten times the states, moved away from the origin: the same features, ten times as active."""
    config = replace(CONFIG, steps=30, **ALL[name])
    x = planted.batch(3)
    plain = train(planted.batches(), planted.batch(2), config)
    moved = train(planted.batches(scale=10.0, shift=5.0), planted.batch(2, scale=10.0, shift=5.0), config)
    torch.testing.assert_close(moved.split(10 * x + 5)[1], 10 * plain.split(x)[1] + 5, rtol=1e-2, atol=1e-1)
    torch.testing.assert_close(moved.W_dec, plain.W_dec, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(moved.encode(10 * x + 5).values.sum(), 10 * plain.encode(x).values.sum(), rtol=2e-3, atol=0)
    assert moved.metadata["training_scale"] == pytest.approx(10 * plain.metadata["training_scale"], rel=1e-4)


@pytest.mark.parametrize("name", ["topk", "topk, scaled", "jumprelu, scaled", "standard, scaled"])
def test_the_finished_sae_computes_what_training_did(name: str) -> None:
    """Folding scale, centre and norms away changes no reconstruction."""
    x = planted.batch(3, scale=4.0, shift=-3.0)
    training = Training(planted.batch(2, scale=4.0, shift=-3.0), replace(CONFIG, **ALL[name]))
    for seed in range(5, 25):
        training.step(planted.batch(seed, scale=4.0, shift=-3.0))
    sae = training.finish()
    batch = training.gradients((x - training.centre) / training.scale, 0.0)
    codes, x_hat = sae.split(x)
    torch.testing.assert_close(x_hat - x, batch.errors[:, -1] * training.scale, rtol=1e-3, atol=1e-3)
    assert len(codes.values) == int(batch.times.sum())


@pytest.mark.parametrize("name", ALL)
def test_steps_are_those_of_autograd_and_plain_adam(name: str) -> None:
    """Warm-up, penalty, clipping, Adam, normalising: weights after ten steps, against the dense loss in float64."""
    config = replace(CONFIG, **ALL[name], steps=10, learning_rate=3e-3, warmup=0.5, decay=0.3, sparsity_warmup=0.4, max_gradient_norm=0.05)
    training = Training(planted.batch(2), config)
    w = {key: weight.double().clone().requires_grad_() for key, weight in training.state.weights.items()}
    optimizer = torch.optim.Adam(w.values())
    norms = []
    for step in range(10):
        x = planted.batch(30 + step)
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1, (step + 1) / 5) * min(1, (10 - step) / 3)
        optimizer.zero_grad()
        scaled = (x.double() - training.centre.double()) / training.scale
        dense.loss(config, w, scaled, config.sparsity * min(1, (step + 1) / 4), torch.zeros(64, dtype=torch.bool)).backward()
        W_dec = w["W_dec"]
        assert W_dec.grad is not None
        if config.decoder == "unit":
            W_dec.grad -= (W_dec.grad * W_dec.detach()).sum(1, keepdim=True) * W_dec.detach()
        norms.append(float(torch.nn.utils.clip_grad_norm_(w.values(), 0.05)))
        optimizer.step()
        if config.decoder == "unit":
            W_dec.data = normalize(W_dec.data, dim=1)
        training.step(x)
    assert min(norms) > 0.05
    for key, weight in w.items():
        torch.testing.assert_close(training.state.weights[key].double(), weight.detach(), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("bad", [torch.inf, torch.nan, 1e30])
def test_training_that_diverges_is_stopped(bad: float) -> None:
    def states() -> Iterator[Tensor]:
        for step, x in enumerate(planted.batches()):
            yield x * bad if step == 20 else x

    with pytest.raises(InputError, match=r"training diverged before step \d+: the loss is (nan|inf); lower the learning rate \(0\.01\)"):
        train(states(), planted.batch(2), replace(CONFIG, steps=30), log_every=5)


@pytest.mark.parametrize("architecture", ["topk", "batchtopk", "jumprelu", "standard"])
def test_dead_features_are_revived(architecture: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the features begin so that they are never active; the others are too few."""
    half = 24
    begin = State.start

    def short(d_in: int, config: TrainConfig) -> State:
        s = begin(d_in, config)
        s.W_enc[:half] *= 0.05
        s.b_enc[:half] -= 2.0 if architecture in ("standard", "jumprelu") else 0.0
        return s

    monkeypatch.setattr(State, "start", short)
    config = replace(CONFIG, n_features=2 * half, steps=250, k_aux=6, dead_after=1_000, aux_share=1.0, architecture=architecture, sparsity=0.5)
    sample, x = planted.batch(2, size=2000), planted.batch(3, size=4000)
    left, revived = (train(planted.batches(), sample, replace(config, aux_coefficient=c)) for c in (0.0, 1 / 32))

    def used(sae: SAE) -> int:
        return len(sae.encode(x).features.unique())

    assert used(left) < 1.2 * half
    assert used(revived) > 1.25 * half
    assert measure(revived, [x]).fvu < 0.75 * measure(left, [x]).fvu


def weights(sae: SAE) -> list[Tensor]:
    return [sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec]


def test_same_seed_same_weights() -> None:
    sample = planted.batch(2, size=500)
    config = replace(CONFIG, steps=20)
    first, again, other = (train(planted.batches(), sample, replace(config, seed=seed)) for seed in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(again), strict=True))
    assert not torch.allclose(first.W_dec, other.W_dec)


@pytest.mark.parametrize("architecture", ["jumprelu", "standard"])
def test_dense_and_sparse_products_train_the_same(architecture: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, steps=25, architecture=architecture)
    found = []
    for dense_above in (0.0, 1.0):
        monkeypatch.setattr(choice, "DENSE_ABOVE", dense_above)
        found.append(train(planted.batches(), planted.batch(2), config))
    torch.testing.assert_close(found[0].W_dec, found[1].W_dec, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[0].W_enc, found[1].W_enc, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["topk", "batchtopk, scaled", "matryoshka", "jumprelu, tanh", "standard"])
def test_half_precision_on_the_encoders_product(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "DENSE_ABOVE", 1.0)  # dense codes are computed in full precision in any case
    config = replace(CONFIG, **ALL[name], steps=150)
    x, sample = planted.batch(3, size=4000), planted.batch(2, size=2000)
    full, half = (train(planted.batches(), sample, replace(config, precision=precision)) for precision in ("float32", "bfloat16"))
    assert not torch.equal(full.W_dec, half.W_dec)
    assert half.W_dec.dtype == torch.float32
    assert measure(half, [x]).fvu == pytest.approx(measure(full, [x]).fvu, abs=0.03)


def test_a_penalty_of_more_weight_gives_sparser_codes() -> None:
    x = planted.batch(3, size=2000)
    for name in ("jumprelu, tanh", "jumprelu, l0", "standard"):
        config = replace(CONFIG, **ALL[name], steps=150)
        l0 = [measure(train(planted.batches(), planted.batch(2), replace(config, sparsity=s)), [x]).l0 for s in (0.1, 0.5, 2.0)]
        assert l0[0] > 1.2 * l0[1] > 1.4 * l0[2], (name, l0)


def test_progress_and_early_end_of_the_data() -> None:
    seen: list[tuple[int, int]] = []
    few = [planted.batch(seed) for seed in range(3)]
    train(few, few[0], replace(CONFIG, steps=5), report=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 5), (2, 5), (3, 5)]
