"""A run that is stopped and goes on ends with the very weights of one that was not."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from saebrain.arrays import write_array
from saebrain.atomic import write_json
from saebrain.errors import InputError
from saebrain.sae.base import SAE
from saebrain.sae.batch_topk import BatchTopK
from saebrain.sae.batches import Shuffled, shuffled
from saebrain.sae.training.checkpoint import CHECKPOINT, Checkpoints, Snapshot
from saebrain.sae.training.config import TrainConfig
from saebrain.sae.training.loop import train
from saebrain.shards import Shards
from tests.sae.training import planted

ROOT = Path(__file__).parents[3]
STEPS = 40
CONFIG = TrainConfig(n_features=64, k=planted.ACTIVE, steps=STEPS, learning_rate=1e-2, k_aux=12, dead_after=3_000, sparsity=0.3)
SETTINGS: list[dict[str, Any]] = [
    {"architecture": "topk"},
    {"architecture": "batchtopk"},
    {"architecture": "matryoshka_batchtopk"},
    {"architecture": "jumprelu", "decoder": "scaled"},
    {"architecture": "standard"},
]


class Stopped(Exception):
    """As good as a kill: nothing after it is done."""


def stopping(at: int) -> Any:
    def report(done: int, total: int) -> None:
        if done == at:
            raise Stopped

    return report


def tensors(sae: SAE) -> dict[str, Tensor]:
    """Weights and thresholds."""
    found = {name: value for name, value in vars(sae).items() if isinstance(value, Tensor)}
    return found | ({"threshold": torch.tensor(sae.threshold)} if isinstance(sae, BatchTopK) else {})


def assert_identical(one: SAE, other: SAE) -> None:
    for name, value in tensors(one).items():
        assert torch.equal(value, tensors(other)[name]), name


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """Six shards of planted states: three batches of 512 each."""
    for number in range(6):
        states = planted.batch(number + 20, size=1536).half().numpy()
        write_array(tmp_path / "shards" / "layer_01" / f"{number:05d}.npy", states)
        write_array(tmp_path / "shards" / "tokens" / f"{number:05d}.npy", np.zeros(1536, np.int32))
    write_json(tmp_path / "shards" / "index.json", {"layers": [1], "d_model": planted.D, "shard_tokens": [1536] * 6})
    return Shards.open(tmp_path / "shards")


def of_shards(shards: Shards) -> Shuffled:
    return shuffled(shards, 1, list(range(6)), batch=512, seed=0, max_norm=np.inf)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings["architecture"])
@pytest.mark.parametrize("source", ["shards", "batches"])
def test_stopped_twice(settings: dict[str, Any], source: str, shards: Shards, tmp_path: Path) -> None:
    config = replace(CONFIG, **settings)
    sample = planted.batch(2, size=1000)

    def data() -> Iterator[Tensor]:
        return of_shards(shards) if source == "shards" else planted.batches()

    whole = train(data(), sample, config)
    rng = random.Random(str(settings) + source)
    first, second = sorted(rng.sample(range(8, STEPS), 2))
    checkpoints = Checkpoints(tmp_path / CHECKPOINT, {"config": "this"}, every_steps=rng.randint(3, 7))
    for at in (first, second):
        with pytest.raises(Stopped):
            train(data(), sample, config, checkpoints=checkpoints, report=stopping(at))
    seen: list[int] = []
    # A wrong sample: centre and scale have to come from the checkpoint.
    resumed = train(data(), 2 * sample, config, checkpoints=checkpoints, report=lambda done, total: seen.append(done))
    assert seen[0] > 1
    assert seen[-1] == STEPS
    assert_identical(whole, resumed)


def test_a_finished_run_does_nothing_more(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / CHECKPOINT, every_s=1e9)
    sae = train(planted.batches(), planted.batch(2), CONFIG, checkpoints=checkpoints)
    again = train(iter(()), planted.batch(2), CONFIG, checkpoints=checkpoints)
    assert_identical(sae, again)
    assert again.metadata["training_tokens"] == STEPS * 512
    checkpoints.remove()
    assert not (tmp_path / CHECKPOINT).exists()
    checkpoints.remove()


CHILD = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from saebrain.sae.training.checkpoint import Checkpoints
from saebrain.sae.training.loop import train
from saebrain.shards import Shards
from tests.sae.training import planted
from tests.sae.training.test_resume import CONFIG, of_shards, tensors
from dataclasses import replace

folder = Path(sys.argv[1])
checkpoints = Checkpoints(folder / "checkpoint.safetensors", every_steps=3)
sae = train(of_shards(Shards.open(folder / "shards")), planted.batch(2), replace(CONFIG, architecture="batchtopk"), checkpoints=checkpoints,
            report=lambda done, total: print(done, flush=True))
save_file(tensors(sae), folder / "result.safetensors")
"""


