"""From texts to SAEs on disk: what is written, what a run that was killed does again, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from saebrain.errors import InputError
from saebrain.pipeline import training as module
from saebrain.pipeline.training import TrainingPlan, train_on_texts, training_config
from saebrain.progress import Report
from saebrain.sae import formats
from saebrain.sae.batches import in_order
from saebrain.sae.quality import measure
from saebrain.sae.training.config import ARCHITECTURES, TrainConfig
from saebrain.shards import Shards
from tests import tiny

CONFIG = TrainConfig(n_features=32, k=4, batch=64, learning_rate=1e-2, dead_after=500)
FILES = {"README.md", "cfg.json", "quality.json", "sae_weights.safetensors", "training_log.parquet"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, and a folder of texts: 40 documents of about 90 tokens."""
    folder = tmp_path_factory.mktemp("made")
    tiny.save(folder / "model", "llama")
    tiny.texts(folder / "texts", 40)
    return folder


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_TOKENS", 400)


@pytest.fixture
def plan(made: Path, tmp_path: Path) -> TrainingPlan:
    return TrainingPlan(
        texts=made / "texts",
        output=tmp_path / "sae",
        model=str(made / "model"),
        layers=(3,),
        prefix="auto",
        tokens=100_000,
        epochs=3.0,
        config=CONFIG,
        cache=tmp_path / "cache",
        data="Words about a lighthouse",
        device="cpu",
    )


@contextmanager
def silently(title: str, unit: str) -> Iterator[Report]:
    yield lambda done, total: None


class Killed(Exception):
    pass


def killing(title: str, at: int) -> Any:
    """Opens bars; one with that title ends everything at a step."""

    @contextmanager
    def open_bar(opened: str, unit: str) -> Iterator[Report]:
        def report(done: int, total: int) -> None:
            if opened == title and done == at:
                raise Killed

        yield report

    return open_bar


def test_what_is_written(plan: TrainingPlan) -> None:
    (metadata,) = train_on_texts(plan, silently)
    assert {path.name for path in plan.output.iterdir()} == FILES
    sae = formats.read(plan.output)
    assert (sae.architecture, sae.d_in, sae.n_features) == ("topk", tiny.D_MODEL, 32)
    shards = Shards.open(plan.cache)
    n_tokens = sum(shards.index["shard_tokens"][:-1])
    expected = {
        "model_name": "model",
        "layer": 3,
        "hook_name": "blocks.2.hook_resid_post",
        "prefix": tiny.END,
        "context_size": 256,
        "documents": 40,
        "tokens": n_tokens,
        "data": "Words about a lighthouse",
        "codes_in": "raw",
    }
    assert {key: sae.metadata[key] for key in expected} == expected
    assert sae.metadata["training"]["steps"] == round(3 * n_tokens / 64)
    assert sae.scaling.raw
    assert {key: sae.metadata[key] for key in metadata} == json.loads(json.dumps(metadata))

    quality = json.loads((plan.output / "quality.json").read_text(encoding="utf-8"))
    measured = measure(sae, in_order(shards, 3, [shards.count - 1], max_norm=metadata["max_norm"]))
    assert quality["fvu"] == pytest.approx(measured.fvu, rel=1e-2)  # weights are stored in half precision
    assert quality["n_tokens"] == measured.n_tokens == shards.index["shard_tokens"][-1]
    assert quality["ce"] is None
    assert sum(quality["density"]["counts"]) + quality["density"]["never"] == 32
    assert quality["text"] == "documents held out of its training texts (Words about a lighthouse)"
    assert metadata["held_out"] == {key: quality[key] for key in ("fvu", "l0", "dead_fraction", "n_tokens")}

    log = pd.read_parquet(plan.output / "training_log.parquet")
    assert log["step"].iloc[[0, 1, -1]].tolist() == [0, 10, sae.metadata["training"]["steps"] - 1]
    assert log["fvu"].iloc[-1] == metadata["training_fvu"] < log["fvu"].iloc[0]

    readme = (plan.output / "README.md").read_text(encoding="utf-8")
    for part in ("layer 3", "TopK, 32 features, k = 4", f"| FVU | {quality['fvu']:.3f} on held-out", f"open with `{tiny.END}`", "40 documents"):
        assert part in readme


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("decoder", ["unit", "scaled"])
def test_every_architecture_can_be_read_back(plan: TrainingPlan, architecture: Any, decoder: Any) -> None:
    plan = replace(plan, config=replace(CONFIG, architecture=architecture, decoder=decoder, sparsity=0.3))
    (metadata,) = train_on_texts(plan, silently)
    sae = formats.read(plan.output)
    shards = Shards.open(plan.cache)
    quality = measure(sae, in_order(shards, 3, [shards.count - 1], max_norm=metadata["max_norm"]))
    assert quality.fvu == pytest.approx(metadata["held_out"]["fvu"], rel=2e-2)
    assert quality.fvu < 0.9
    names = {"batchtopk": "BatchTopK", "matryoshka_batchtopk": "2, 4, 8, 16, 32", "jumprelu": "JumpReLU", "standard": "L1", "topk": "TopK"}
    assert names[architecture] in (plan.output / "README.md").read_text(encoding="utf-8")


