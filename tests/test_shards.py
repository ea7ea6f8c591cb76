"""Activation shards: what is in them, and what a second run makes of those that are there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Int

from saebrain import shards as module
from saebrain.activations import hidden_states
from saebrain.errors import InputError
from saebrain.models import LanguageModel
from saebrain.shards import Shards, collect
from tests import tiny

Documents = list[Int[np.ndarray, " tokens"]]
LAYERS = [1, 3]
LENGTHS = (20, 15, 40, 9, 12)  # with shards of 30 tokens: 20 + 15, 40, 9 + 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return tiny.load(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture(scope="module")
def documents() -> Documents:
    rng = np.random.default_rng(0)
    return [rng.integers(1, 256, length) for length in LENGTHS]


def gather(model: LanguageModel, documents: Documents, folder: Path, **options: Any) -> Shards:
    return collect(model, documents, LAYERS, folder, **{"window": 16, "stride": 8, "surprisal": True, "shard_tokens": 30, **options})


@pytest.fixture(scope="module")
def finished(model: LanguageModel, documents: Documents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    gather(model, documents, folder, provenance={"corpus": "random"})
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of finished shards that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "shards"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens that the model reads, a number a shard."""
    calls: list[int] = []

    def counted(model: LanguageModel, documents: Documents, *rest: Any, **options: Any) -> Any:
        calls.append(sum(map(len, documents)))
        return hidden_states(model, documents, *rest, **options)

    monkeypatch.setattr(module, "hidden_states", counted)
    return calls


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def test_shards_hold_the_states_of_whole_documents(model: LanguageModel, documents: Documents, finished: Path) -> None:
    shards = Shards.open(finished)
    assert shards.index["shard_tokens"] == [35, 40, 21]
    assert (shards.count, shards.layers, shards.d_model) == (3, LAYERS, tiny.D_MODEL)
    assert shards.index["corpus"] == "random"
    for number, group in enumerate((documents[:2], documents[2:3], documents[3:])):
        states = hidden_states(model, group, LAYERS, window=16, stride=8, surprisal=True)
        assert states.surprisal is not None
        np.testing.assert_array_equal(shards.tokens(number), np.concatenate(group))
        np.testing.assert_allclose(shards.surprisal(number), states.surprisal, rtol=1e-5)
        for layer in LAYERS:
            assert shards.read(layer, number).dtype == np.float16
            np.testing.assert_allclose(shards.read(layer, number), states.layers[layer], rtol=2e-3, atol=1e-4)


def test_windows_do_not_overlap_unless_told(model: LanguageModel, documents: Documents, tmp_path: Path) -> None:
    shards = collect(model, documents, [1], tmp_path, window=16, shard_tokens=1)
    assert shards.index["stride"] == 16
    assert shards.index["shard_tokens"] == list(LENGTHS)
    expected = np.concatenate([hidden_states(model, [documents[2][at : at + 16]], [1]).layers[1] for at in (0, 16)])
    np.testing.assert_allclose(shards.read(1, 2)[:32], expected, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("lost", ["layer_03/00001.npy", "tokens/00001.npy", "surprisal/00001.npy"])
def test_a_lost_shard_alone_is_read_again(model: LanguageModel, documents: Documents, folder: Path, read: list[int], lost: str) -> None:
    before = content(folder)
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy") if path.name != "00001.npy"}
    (folder / lost).unlink()
    with pytest.raises(InputError, match="1 of 3 shards missing; run the same `activations` command again to resume"):
        Shards.open(folder)
    gather(model, documents, folder, provenance={"corpus": "random"})
    assert read == [40]
    assert content(folder) == before
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_a_killed_run_goes_on_where_it_stopped(model: LanguageModel, documents: Documents, finished: Path, tmp_path: Path, read: list[int]) -> None:
    def kill(done: int, total: int) -> None:
        if done > 35:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather(model, documents, tmp_path, provenance={"corpus": "random"}, report=kill)
    with pytest.raises(InputError, match="2 of 3 shards missing"):
        Shards.open(tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))
    assert read == [35, 40]
    gather(model, documents, tmp_path, provenance={"corpus": "random"})
    assert read == [35, 40, 40, 21]
    assert content(tmp_path) == content(finished)