def test_killed(shards: Shards, tmp_path: Path) -> None:
    """By SIGKILL, at a step that differs from run to run."""
    config = replace(CONFIG, architecture="batchtopk")
    whole = train(of_shards(shards), planted.batch(2), config)
    at = random.SystemRandom().randint(4, STEPS - 2)
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == at:
                process.kill()
                break
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "result.safetensors").exists()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert 1 < int(done[0]) <= at + 3
    assert int(done[0]) % 3 == 1  # a checkpoint every third step
    result = load_file(tmp_path / "result.safetensors")
    for name, value in tensors(whole).items():
        assert torch.equal(value, result[name]), name


def test_other_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    Checkpoints(path, {"config": {"k": 3}, "layer": 5, "prefixes": (1, 2)}).save(Snapshot({"a": torch.ones(2)}, {"steps": 1}))
    assert Checkpoints(path, {"config": {"k": 3}, "layer": 5, "prefixes": (1, 2)}).load() is not None
    with pytest.raises(InputError, match=r"belongs to a run with other config, layer; give the same options to resume it, or remove it"):
        Checkpoints(path, {"config": {"k": 4}, "prefixes": (1, 2)}).load()


@pytest.mark.parametrize("content", [b"", b"no tensors at all, but long enough to have a header", None])
def test_damaged_checkpoints_are_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    if content is None:
        save_file({"a": torch.ones(2)}, path)  # of another program
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint\.safetensors: no checkpoint that can be read .* remove it to train from the start"):
        Checkpoints(path).load()


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    checkpoints = Checkpoints(tmp_path / CHECKPOINT, before=lambda: called.append("before"))
    checkpoints.save(Snapshot({"a": torch.ones(2)}, {"steps": 1}))

    def killed(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("saebrain.sae.training.checkpoint.save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(Snapshot({"a": torch.zeros(2)}, {"steps": 2}))
    found = checkpoints.load()
    assert found is not None
    assert (found.progress, found.tensors["a"].tolist()) == ({"steps": 1}, [1.0, 1.0])
    assert called == ["before", "before"]
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_when_a_checkpoint_is_due(tmp_path: Path) -> None:
    by_steps = Checkpoints(tmp_path / CHECKPOINT, every_steps=3)
    assert [step for step in range(1, 10) if by_steps.due(step)] == [3, 6, 9]
    assert not Checkpoints(tmp_path / CHECKPOINT, every_s=1000).due(3)
    assert Checkpoints(tmp_path / CHECKPOINT, every_s=0).due(3)


def test_the_place_in_the_data_is_kept_not_found_again(shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of shards go on at their place; they are not read from the start."""
    checkpoints = Checkpoints(tmp_path / CHECKPOINT, every_steps=20)
    with pytest.raises(Stopped):
        train(of_shards(shards), planted.batch(2), CONFIG, checkpoints=checkpoints, report=stopping(22))
    batches = of_shards(shards)
    read: list[int] = []
    plain = Shuffled.__next__

    def counted(self: Shuffled) -> Tensor:
        read.append(1)
        return plain(self)

    monkeypatch.setattr(Shuffled, "__next__", counted)
    train(batches, planted.batch(2), CONFIG, checkpoints=checkpoints)
    assert len(read) == STEPS - 20
    assert len(list(islice(batches, 1))) == 1
