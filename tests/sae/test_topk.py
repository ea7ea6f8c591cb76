"""TopK codes and reconstructions, against the plain dense formulas; quality figures against numpy."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from saebrain.errors import InputError
from saebrain.sae.quality import measure
from saebrain.sae.topk import TopK

D, N, K, TOKENS = 10, 40, 6, 100


def sae(*, apply_b_dec_to_input: bool = True, b_enc: float = 0.0) -> TopK:
    g = torch.Generator().manual_seed(0)
    return TopK(
        k=K,
        W_enc=torch.randn(D, N, generator=g),
        b_enc=torch.randn(N, generator=g) + b_enc,
        W_dec=torch.randn(N, D, generator=g),
        b_dec=torch.randn(D, generator=g),
        apply_b_dec_to_input=apply_b_dec_to_input,
    )


def states(n: int = TOKENS) -> Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(1)) + 0.5


def dense(model: TopK, x: Tensor) -> Tensor:
    """f: the k largest entries of relu(z), zero elsewhere; in float64, by sorting."""
    centred = x.double() - (model.b_dec.double() if model.apply_b_dec_to_input else 0)
    z = centred @ model.W_enc.double() + model.b_enc.double()
    threshold = z.sort(dim=1, descending=True).values[:, model.k - 1 : model.k]
    return z.relu() * (z >= threshold)


@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
@pytest.mark.parametrize("b_enc", [0.0, -6.0])  # with the second most tokens have fewer than k positive entries
def test_codes_and_reconstruction(apply_b_dec_to_input: bool, b_enc: float) -> None:
    model, x = sae(apply_b_dec_to_input=apply_b_dec_to_input, b_enc=b_enc), states()
    codes, f = model.encode(x), dense(model, x)
    assert codes.n_tokens == TOKENS
    assert (codes.values > 0).all()
    assert ((f > 0).sum(dim=1) < K).any() == (b_enc < 0)
    torch.testing.assert_close(codes.dense(N), f.float(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.decode(codes), (f @ model.W_dec.double() + model.b_dec.double()).float(), rtol=1e-4, atol=1e-4)


def test_sizes() -> None:
    assert (sae().d_in, sae().n_features) == (D, N)


def test_quality_is_that_of_numpy_whatever_the_batches() -> None:
    model, x = sae(), states()
    f = dense(model, x).numpy()
    x64 = x.double().numpy()
    x_hat = f @ model.W_dec.double().numpy() + model.b_dec.double().numpy()
    fvu = ((x64 - x_hat) ** 2).sum() / ((x64 - x64.mean(axis=0)) ** 2).sum()
    for batches in ([x], [x[:1], x[1:60], x[60:]]):
        quality = measure(model, batches)
        assert quality.fvu == pytest.approx(fvu, rel=1e-5)
        assert quality.l0 == pytest.approx((f > 0).sum(axis=1).mean())
        assert quality.dead_fraction == pytest.approx(1 - (f > 0).any(axis=0).mean())
        assert quality.n_tokens == TOKENS


def test_quality_far_from_the_origin() -> None:
    """The variance is a difference of two large sums; in float64 it survives a mean a thousand times the spread."""
    x = states() + 1000
    near = dataclasses.replace(sae(), b_dec=sae().b_dec + 1000)
    assert measure(near, [x]).fvu == pytest.approx(measure(sae(), [states()]).fvu, rel=1e-3)


def test_a_perfect_dictionary_explains_everything() -> None:
    both_ways = torch.cat([torch.eye(D), -torch.eye(D)])
    model = TopK(k=D, W_enc=both_ways.T.contiguous(), b_enc=torch.zeros(2 * D), W_dec=both_ways, b_dec=torch.zeros(D))
    quality = measure(model, [states()])
    assert quality.fvu < 1e-12
    assert quality.l0 == D


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_tokens_are_refused(n: int) -> None:
    with pytest.raises(InputError, match=f"{n} tokens with an ordinary norm: at least 2 are needed .* made for this model and layer"):
        measure(sae(), [states(n)])
