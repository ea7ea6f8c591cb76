"""Stretches of a text, read from small row groups, against the table in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from saebrain import corpus as corpus_module
from saebrain.corpus import Corpus
from saebrain.errors import InputError, MissingStepError
from saebrain.store import write_table

LENGTHS = [50, 1, 200]


@pytest.fixture
def tokens() -> pd.DataFrame:
    run = np.repeat(["b", "a", "c"], LENGTHS)
    position = np.concatenate([np.arange(length) for length in LENGTHS]).astype(np.int32)
    return pd.DataFrame({"run": run, "position": position, "word": position // 2, "text": [f" w{n} é東" for n in range(len(run))], "other": 1.0})


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_any_tokens_in_any_order(tmp_path: Path, tokens: pd.DataFrame, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "GROUPS_KEPT", 3)
    write_table(tmp_path / "tokens.parquet", tokens, rows_per_group=size)
    corpus = Corpus(tmp_path / "tokens.parquet", "command")
    assert len(corpus) == len(tokens)
    for wanted in (np.array([250, 3, 3, 60, 0]), np.arange(len(tokens)), np.empty(0, np.int64)):
        found = corpus.read(wanted).to_pandas()
        expected = tokens.iloc[wanted][["run", "position", "word", "text"]].reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_only_what_is_asked_for_is_read(tmp_path: Path, tokens: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / "tokens.parquet", tokens, rows_per_group=10)
    corpus = Corpus(tmp_path / "tokens.parquet", "command")
    read: list[int] = []
    original = pq.ParquetFile.read_row_group

    def noted(file: pq.ParquetFile, number: int, **options: Any) -> Any:
        read.append(number)
        return original(file, number, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    corpus.around(np.array([95, 96]), before=2, after=8)
    corpus.around(np.array([95]), before=2, after=8)
    assert read == [9, 10]


def test_windows_stay_in_their_run(tmp_path: Path, tokens: pd.DataFrame) -> None:
    write_table(tmp_path / "tokens.parquet", tokens, rows_per_group=16)
    corpus = Corpus(tmp_path / "tokens.parquet", "command")
    asked = np.array([50, 49, 51, 0, 250])
    window, rows = corpus.around(asked, before=3, after=2)
    shown = rows["token"].to_numpy()
    assert [shown[window == n].tolist() for n in range(5)] == [[50], [46, 47, 48, 49], [51, 52, 53], [0, 1, 2], [247, 248, 249, 250]]


def test_missing_and_damaged_files_are_told(tmp_path: Path, tokens: pd.DataFrame) -> None:
    path = tmp_path / "tokens.parquet"
    with pytest.raises(MissingStepError, match=r"run: python -m saebrain activations"):
        Corpus(path, "python -m saebrain activations")
    write_table(path, tokens)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"tokens\.parquet: damaged .* run: python -m saebrain activations"):
        Corpus(path, "python -m saebrain activations")
