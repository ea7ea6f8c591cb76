"""Settings, schedules, and where the input is centred."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from saebrain.errors import InputError
from saebrain.sae.training.centre import geometric_median, spread
from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.schedule import learning_rate, sparsity


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0, "n_features": 64}, "k = 0 with 64 features: k must be between 1 and the number of features"),
        ({"k": 65, "n_features": 64}, "k = 65 with 64 features"),
        ({"architecture": "gated"}, "architecture = 'gated': give one of topk, batchtopk, matryoshka_batchtopk, jumprelu, standard"),
        ({"penalty": "l1"}, "penalty = 'l1': give one of tanh, l0"),
        ({"decoder": "free"}, "decoder = 'free': give one of unit, scaled"),
        ({"precision": "half"}, "precision = 'half': give one of float32, bfloat16"),
        ({"batch": 0}, "batch = 0: give a number above 0"),
        ({"bandwidth": -1.0}, r"bandwidth = -1\.0: give a number above 0"),
        ({"sparsity": float("nan")}, "sparsity = nan: give 0 or more"),
        ({"learning_rate": -1e-3}, r"learning_rate = -0\.001: give 0 or more"),
        (
            {"architecture": "matryoshka_batchtopk", "prefixes": (64, 4096, 128)},
            r"prefixes = \[64, 4096, 128\]: give ascending sizes, the last one the 4096",
        ),
        ({"architecture": "matryoshka_batchtopk", "prefixes": (64, 128)}, r"prefixes = \[64, 128\]"),
        ({"architecture": "matryoshka_batchtopk", "prefixes": (0, 4096)}, r"prefixes = \[0, 4096\]"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(**settings)


def test_settings_pass_through_json() -> None:
    config = TrainConfig(architecture="matryoshka_batchtopk", n_features=4096)
    assert config.prefixes == (256, 512, 1024, 2048, 4096)
    assert TrainConfig(**json.loads(json.dumps(asdict(config)))) == config
    assert TrainConfig(n_features=4096).prefixes == ()


def test_the_learning_rate_falls_with_the_root_of_the_number_of_features() -> None:
    assert TrainConfig(n_features=4096).rate == pytest.approx(2 * TrainConfig(n_features=16_384).rate)
    assert TrainConfig(n_features=16_384, learning_rate=1e-3).rate == 1e-3


@pytest.mark.parametrize(("steps", "factor"), [(100_000, 1.0), (4000, 1.0), (1000, 2.0), (250, 4.0), (30, 4.0)])
def test_the_learning_rate_is_higher_in_short_runs(steps: int, factor: float) -> None:
    assert TrainConfig(steps=steps).rate == pytest.approx(factor * 6e-4)


def test_learning_rate_rises_stays_and_falls() -> None:
    config = TrainConfig(steps=100, warmup=0.1, decay=0.2, learning_rate=2.0)
    factor = [learning_rate(step, config) / 2 for step in range(100)]
    assert factor[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factor[10:80] == [1.0] * 70
    assert factor[80:] == pytest.approx([(100 - step) / 20 for step in range(80, 100)])


def test_learning_rate_without_warm_up_and_decay() -> None:
    assert [learning_rate(step, TrainConfig(steps=3, warmup=0, decay=0, learning_rate=1.0)) for step in range(3)] == [1.0, 1.0, 1.0]


def test_sparsity_rises_and_stays() -> None:
    config = TrainConfig(steps=100, sparsity=3.0, sparsity_warmup=0.1)
    assert [sparsity(step, config) for step in (0, 4, 9, 10, 99)] == pytest.approx([0.3, 1.5, 3.0, 3.0, 3.0])
    assert sparsity(0, TrainConfig(steps=100, sparsity=3.0, sparsity_warmup=0)) == 3.0


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


def test_spread_is_that_of_a_coordinate() -> None:
    x = torch.tensor([[3.0, 1.0], [-1.0, 1.0]])
    assert spread(x, torch.tensor([1.0, 1.0])) == pytest.approx(2**0.5)
