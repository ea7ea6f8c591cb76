"""Writing codes of a text of any length: order, memory, and what a failure leaves behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saebrain import codes as codes_module
from saebrain import spill
from saebrain.codes import CodesFile, Index
from saebrain.errors import InputError
from saebrain.spill import rows_per_group, writing_codes
from saebrain.store import read_codes
from saebrain.study import PROJECT
from tests import sparse


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("codes_at_once", [1, 3, 64, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("n_codes", "n_tokens", "n_features"),
    [(0, 0, 5), (1, 1, 1), (200, 1, 7), (500, 10_000, 1), (700, 90, 3), (2000, 300, 64), (900, 50, 65), (300, 300, 70_000)],
)
def test_codes_come_out_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes_at_once: int, n_codes: int, n_tokens: int, n_features: int
) -> None:
    """Whatever the sizes: many chunks or one, features larger than memory, features and texts without codes, pairs that are there twice."""
    monkeypatch.setattr(spill, "CODES_PER_ROW_GROUP", 100)
    if codes_at_once < 10:
        n_codes = min(n_codes, 150)  # nearly as many files
    feature, token, value = sparse.draw(n_codes, max(n_tokens, 1), n_features, seed=n_codes + codes_at_once)
    path = tmp_path / "new" / "codes.parquet"
    with writing_codes(path, n_features, codes_at_once=codes_at_once) as writer:
        for batch in np.array_split(np.arange(n_codes), [n_codes // 5, n_codes // 5, n_codes // 2, n_codes - 1] if n_codes else []):
            shuffled = np.random.default_rng(0).permutation(batch) if n_tokens == 1 else batch
            writer.add(feature[shuffled], token[shuffled], value[shuffled])
    expected = sparse.arrange(feature, token, value, n_features)
    found = read_codes(path, n_features)
    np.testing.assert_array_equal(found.feature, expected.feature)
    np.testing.assert_array_equal(found.token, expected.token)
    sparse.assert_same(sparse.arrange(found.feature, found.token, found.value, n_features), expected)  # of equal pairs any may come first
    file = CodesFile(path, "")
    index = Index.of(expected)
    np.testing.assert_array_equal(file.index.active, index.active)
    np.testing.assert_array_equal(file.index.largest, index.largest)
    assert left(path.parent) == ["codes.parquet"]


def test_the_file_is_as_the_plan_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "CODES_PER_ROW_GROUP", 128)
    feature, token, value = sparse.draw(3000, 200, 40)
    path = tmp_path / "codes.parquet"
    sparse.write(path, sparse.arrange(feature, token, value, 40))
    assert pq.read_schema(path).remove_metadata() == pa.schema([("feature", pa.int32()), ("token", pa.int64()), ("value", pa.float16())])
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [128] * 23 + [56]


def test_large_files_have_larger_row_groups_not_more() -> None:
    assert [rows_per_group(n) for n in (0, 1, 60_000_000, 70_000_000, 500_000_000)] == [16_384, 16_384, 16_384, 32_768, 131_072]


def test_what_is_in_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part that is merged is larger than what was asked for, even if one feature is."""
    monkeypatch.setattr(spill, "CODES_AT_ONCE", 50)
    feature, token, value = sparse.draw(5000, 3000, 20)
    feature[:4000] = 7
    (tmp_path / "spill").mkdir()
    taker = spill.Spill(tmp_path / "spill", 20, 200)
    for batch in np.array_split(np.arange(5000), 40):
        taker.add(feature[batch], token[batch], value[batch])
    parts = list(taker.merged())
    assert sum(len(part.value) for part in parts) == 5000
    assert max(len(part.value) for part in parts) <= 200


def test_more_tokens_than_can_be_numbered_are_refused(tmp_path: Path) -> None:
    one = np.ones(1, np.int64)
    with (
        pytest.raises(InputError, match=r"8,589,934,593 tokens: with 32,768 features at most 8,589,934,592; split the text"),
        writing_codes(tmp_path / "codes.parquet", 32_768) as writer,
    ):
        writer.add(one, one * 2**33 - 1, one.astype(np.float16))
        writer.add(one, one * 2**33, one.astype(np.float16))
    assert left(tmp_path) == []


