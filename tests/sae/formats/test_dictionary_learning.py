"""SAEs saved by dictionary_learning compute the same here, and nothing in their pickles is run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from saebrain.sae import formats
from saebrain.sae.base import SAE
from saebrain.sae.batch_topk import BatchTopK
from saebrain.sae.gated import Gated
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.matryoshka import Matryoshka
from saebrain.sae.standard import Standard
from saebrain.sae.topk import TopK
from tests.sae.formats import peers
from tests.sae.formats.examples import D, K, N, refused, states

CONFIG, WEIGHTS = "config.json", "ae.pt"
MODULES = {
    "AutoEncoderTopK": "trainers.top_k",
    "BatchTopKSAE": "trainers.batch_top_k",
    "MatryoshkaBatchTopKSAE": "trainers.matryoshka_batch_top_k",
}
OURS: dict[str, tuple[type[SAE], list[Any]]] = {
    "AutoEncoder": (Standard, []),
    "AutoEncoderNew": (Standard, []),
    "GatedAutoEncoder": (Gated, []),
    "JumpReluAutoEncoder": (JumpReLU, []),
    "AutoEncoderTopK": (TopK, [K]),
    "BatchTopKSAE": (BatchTopK, [K]),
    "MatryoshkaBatchTopKSAE": (Matryoshka, [K, [5, 6, N - 11]]),
}


def saved(folder: Path, kind: str, **trainer: Any) -> Any:
    """A SAE of dictionary_learning with random weights, saved as its training does it."""
    made = getattr(peers.dictionary_learning(MODULES.get(kind, "dictionary")), kind)(D, N, *OURS[kind][1])
    peers.randomise(made)
    if "threshold" in dict(made.named_buffers()):
        made.threshold.fill_(0.6)
    config = {"dict_class": kind, "activation_dim": D, "dict_size": N, "layer": 8, "lm_name": "EleutherAI/pythia-160m-deduped"}
    config |= {"submodule_name": "resid_post_layer_8"} | ({"k": K} if K in OURS[kind][1] else {}) | trainer
    folder.mkdir(exist_ok=True)
    torch.save({name: weight.cpu() for name, weight in made.state_dict().items()}, folder / WEIGHTS)
    buffer = {"d_submodule": D, "io": "out", "ctx_len": 1024}
    (folder / CONFIG).write_text(json.dumps({"trainer": {name: value for name, value in config.items() if value is not None}, "buffer": buffer}))
    return made


def reweigh(folder: Path, **changes: Tensor | None) -> None:
    tensors = torch.load(folder / WEIGHTS, weights_only=True) | changes
    torch.save({name: tensor for name, tensor in tensors.items() if tensor is not None}, folder / WEIGHTS)


def compare(ours: SAE, other: Any) -> None:
    codes = other.encode(states())
    peers.agree(ours, states(), codes, other.decode(codes))


@pytest.mark.parametrize("kind", OURS)
def test_every_class(tmp_path: Path, kind: str) -> None:
    other = saved(tmp_path, kind)
    if kind == "AutoEncoder":  # as its from_pretrained does
        other.normalize_decoder()
    ours = formats.read(tmp_path)
    assert type(ours) is OURS[kind][0]
    assert getattr(ours, "k", K) == K
    assert getattr(ours, "prefixes", (5, 11, N)) == (5, 11, N)
    compare(ours, other)


def test_what_config_and_evaluation_tell(tmp_path: Path) -> None:
    saved(tmp_path, "BatchTopKSAE")
    evaluation = {"l0": 81.5, "frac_variance_explained": 0.8125, "frac_recovered": 0.97, "frac_alive": 0.75, "l2_ratio": 0.9}
    (tmp_path / "eval_results.json").write_text(json.dumps(evaluation))
    metadata = formats.read(tmp_path).metadata
    assert metadata["claims"] == {"l0": 81.5, "explained_variance": 0.8125, "ce_recovered": 0.97, "dead_fraction": 0.25}
    assert (metadata["layer"], metadata["hook_name"]) == (9, "blocks.8.hook_resid_post")
    assert (metadata["model_name"], metadata["context_size"]) == ("EleutherAI/pythia-160m-deduped", 1024)
    assert (metadata["codes_in"], metadata["source"]["format"]) == ("raw", "dictionary_learning")


@pytest.mark.parametrize(("place", "hook"), [("mlp_out_layer_8", "mlp_out_layer_8"), (None, None)])
def test_other_places_give_no_layer(tmp_path: Path, place: str | None, hook: str | None) -> None:
    saved(tmp_path, "AutoEncoder", submodule_name=place)
    metadata = formats.read(tmp_path).metadata
    assert (metadata.get("hook_name"), metadata.get("layer")) == (hook, None)


def test_k_of_older_versions_stands_in_the_config_alone(tmp_path: Path) -> None:
    other = saved(tmp_path, "AutoEncoderTopK")
    reweigh(tmp_path, k=None, threshold=None)
    compare(formats.read(tmp_path), other)


class Burglar:
    """What a pickle may do to a machine that loads it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    saved(tmp_path, "AutoEncoder")
    state = torch.load(tmp_path / WEIGHTS, weights_only=True)
    torch.save(state | {"bias": Burglar(tmp_path / "burgled")}, tmp_path / WEIGHTS)
    message = refused(tmp_path, WEIGHTS)
    assert "refused, as this pickle holds more than tensors" in message and "torch.save(sae.state_dict(), ...)" in message
    assert not (tmp_path / "burgled").exists()
    torch.load(tmp_path / WEIGHTS, weights_only=False)  # our own file: without the refusal its code runs
    assert (tmp_path / "burgled").is_dir()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(saved(tmp_path, "AutoEncoder"), tmp_path / WEIGHTS)
    assert "refused, as this pickle holds more than tensors" in refused(tmp_path, WEIGHTS)


