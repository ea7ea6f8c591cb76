"""The sparse table of codes: its index, and reading parts of a file."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saebrain import spill
from saebrain.codes import CodesFile, Index, SparseCodes
from saebrain.errors import InputError, MissingStepError
from tests import sparse

N_FEATURES, N_TOKENS = 30, 400
COMMAND = "python -m saebrain sae encode"


@pytest.fixture(scope="module")
def codes() -> SparseCodes:
    """Random codes; the first and the last features are among those that are never active."""
    feature, token, value = sparse.draw(3000, N_TOKENS, N_FEATURES - 7)
    return sparse.arrange(feature + 4, token, value, N_FEATURES)


@pytest.fixture
def path(codes: SparseCodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same in a file of many row groups."""
    monkeypatch.setattr(spill, "CODES_PER_ROW_GROUP", 128)
    sparse.write(tmp_path / "codes.parquet", codes)
    return tmp_path / "codes.parquet"


def plain(path: Path, codes: SparseCodes) -> Path:
    """A file without an index, as other tools would write it."""
    pq.write_table(pa.table({"feature": codes.feature, "token": codes.token, "value": codes.value}), path, row_group_size=100)
    return path


def own(codes: SparseCodes, first: int, stop: int) -> SparseCodes:
    """Codes of a range of features, by another way."""
    inside = (codes.feature >= first) & (codes.feature < stop)
    return SparseCodes(codes.feature[inside], codes.token[inside], codes.value[inside], codes.n_features)


# in memory


def test_start_is_where_each_feature_begins(codes: SparseCodes) -> None:
    assert len(codes.start) == N_FEATURES + 1
    for feature in range(N_FEATURES):
        assert (codes.feature[codes.start[feature] : codes.start[feature + 1]] == feature).all()
    assert (codes.start[0], codes.start[-1]) == (0, len(codes.value))
    assert codes.firsts.tolist() == sorted({int(np.argmax(codes.feature == feature)) for feature in codes.feature})


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_the_index_counts_and_finds_the_largest_however_the_codes_come(codes: SparseCodes, size: int) -> None:
    index = Index(N_FEATURES)
    for part in sparse.split(codes, size):
        index.update(part)
    for feature in range(N_FEATURES):
        values = codes.value[codes.feature == feature]
        assert (index.active[feature], index.largest[feature]) == (len(values), values.max(initial=0))
    np.testing.assert_array_equal(index.start, codes.start)


def test_the_index_comes_back_from_a_footer(codes: SparseCodes) -> None:
    index = Index.of(codes)
    entries = index.to_footer()
    back = Index.from_footer({key.encode(): value.encode() for key, value in entries.items()})
    assert back is not None
    np.testing.assert_array_equal(back.active, index.active)
    np.testing.assert_array_equal(back.largest, index.largest)
    assert Index.from_footer({b"ARROW:schema": b""}) is None


# on disk


def test_every_feature_is_found(path: Path, codes: SparseCodes) -> None:
    file = CodesFile(path, COMMAND)
    assert file.n_features == N_FEATURES
    for feature in range(-2, N_FEATURES + 2):
        sparse.assert_same(file.read(feature), own(codes, feature, feature + 1))


@pytest.mark.parametrize(("first", "stop"), [(0, N_FEATURES), (4, 5), (3, 17), (20, 90), (-5, 9), (9, 9), (12, 3), (60, 90)])
def test_every_range_is_found(path: Path, codes: SparseCodes, first: int, stop: int) -> None:
    sparse.assert_same(CodesFile(path, COMMAND).read(first, stop), own(codes, first, stop))