@pytest.mark.parametrize("during", ["codes", "merge"])
def test_a_failure_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, during: str) -> None:
    path = tmp_path / "codes.parquet"
    sparse.write(path, sparse.arrange(*sparse.draw(500, 100, 10), 10))
    before = path.read_bytes()
    if during == "merge":
        monkeypatch.setattr(spill.Spill, "_read", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), writing_codes(path, 10, codes_at_once=50) as writer:
        writer.add(*sparse.draw(500, 100, 10, seed=1))
        if during == "codes":
            assert len(left(tmp_path / ".codes.parquet.spill")) == 10
            raise ZeroDivisionError
    assert path.read_bytes() == before
    assert left(tmp_path) == ["codes.parquet"]


def test_a_second_writer_is_refused_while_the_first_writes(tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    with writing_codes(path, 10) as writer:
        writer.add(*sparse.draw(500, 100, 10))
        with pytest.raises(InputError, match=r"codes\.parquet: another process is writing it; wait until it has finished"), writing_codes(path, 10):
            pass
    assert len(read_codes(path, 10).value) == 500


def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    codes = sparse.arrange(*sparse.draw(500, 100, 10), 10)
    sparse.write(tmp_path / "codes.parquet", codes)
    assert len(read_codes(tmp_path / "codes.parquet", 10).value) == 500
    assert left(tmp_path) == ["codes.parquet"]


KILLED = """
import os, signal, sys
from pathlib import Path
from saebrain import spill
from tests import sparse

path, during = Path(sys.argv[1]), sys.argv[2]
if during == "merge":
    parts = spill.Spill.merged
    def merged(self):
        yield next(parts(self))
        os.kill(os.getpid(), signal.SIGKILL)
    spill.Spill.merged = merged
    spill.CODES_PER_ROW_GROUP = 10
with spill.writing_codes(path, 10, codes_at_once=50) as writer:
    writer.add(*sparse.draw(500, 100, 10))
    if during == "codes":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("during", ["codes", "merge"])
def test_a_killed_run_leaves_no_half_written_file_and_the_next_clears_up(tmp_path: Path, during: str) -> None:
    path = tmp_path / "codes.parquet"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), during], cwd=PROJECT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert left(tmp_path) == [".codes.parquet.spill"]
    remains = left(tmp_path / ".codes.parquet.spill")
    assert "00000.keys" in remains
    assert ("codes.parquet" in remains) == (during == "merge")
    expected = sparse.arrange(*sparse.draw(300, 100, 10, seed=1), 10)
    sparse.write(path, expected)
    assert left(tmp_path) == ["codes.parquet"]
    sparse.assert_same(read_codes(path, 10), expected)


def test_memory_does_not_grow_with_the_number_of_tokens() -> None:
    """Encoding, writing and reading ten times as many codes. All at once they would take 8 bytes each as keys, 14 as columns."""
    size = ["--d", "16", "--features", "512", "--k", "64", "--codes-at-once", str(1 << 18)]
    command = [sys.executable, "-m", "benchmarks.codes", "--json", "--tokens", "10000", "100000", *size]
    done = subprocess.run(command, cwd=PROJECT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=True)
    few, many = json.loads(done.stdout)
    more = many["n_codes"] - few["n_codes"]
    assert more == 5_760_000
    assert few["n_codes"] > 2 * (1 << 18)  # more than is held in memory at once
    assert many["peak_written"] - few["peak_written"] < 8 * more / 2
    assert many["peak"] - few["peak"] < 14 * more / 2


def test_parts_of_a_streamed_pass_are_small() -> None:
    assert spill.CODES_AT_ONCE == codes_module.CODES_AT_ONCE <= spill.CODES_PER_CHUNK