def test_progress_counts_all_tokens_those_that_were_there_too(model: LanguageModel, documents: Documents, folder: Path) -> None:
    (folder / "tokens" / "00001.npy").unlink()
    calls: list[tuple[int, int]] = []
    gather(model, documents, folder, provenance={"corpus": "random"}, report=lambda done, total: calls.append((done, total)))
    assert calls[0] == (35, 96)
    assert calls == sorted(calls)
    assert calls[-1] == (96, 96)


@pytest.mark.parametrize("change", [{"window": 17}, {"stride": 7}, {"shard_tokens": 1}, {"surprisal": False}, {"provenance": {"corpus": "other"}}])
def test_another_setting_is_refused(model: LanguageModel, documents: Documents, folder: Path, change: dict[str, Any]) -> None:
    before = content(folder)
    with pytest.raises(InputError, match="holds activations of another model, corpus or setting; choose another folder or remove it"):
        gather(model, documents, folder, **{"provenance": {"corpus": "random"}, **change})
    assert content(folder) == before


def test_another_setting_replaces_the_shards_if_told(model: LanguageModel, documents: Documents, folder: Path, read: list[int]) -> None:
    collect(model, documents, [2], folder, window=16, shard_tokens=50, replace=True)
    assert read == [75, 21]
    assert sorted(content(folder)) == ["index.json", "layer_02/00000.npy", "layer_02/00001.npy", "tokens/00000.npy", "tokens/00001.npy"]
    assert Shards.open(folder).layers == [2]


@pytest.mark.parametrize("window", [0, 1024])
def test_a_refused_run_claims_nothing(model: LanguageModel, documents: Documents, tmp_path: Path, window: int) -> None:
    with pytest.raises(InputError):
        collect(model, documents, [1] if window else [9], tmp_path, window=window or 16)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("value", "shown"), [(1e5, r"[\d.]+e\+05"), (float("nan"), "nan")])
def test_states_beyond_half_precision_are_refused(tmp_path: Path, value: float, shown: str) -> None:
    network = tiny.llama(300)
    with torch.no_grad():
        network.model.embed_tokens.weight[7, 3] = value
    model = LanguageModel("large", network, None, tiny.N_LAYERS, tiny.D_MODEL, 0, torch.device("cpu"))
    with pytest.raises(InputError, match=f"layer 0: a hidden state of {shown} does not fit float16; choose another layer or prefix token"):
        collect(model, [np.array([5, 7])], [0], tmp_path)
    assert not list(tmp_path.rglob("*.npy"))


def test_a_folder_without_activations_is_told_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no index\.json, so no activations; run: python -m saebrain activations$"):
        Shards.open(tmp_path)


def test_damaged_files_are_named(folder: Path) -> None:
    (folder / "layer_01" / "00002.npy").write_bytes(b"\x93NUMPY")
    (folder / "tokens" / "00000.npy").write_bytes(b"")
    shards = Shards.open(folder)
    with pytest.raises(InputError, match=r"layer_01/00002\.npy: cannot be read .* remove it and run the same `activations` command again"):
        shards.read(1, 2)
    with pytest.raises(InputError, match=r"tokens/00000\.npy: cannot be read"):
        shards.tokens(0)
    for text in ("{", "[1]", "\udcff"):
        (folder / "index.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(InputError, match=r"index\.json: damaged .* remove the folder"):
            Shards.open(folder)


def test_pickled_arrays_are_never_read(folder: Path) -> None:
    np.save(folder / "tokens" / "00000.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        Shards.open(folder).tokens(0)