def test_several_layers_from_one_pass_of_the_model(plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[tuple[int, ...]] = []
    plain = module.collect

    def counted(model: Any, documents: Any, layers: tuple[int, ...], *rest: Any, **options: Any) -> Shards:
        passes.append(layers)
        return plain(model, documents, layers, *rest, **options)

    monkeypatch.setattr(module, "collect", counted)
    metadata = train_on_texts(replace(plan, layers=(1, 3)), silently)
    assert passes == [(1, 3)]
    assert [found["layer"] for found in metadata] == [1, 3]
    assert {path.name for path in plan.output.iterdir()} == {"layer_01", "layer_03"}
    saes = [formats.read(plan.output / name) for name in ("layer_01", "layer_03")]
    assert [sae.metadata["layer"] for sae in saes] == [1, 3]
    (alone,) = train_on_texts(replace(plan, output=plan.output / "alone", cache=plan.cache.parent / "other"), silently)
    assert torch.equal(formats.read(plan.output / "alone").W_dec, saes[1].W_dec)
    assert alone["layer"] == 3


def test_a_killed_run_goes_on(plan: TrainingPlan) -> None:
    plan = replace(plan, layers=(1, 3), checkpoint_s=0.0)
    for title, at in (("Training layer 1", 30), ("Training layer 3", 50)):
        with pytest.raises(Killed):
            train_on_texts(plan, killing(title, at))
    finished = (plan.output / "layer_01" / "cfg.json").stat().st_mtime_ns
    assert {path.name for path in (plan.output / "layer_03").iterdir()} == {"checkpoint.safetensors", "training_log.parquet"}
    seen: list[tuple[str, int]] = []

    @contextmanager
    def watching(title: str, unit: str) -> Iterator[Report]:
        yield lambda done, total: seen.append((title, done))

    metadata = train_on_texts(plan, watching)
    assert next(done for title, done in seen if title == "Training layer 3") == 51
    assert not any(title == "Training layer 1" for title, _ in seen)
    assert (plan.output / "layer_01" / "cfg.json").stat().st_mtime_ns == finished
    assert {path.name for path in (plan.output / "layer_03").iterdir()} == FILES
    whole = replace(plan, output=plan.output / "whole", checkpoint_s=3600.0)
    assert [found["layer"] for found in train_on_texts(whole, silently)] == [found["layer"] for found in metadata] == [1, 3]
    for layer in (1, 3):
        one, other = formats.read(plan.folder(layer)), formats.read(whole.folder(layer))
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name
    steps = pd.read_parquet(plan.folder(3) / "training_log.parquet")["step"].tolist()
    assert steps == pd.read_parquet(whole.folder(3) / "training_log.parquet")["step"].tolist()


def test_a_run_killed_after_its_last_step_is_measured_and_written(plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "measure", killed)
        train_on_texts(plan, silently)
    assert not (plan.output / "cfg.json").exists()
    (metadata,) = train_on_texts(plan, silently)
    assert metadata["training_fvu"] == pd.read_parquet(plan.output / "training_log.parquet")["fvu"].iloc[-1]
    assert {path.name for path in plan.output.iterdir()} == FILES


def test_shards_can_be_trained_on(plan: TrainingPlan) -> None:
    (first,) = train_on_texts(plan, silently)
    again = replace(plan, texts=plan.cache, output=plan.output.parent / "again", prefix=tiny.END, cache=plan.cache.parent / "unused")
    (second,) = train_on_texts(again, silently)
    assert torch.equal(formats.read(again.output).W_dec, formats.read(plan.output).W_dec)
    assert (second["prefix"], second["documents"], second["held_out"]) == (tiny.END, None, first["held_out"])
    assert not again.cache.exists()
    with pytest.raises(InputError, match=r"holds layers \[3\], not \[1, 2\]; name other layers, or collect these"):
        train_on_texts(replace(again, layers=(1, 2, 3)), silently)


def test_what_is_there_is_not_overwritten(plan: TrainingPlan) -> None:
    train_on_texts(plan, silently)
    with pytest.raises(InputError, match="already holds a SAE; choose another folder or remove it"):
        train_on_texts(plan, silently)
    several = replace(plan, layers=(1, 3), output=plan.output.parent / "several", cache=plan.cache.parent / "both")
    with pytest.raises(Killed):
        train_on_texts(several, killing("Training layer 3", 1))
    with pytest.raises(InputError, match=r"layer_01: holds a SAE that was trained with other settings or texts"):
        train_on_texts(replace(several, config=replace(CONFIG, k=5)), silently)


def test_a_checkpoint_of_other_settings_is_refused(plan: TrainingPlan) -> None:
    with pytest.raises(Killed):
        train_on_texts(replace(plan, checkpoint_s=0.0), killing("Training layer 3", 7))
    with pytest.raises(InputError, match=r"belongs to a run with other config; give the same options to resume it, or remove it to start again"):
        train_on_texts(replace(plan, config=replace(CONFIG, k=5)), silently)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": (9,)}, "layer"),
        ({"layers": ()}, "name each layer once, and one at least"),
        ({"layers": (3, 3)}, "name each layer once"),
        ({"texts": Path("nowhere")}, r"nowhere: no \.txt files; give a folder with one text a file, or a folder of activation shards"),
        ({"tokens": 100}, r"1 shard\(s\); at least 2 are needed"),
    ],
)
def test_what_cannot_be_trained_is_refused(plan: TrainingPlan, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train_on_texts(replace(plan, **change), silently)
    assert not plan.output.exists()


def test_half_precision_is_for_gpus() -> None:
    assert training_config(precision="auto", device="cpu", k=3).precision == "float32"
    assert training_config(precision="bfloat16", device="cpu").precision == "bfloat16"