@pytest.mark.parametrize("content", [{"step": 3}, [torch.zeros(3)], {"state": {"bias": torch.zeros(D)}}])
def test_other_contents_are_refused(tmp_path: Path, content: Any) -> None:
    saved(tmp_path, "AutoEncoder")
    torch.save(content, tmp_path / WEIGHTS)
    assert f"holds a {type(content).__name__} that is no state dict" in refused(tmp_path, WEIGHTS)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, "AutoEncoder")
    whole = (tmp_path / WEIGHTS).read_bytes()
    for content in (b"", b"no weights", whole[: len(whole) // 2]):
        (tmp_path / WEIGHTS).write_bytes(content)
        assert "restore the file" in (message := refused(tmp_path, WEIGHTS)) or "or is damaged" in message


@pytest.mark.parametrize("kind", ["BatchTopKSAE", "MatryoshkaBatchTopKSAE"])
def test_a_threshold_not_learnt_yet_is_refused(tmp_path: Path, kind: str) -> None:
    """It is -1 then, and lets every positive value through."""
    saved(tmp_path, kind)
    reweigh(tmp_path, threshold=torch.tensor(-1.0))
    assert "threshold = -1 was not learnt yet, so every feature would be active" in refused(tmp_path, WEIGHTS)


@pytest.mark.parametrize(
    ("kind", "trainer", "message"),
    [
        (
            "AutoEncoder",
            {"dict_class": "CrossCoder"},
            "dict_class 'CrossCoder' is not supported; those that can be read: AutoEncoder, AutoEncoderNew",
        ),
        ("AutoEncoder", {"dict_class": None}, "dict_class None is not supported"),
        ("AutoEncoder", {"dict_size": None}, "dict_size missing; restore the file"),
        ("AutoEncoderTopK", {"k": None}, "k missing; restore the file"),
        ("AutoEncoderTopK", {"k": N + 1}, f"k = {N + 1} is more than the {N} features"),
    ],
)
def test_configs_that_would_be_computed_differently_are_refused(tmp_path: Path, kind: str, trainer: dict[str, Any], message: str) -> None:
    saved(tmp_path, kind, **trainer)
    assert message in refused(tmp_path, CONFIG)


@pytest.mark.parametrize(
    ("kind", "trainer", "change", "message"),
    [
        ("AutoEncoderTopK", {"k": 5}, {}, "k = [4] by the weights, but 5 by config.json; they do not belong together"),
        ("AutoEncoderTopK", {"dict_class": "AutoEncoder"}, {}, "bias should be (6,) by config.json, received nothing"),
        ("AutoEncoder", {"dict_size": N + 1}, {}, "encoder.weight should be (21, 6) by config.json, received (20, 6)"),
        ("AutoEncoder", {}, {"decoder.weight": torch.zeros(N, D)}, "decoder.weight should be (6, 20) by config.json, received (20, 6), transposed"),
        ("AutoEncoder", {}, {"bias": torch.full((D,), torch.nan)}, "bias holds NaN or infinite values"),
        ("JumpReluAutoEncoder", {}, {"threshold": None}, "threshold should be (20,) by config.json, received nothing"),
        ("BatchTopKSAE", {}, {"threshold": None}, "threshold should be () by config.json, received nothing"),
        ("MatryoshkaBatchTopKSAE", {}, {"group_sizes": None}, "no group_sizes; restore the file"),
        ("MatryoshkaBatchTopKSAE", {}, {"group_sizes": torch.tensor([5, 6])}, "group_sizes of 11 features, but there are 20"),
        ("BatchTopKSAE", {"dict_class": "AutoEncoderTopK"}, {"W_skip": torch.zeros(D, D)}, "holds W_skip, which no AutoEncoderTopK SAE has"),
    ],
)
def test_weights_that_contradict_the_config_are_refused(
    tmp_path: Path, kind: str, trainer: dict[str, Any], change: dict[str, Tensor | None], message: str
) -> None:
    saved(tmp_path, kind, **trainer)
    reweigh(tmp_path, **change)
    assert message in refused(tmp_path, WEIGHTS)


def test_a_factor_of_the_input_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, "AutoEncoder")
    assert "leave out input_scale = 2, or they would be scaled twice" in refused(tmp_path, CONFIG, input_scale=2.0)
