"""The training log: what stands in the file, and when."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from saebrain.errors import InputError
from saebrain.sae.training import log as module
from saebrain.sae.training.log import LOG, LogRow, TrainingLog


def row(step: int, fvu: float = 0.5) -> LogRow:
    return LogRow(step, 100 * (step + 1), 1.0, fvu, 32.0, 0.25, 1e-3, 9e3, float(step))


def read(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / LOG)


def test_columns(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / LOG)
    log.append(row(0))
    log.write()
    types = {name: str(kind) for name, kind in read(tmp_path).dtypes.items()}
    floats = ["loss", "fvu", "l0", "dead_fraction", "learning_rate", "tokens_per_s", "seconds"]
    assert types == {"step": "int64", "tokens": "int64", **dict.fromkeys(floats, "float64")}


def test_it_is_written_while_training_but_not_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    log = TrainingLog(tmp_path / LOG, every_s=5.0)
    lengths = []
    for step in range(8):
        log.append(row(step))
        lengths.append(len(read(tmp_path)))
        now[0] += 2.0
    assert lengths == [1, 1, 1, 4, 4, 4, 7, 7]
    log.write()
    assert len(read(tmp_path)) == 8
    assert [path.name for path in tmp_path.iterdir()] == [LOG]


def test_a_resumed_run_replaces_what_it_does_again(tmp_path: Path) -> None:
    before = TrainingLog(tmp_path / LOG)
    for step in (0, 10, 20, 30):
        before.append(row(step, fvu=0.5))
    before.write()
    after = TrainingLog(tmp_path / LOG)
    assert len(after.rows) == 4
    for step in (20, 30, 40):
        after.append(row(step, fvu=0.3))
    after.write()
    assert read(tmp_path)[["step", "fvu"]].to_numpy().tolist() == [[0, 0.5], [10, 0.5], [20, 0.3], [30, 0.3], [40, 0.3]]
    assert after.rows[0] == row(0)


def test_a_new_run_in_the_same_folder_begins_anew(tmp_path: Path) -> None:
    for fvu in (0.5, 0.4):
        log = TrainingLog(tmp_path / LOG)
        log.append(row(0, fvu))
        log.append(row(10, fvu))
        log.write()
    assert read(tmp_path)["fvu"].tolist() == [0.4, 0.4]


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"training_log\.parquet: damaged"):
        TrainingLog(tmp_path / LOG)