def test_one_feature_is_a_small_read(path: Path, codes: SparseCodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the row groups that hold it are read."""
    read: list[int] = []
    rows = CodesFile._rows

    def counted(file: CodesFile, groups: range) -> pa.Table:
        table = rows(file, groups)
        read.append(len(table))
        return table

    monkeypatch.setattr(CodesFile, "_rows", counted)
    file = CodesFile(path, COMMAND)
    assert read == []  # the footer is enough to open it
    for feature, active in enumerate(file.index.active):
        before = sum(read)
        file.read(feature)
        assert sum(read) - before <= (active + 2 * 128 if active else 0)


@pytest.mark.parametrize("at_once", [1, 500, 100_000])
def test_parts_are_bounded_and_give_all(path: Path, codes: SparseCodes, at_once: int) -> None:
    parts = list(CodesFile(path, COMMAND).parts(at_once))
    assert max(len(part.value) for part in parts) <= max(at_once, 128)
    assert len(parts) == {1: 24, 500: 8, 100_000: 1}[at_once]
    sparse.assert_same(sparse.join(parts, N_FEATURES), codes)


def test_a_file_without_codes(tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    sparse.write(path, sparse.join([], 3))
    file = CodesFile(path, COMMAND)
    assert list(file.parts()) == []
    assert (file.n_features, file.index.active.tolist(), len(file.read(1).value)) == (3, [0, 0, 0], 0)
    assert CodesFile(plain(path, sparse.join([], 3)), COMMAND, n_features=5).n_features == 5


def test_a_file_without_an_index_is_read_alike(tmp_path: Path, path: Path, codes: SparseCodes) -> None:
    file = CodesFile(plain(tmp_path / "plain.parquet", codes), COMMAND, n_features=N_FEATURES)
    expected = CodesFile(path, COMMAND)
    np.testing.assert_array_equal(file.index.active, expected.index.active)
    np.testing.assert_array_equal(file.index.largest, expected.index.largest)
    sparse.assert_same(file.read(3, 17), expected.read(3, 17))
    assert CodesFile(tmp_path / "plain.parquet", COMMAND).n_features == codes.feature.max() + 1


def test_an_opened_file_stays_the_one_it_was(path: Path, codes: SparseCodes) -> None:
    file = CodesFile(path, COMMAND)
    before = file.replaced
    sparse.write(path, SparseCodes(codes.feature, codes.token, np.ones_like(codes.value), N_FEATURES))
    assert (before, file.replaced) == (False, True)
    sparse.assert_same(sparse.join(list(file.parts()), N_FEATURES), codes)
    assert set(CodesFile(path, COMMAND).read(0, N_FEATURES).value) == {1.0}
    path.unlink()
    assert file.replaced


def test_threads_read_at_once(path: Path, codes: SparseCodes) -> None:
    file = CodesFile(path, COMMAND)
    expected = [own(codes, feature, feature + 1) for feature in range(N_FEATURES)]
    failures: list[BaseException] = []

    def read(seed: int) -> None:
        try:
            for feature in np.random.default_rng(seed).permutation(N_FEATURES).tolist() * 3:
                sparse.assert_same(file.read(feature), expected[feature])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_missing_file_is_told_with_its_command(tmp_path: Path) -> None:
    with pytest.raises(MissingStepError, match=rf"codes\.parquet of study {re.escape(str(tmp_path))} not found; run: {COMMAND}"):
        CodesFile(tmp_path / "codes.parquet", COMMAND)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"feature,token\n0,1\n" * 9])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "codes.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: damaged \(.*\); remove it and run: {COMMAND}"):
        CodesFile(path, COMMAND)


def test_an_index_of_other_rows_is_refused(path: Path, codes: SparseCodes) -> None:
    table = pa.table({"feature": codes.feature, "token": codes.token, "value": codes.value})
    pq.write_table(table.slice(1).replace_schema_metadata(Index.of(codes).to_footer()), path)
    with pytest.raises(InputError, match=r"damaged \(its index does not belong to its rows\)"):
        CodesFile(path, COMMAND)


@pytest.mark.parametrize("at_once", [100, 100_000])
def test_unsorted_codes_are_refused(tmp_path: Path, codes: SparseCodes, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a part, and between two."""
    monkeypatch.setattr("saebrain.codes.CODES_AT_ONCE", at_once)
    middle = int(codes.start[12])
    order = np.r_[middle : len(codes.value), 0:middle]
    swapped = SparseCodes(codes.feature[order], codes.token[order], codes.value[order], N_FEATURES)
    with pytest.raises(InputError, match=r"damaged \(its codes are not sorted by feature\)"):
        CodesFile(plain(tmp_path / "codes.parquet", swapped), COMMAND)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    pq.write_table(pa.table({"run": ["a"], "word": [1]}), path)
    with pytest.raises(InputError, match="damaged"):
        CodesFile(path, COMMAND)


def test_damage_that_shows_only_in_a_read_is_told(path: Path) -> None:
    """A page in the middle of the file is destroyed; its footer is intact."""
    content = bytearray(path.read_bytes())
    page = pq.read_metadata(path).row_group(3).column(1).data_page_offset
    content[page : page + 40] = b"\xff" * 40
    path.write_bytes(content)
    file = CodesFile(path, COMMAND)
    with pytest.raises(InputError, match=rf"damaged \(.*\); remove it and run: {COMMAND}") as caught:
        list(file.parts())
    assert "\n" not in str(caught.value)
