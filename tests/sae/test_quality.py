"""Figures of a SAE against their definitions, whatever the batches; the histogram of densities."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from saebrain.errors import InputError
from saebrain.sae import quality
from saebrain.sae.base import Codes
from saebrain.sae.quality import CrossEntropy, Quality, density, measure, record
from saebrain.sae.standard import Standard
from saebrain.sae.topk import TopK

D, N = 6, 9


def states(tokens: int = 200) -> torch.Tensor:
    return 3 * torch.randn(tokens, D, generator=torch.Generator().manual_seed(1)) + 50


def sae() -> TopK:
    g = torch.Generator().manual_seed(0)
    W = torch.randn(N, D, generator=g)
    never = torch.zeros(N)
    never[4] = -1e6
    return TopK(k=2, W_enc=W.T.contiguous(), b_enc=never, W_dec=0.3 * W, b_dec=torch.full((D,), 50.0))


def test_figures_are_their_definitions() -> None:
    x, made = states(), sae()
    codes = made.encode(x).dense(N).double()
    x_hat = codes @ made.W_dec.double() + made.b_dec.double()
    found = measure(made, [x])
    assert found.fvu == pytest.approx(float(((x - x_hat) ** 2).sum() / ((x - x.double().mean(0)) ** 2).sum()), rel=1e-5)
    assert found.l0 == pytest.approx(float((codes > 0).sum(1).double().mean()))
    assert found.dead_fraction == pytest.approx(float((codes == 0).all(0).double().mean())) and found.dead_fraction >= 1 / N
    assert found.n_tokens == len(x)
    assert found.density == density((codes > 0).sum(0).numpy(), len(x))


def alike(a: Quality, b: Quality) -> bool:
    return a.density == b.density and (a.l0, a.dead_fraction, a.n_tokens) == (b.l0, b.dead_fraction, b.n_tokens) and a.fvu == pytest.approx(b.fvu)


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure(sae(), [states()])
    assert alike(measure(sae(), states().split(7)), whole)
    monkeypatch.setattr(quality, "_PREACTIVATIONS", 3 * N)
    rows: list[int] = []
    split = TopK.split

    def noted(self: TopK, x: torch.Tensor) -> tuple[Codes, torch.Tensor]:
        rows.append(len(x))
        return split(self, x)

    monkeypatch.setattr(TopK, "split", noted)
    assert alike(measure(sae(), [states()]), whole)
    assert max(rows) == 3 and sum(rows) == 200


def test_density_counts_every_feature_once() -> None:
    found = density(np.array([0, 0, 1, 10, 999, 1000]), 1000)
    by_edge = dict(zip(found["log10_edges"][:-1], found["counts"], strict=True))
    assert found["never"] == 2 and sum(found["counts"]) == 4
    assert (by_edge[-3.0], by_edge[-2.0], by_edge[-0.2]) == (1, 1, 2)
    rare = density(np.array([1]), 10**8)
    assert rare["counts"][0] == 1


@pytest.mark.parametrize(("x", "message"), [(states(1), "1 tokens with an ordinary norm"), (torch.ones(5, D), "all the same")])
def test_what_cannot_be_measured(x: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure(sae(), [x])


def test_a_perfect_sae_leaves_nothing_unexplained() -> None:
    eye = torch.eye(D)
    perfect = Standard(W_enc=torch.cat([eye, -eye], 1), b_enc=torch.zeros(2 * D), W_dec=torch.cat([eye, -eye]), b_dec=torch.zeros(D))
    found = measure(perfect, [states()])
    assert found.fvu == pytest.approx(0, abs=1e-12) and found.l0 == D


def test_record_is_json_with_the_text() -> None:
    ce = CrossEntropy(model=3.0, sae=3.5, zero=8.0, n_tokens=10)
    written = json.loads(json.dumps(record(measure(sae(), [states()]), text="200 tokens", ce=ce), allow_nan=False))
    assert written["ce"] == {"model": 3.0, "sae": 3.5, "zero": 8.0, "n_tokens": 10} and written["ce_recovered"] == pytest.approx(0.9)
    assert written["text"] == "200 tokens" and {"fvu", "l0", "dead_fraction", "n_tokens", "density"} <= written.keys()
    assert record(measure(sae(), [states()]), text="")["ce"] is None


def test_zeros_that_cost_nothing_recover_nothing() -> None:
    assert CrossEntropy(3.0, 3.0, 3.0, 1).recovered is None
