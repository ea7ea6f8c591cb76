"""The model on a SAE's reconstruction: identity, zeros and transformers' own loss as independent answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saebrain.activations import hidden_states
from saebrain.errors import InputError
from saebrain.models import LanguageModel
from saebrain.sae.splice import cross_entropy, next_token_loss, spliced
from saebrain.sae.standard import Standard
from tests import tiny

D = tiny.D_MODEL
LAYERS = [0, 1, tiny.N_LAYERS - 1, tiny.N_LAYERS]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return tiny.load(tmp_path_factory.mktemp("models") / request.param, request.param)


def windows(model: LanguageModel, *lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, len(model.tokenizer), length).astype(np.int32) for length in lengths]


def sae(W_dec: torch.Tensor) -> Standard:
    eye = torch.eye(D)
    return Standard(W_enc=torch.cat([eye, -eye], 1), b_enc=torch.zeros(2 * D), W_dec=W_dec, b_dec=torch.zeros(D))


IDENTITY = sae(torch.cat([torch.eye(D), -torch.eye(D)]))
NOTHING = sae(torch.zeros(2 * D, D))


def test_loss_is_that_of_transformers(model: LanguageModel) -> None:
    cover = windows(model, 40, 7, 40, 1)
    network: Any = model.network
    own = []
    for window in cover:
        ids = torch.tensor([[model.prefix_id, *window]])
        with torch.inference_mode():
            own.append(float(network(input_ids=ids, labels=ids).loss) * len(window))
    assert next_token_loss(model, cover) == pytest.approx(sum(own) / sum(map(len, cover)), rel=1e-5)


def test_loss_is_the_surprisal_of_reading(model: LanguageModel) -> None:
    (window,) = windows(model, 30)
    bits = hidden_states(model, [window], [1], window=32, stride=32, surprisal=True).surprisal
    assert bits is not None
    assert next_token_loss(model, [window]) == pytest.approx(float(bits.mean()) * np.log(2), rel=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_perfect_sae_costs_nothing(model: LanguageModel, layer: int) -> None:
    found = cross_entropy(model, IDENTITY, windows(model, 20, 12), layer)
    assert found.sae == pytest.approx(found.model, rel=1e-6) and found.zero != pytest.approx(found.model, rel=1e-3)
    assert found.recovered is None or found.recovered == pytest.approx(1, abs=1e-4)
    assert found.n_tokens == 32


@pytest.mark.parametrize("layer", LAYERS)
def test_a_sae_of_zeros_is_zero_ablation(model: LanguageModel, layer: int) -> None:
    found = cross_entropy(model, NOTHING, windows(model, 20, 12), layer)
    assert found.sae == pytest.approx(found.zero, rel=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_layer_that_is_read_is_the_one_that_is_replaced(model: LanguageModel, layer: int) -> None:
    """A change made at a layer is found at that layer and not before; the prefix token is left alone."""
    (window,) = windows(model, 10)
    read = [number for number in (layer - 1, layer) if number >= 0]
    before = hidden_states(model, [window], read, window=16, stride=16)
    seen: list[torch.Tensor] = []

    def edit(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x + 1

    with spliced(model, layer, edit):
        after = hidden_states(model, [window], read, window=16, stride=16)
    assert seen[0].shape == (len(window), D)
    np.testing.assert_allclose(seen[0], before.layers[layer], rtol=1e-5, atol=1e-5)
    if layer:
        np.testing.assert_array_equal(after.layers[layer - 1], before.layers[layer - 1])


def test_tokens_above_the_limit_pass_through(model: LanguageModel) -> None:
    (window,) = windows(model, 16)
    norms = np.linalg.norm(hidden_states(model, [window], [2], window=16, stride=16).layers[2], axis=1)
    untouched = next_token_loss(model, [window])
    assert cross_entropy(model, NOTHING, [window], 2, max_norm=float(norms.min()) / 2).zero == pytest.approx(untouched, rel=1e-6)
    seen: list[int] = []

    def edit(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return x

    with spliced(model, 2, edit, max_norm=float(np.median(norms))):
        next_token_loss(model, [window])
    assert seen[0] == (norms <= np.median(norms)).sum() < len(window)


def test_the_model_is_itself_again_afterwards(model: LanguageModel) -> None:
    cover = windows(model, 12)
    before = next_token_loss(model, cover)
    with pytest.raises(ZeroDivisionError), spliced(model, 1, lambda x: x * (1 / 0)):
        next_token_loss(model, cover)
    assert next_token_loss(model, cover) == before


def test_what_the_model_does_not_have_is_refused(model: LanguageModel) -> None:
    with pytest.raises(InputError, match="unknown layer 9"):
        cross_entropy(model, NOTHING, windows(model, 4), 9)
    with pytest.raises(InputError, match="reads at most"):
        cross_entropy(model, NOTHING, windows(model, tiny.POSITIONS), 1)


def test_half_precision(tmp_path: Path) -> None:
    """A model in bfloat16 gets its states back in bfloat16."""
    model = tiny.load(tmp_path / "llama", "llama")
    model.network.bfloat16()
    found = cross_entropy(model, IDENTITY, windows(model, 12), 2)
    assert found.sae == pytest.approx(found.model, rel=1e-5)
