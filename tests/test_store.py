"""Feature tables: what DuckDB answers, against the pandas tables that were written."""

from __future__ import annotations

import re
import threading
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from saebrain import spill
from saebrain.codes import CodesFile, Index
from saebrain.errors import InputError, MissingStepError
from saebrain.features import Statistics, TopContexts
from saebrain.store import FeatureStore, read_codes, read_table, write_table
from tests import sparse

N_TOKENS, N_FEATURES, NEVER = 300, 20, 7
# Text that a query, a page or an encoding could stumble over.
ODD = ["' OR 1=1 --", '"quoted"', "<script>alert(1)</script>", "東京", "👩‍🚀", "Ω%_\\", "", " ; DROP VIEW tokens", "\x00", "a\nb"]


class Tables:
    """A study of random tables on disk, and the same tables in memory."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.folder = folder
        words = np.arange(N_TOKENS) // 2
        self.tokens = pd.DataFrame(
            {
                "run": np.repeat(["b", "a", "c"], N_TOKENS // 3),
                "position": np.tile(np.arange(N_TOKENS // 3, dtype=np.int32), 3),
                "token_id": rng.integers(0, 99, N_TOKENS).astype(np.int32),
                "text": [ODD[n % len(ODD)] if n % 3 == 0 else f" w{n}" for n in range(N_TOKENS)],
                "word": words.astype(np.int32),
                "surprisal_bits": rng.random(N_TOKENS).astype(np.float32),
            }
        )
        dense = rng.gamma(2.0, 1.0, (N_TOKENS, N_FEATURES)) * (rng.random((N_TOKENS, N_FEATURES)) < 0.2)
        dense[:, NEVER] = 0
        self.dense = dense.astype(np.float16)
        token, feature = np.nonzero(self.dense)
        self.codes = sparse.arrange(feature, token, self.dense[token, feature], N_FEATURES)
        statistics = Statistics(Index.of(self.codes), N_TOKENS)
        statistics.update(self.codes)
        self.features = statistics.table()
        for name in ("promoted_text", "suppressed_text"):
            self.features[name] = [[ODD[(f + n) % len(ODD)] for n in range(3)] for f in range(N_FEATURES)]
        contexts = TopContexts(self.tokens, count=4, before=5, after=3)
        contexts.update(self.codes)
        self.contexts = contexts.table()
        self.labels = pd.DataFrame(
            [
                (f, who, "machine", f"semantic/{f % 3}", f / 20, f"because {ODD[f % len(ODD)]}")
                for who in ("machine:similarity", "machine:forms")
                for f in range(N_FEATURES)
            ],
            columns=["feature", "annotator", "kind", "label", "confidence", "reason"],
        )

    @property
    def layer(self) -> Path:
        return self.folder / "features" / "3"

    def write(self) -> None:
        write_table(self.folder / "tokens.parquet", self.tokens)
        sparse.write(self.layer / "codes.parquet", self.codes)
        write_table(self.layer / "features.parquet", self.features)
        write_table(self.layer / "contexts.parquet", self.contexts)
        write_table(self.folder / "labels.parquet", self.labels)

    def open(self) -> FeatureStore:
        return FeatureStore(self.layer, self.folder / "tokens.parquet", self.folder / "labels.parquet")


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    made = Tables(tmp_path / "it's a study [v2] *")  # names that a glob or a quoted string would trip over
    made.write()
    return made


# tables


def test_table_round_trip(tmp_path: Path) -> None:
    table = Tables(tmp_path).tokens
    path = tmp_path / "new" / "tokens.parquet"
    write_table(path, table, rows_per_group=100)
    pd.testing.assert_frame_equal(read_table(path, "command"), table, check_dtype=False)
    assert read_table(path, "command", ["text", "run"]).columns.tolist() == ["text", "run"]
    assert pq.read_metadata(path).num_row_groups == 3
    assert [child.name for child in path.parent.iterdir()] == ["tokens.parquet"]


def test_codes_round_trip_in_small_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "CODES_PER_ROW_GROUP", 100)
    codes = Tables(tmp_path).codes
    path = tmp_path / "codes.parquet"
    sparse.write(path, codes)
    sparse.assert_same(read_codes(path, N_FEATURES), codes)
    metadata = pq.read_metadata(path)
    assert metadata.num_row_groups == -(-len(codes.value) // 100)
    spans = [metadata.row_group(n).column(0).statistics for n in range(metadata.num_row_groups)]
    assert all(a.max <= b.min for a, b in pairwise(spans))  # one feature's codes stand together


def test_other_tools_read_the_codes(tmp_path: Path) -> None:
    codes = Tables(tmp_path).codes
    sparse.write(tmp_path / "codes.parquet", codes)
    table = duckdb.connect().read_parquet(str(tmp_path / "codes.parquet")).df()
    for name in ("feature", "token", "value"):
        np.testing.assert_array_equal(table[name], getattr(codes, name))


def test_missing_table_is_told_with_its_command(tmp_path: Path) -> None:
    with pytest.raises(MissingStepError, match=rf"words\.parquet of study {re.escape(str(tmp_path))} not found; run: python -m saebrain stimulus"):
        read_table(tmp_path / "words.parquet", "python -m saebrain stimulus")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"run,word\na,b\n" * 9])
def test_damaged_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "words.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_table(path, "python -m saebrain stimulus")
    assert str(caught.value).startswith(f"{path}: damaged (")
    assert str(caught.value).endswith("remove it and run: python -m saebrain stimulus")
    assert "\n" not in str(caught.value)


# store


def test_features_with_their_peaks_and_labels(tables: Tables) -> None:
    answer = tables.open().features()
    assert answer["feature"].tolist() == list(range(N_FEATURES))
    for name in ("active", "density", "mean", "max"):
        np.testing.assert_array_equal(answer[name], tables.features[name])
    for name in ("promoted_text", "suppressed_text"):
        assert [list(row) for row in answer[name]] == tables.features[name].tolist()
    for feature, peak in enumerate(answer["peak"]):
        if feature == NEVER:
            assert pd.isna(peak)
        else:
            assert peak == tables.tokens["text"][tables.dense[:, feature].argmax()].strip(" ")
    for who, labels in tables.labels.groupby("annotator"):
        assert answer[who].tolist() == labels["label"].tolist()
    assert answer.columns.tolist()[-2:] == ["machine:forms", "machine:similarity"]


def test_parcels_join_once_they_are_there(tables: Tables) -> None:
    store = tables.open()
    assert "parcel" not in store.features()
    write_table(tables.layer / "parcels.parquet", pd.DataFrame({"feature": [3, 5], "parcel": ["bankssts", "cuneus"], "r": [0.2, 0.1]}))
    answer = store.features()
    assert len(answer) == N_FEATURES
    assert answer["parcel"].dropna().to_dict() == {3: "bankssts", 5: "cuneus"}
    (tables.layer / "parcels.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"parcels\.parquet: damaged .* run: python -m saebrain encode "):
        store.features()


def test_one_feature(tables: Tables) -> None:
    store = tables.open()
    row = store.feature(11)
    for name, value in tables.features.loc[11].items():
        assert np.array_equal(row[name], value), name
    for unknown in (-1, N_FEATURES):
        with pytest.raises(InputError, match=f"feature {unknown}: this SAE has features 0 to 19; choose one of them"):
            store.feature(unknown)


def test_codes_of_one_feature(tables: Tables) -> None:
    store = tables.open()
    for feature in range(N_FEATURES):
        token, value = store.codes(feature)
        np.testing.assert_array_equal(token, np.flatnonzero(tables.dense[:, feature]))
        np.testing.assert_array_equal(value, tables.dense[token, feature].astype(np.float32))
        assert (str(token.dtype), str(value.dtype)) == ("int64", "float32")
    assert len(store.codes(NEVER)[0]) == 0


def test_contexts_show_their_tokens_and_activations(tables: Tables) -> None:
    store = tables.open()
    for feature in range(N_FEATURES):
        answer = store.contexts(feature, before=5, after=3)
        expected = []
        for row in tables.contexts[tables.contexts["feature"] == feature].itertuples():
            for token in range(row.start, row.stop):
                shown = tables.tokens.loc[token, ["run", "position", "word", "text"]]
                expected.append((row.rank, token == row.token, *shown, np.float32(tables.dense[token, feature]), token))
        assert answer.columns.tolist() == ["rank", "peak", "run", "position", "word", "text", "value", "token"]
        assert list(answer.itertuples(index=False, name=None)) == expected
        assert (answer[answer["peak"]]["value"] > 0).all()
        assert answer[answer["peak"]]["rank"].is_unique
    assert store.contexts(NEVER).empty


def test_windows_are_as_wide_as_asked_and_stay_in_their_run(tables: Tables) -> None:
    store = tables.open()
    asked = np.array([150, 0, N_TOKENS - 1, 99, 100])  # in any order; runs are 100 tokens long
    answer = store.windows(3, asked, before=2, after=300)
    for window, token in enumerate(asked):
        own = answer[answer["window"] == window]
        first = token // 100 * 100
        assert own["token"].tolist() == list(range(max(first, token - 2), first + 100))
        assert own.loc[own["peak"], "token"].tolist() == [token]
        assert own["text"].tolist() == tables.tokens["text"].loc[own["token"]].tolist()
    assert store.windows(3, np.empty(0, int)).empty


def test_text_in_small_row_groups_reads_alike(tables: Tables) -> None:
    expected = [tables.open().contexts(feature) for feature in range(N_FEATURES)]
    write_table(tables.folder / "tokens.parquet", tables.tokens, rows_per_group=7)
    store = tables.open()
    for feature in range(N_FEATURES):
        pd.testing.assert_frame_equal(store.contexts(feature), expected[feature])


def test_tables_of_other_codes_or_another_text_are_told_on_opening(tables: Tables) -> None:
    write_table(tables.layer / "features.parquet", tables.features.assign(active=tables.features["active"] + 1))
    with pytest.raises(InputError, match=r"features\.parquet: made from other codes \(20 features with .* run: python -m saebrain features "):
        tables.open()
    tables.write()
    write_table(tables.folder / "tokens.parquet", tables.tokens.head(N_TOKENS // 2))
    with pytest.raises(InputError, match=r"contexts\.parquet: made from another text \(token .* of 150\); run: python -m saebrain features "):
        tables.open()


def test_changed_bits_in_a_page_are_told(tables: Tables) -> None:
    """Not every change breaks the decoder: checksums find the others."""
    path = tables.folder / "tokens.parquet"
    write_table(path, tables.tokens.assign(text=[f" {'q' * 30}{n}" for n in range(N_TOKENS)]))
    column = pq.read_metadata(path).row_group(0).column(3)
    content = bytearray(path.read_bytes())
    content[(column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"tokens\.parquet: damaged .* run: python -m saebrain activations"):
        tables.open().contexts(3)


def test_labels_of_one_feature(tables: Tables) -> None:
    answer = tables.open().labels(6)
    assert answer["annotator"].tolist() == ["machine:forms", "machine:similarity"]
    assert answer["reason"].tolist() == [f"because {ODD[6]}"] * 2
    assert answer[["kind", "label", "confidence"]].iloc[0].tolist() == ["machine", "semantic/0", 0.3]


def test_text_comes_back_as_it_was_written(tables: Tables) -> None:
    store = tables.open()
    shown = pd.concat([store.contexts(feature) for feature in range(N_FEATURES)])
    assert set(ODD) <= set(shown["text"])


def test_threads_ask_at_once(tables: Tables) -> None:
    store = tables.open()
    expected = {feature: store.contexts(feature) for feature in range(N_FEATURES)}
    together = threading.Barrier(8)
    failures: list[BaseException] = []

    def ask(seed: int) -> None:
        try:
            together.wait()
            for feature in np.random.default_rng(seed).permutation(N_FEATURES):
                pd.testing.assert_frame_equal(store.contexts(int(feature)), expected[int(feature)])
                np.testing.assert_array_equal(store.codes(int(feature))[0], np.flatnonzero(tables.dense[:, feature]))
            assert len(store.features()) == N_FEATURES
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_running_step_is_not_locked_out(tables: Tables) -> None:
    store = tables.open()
    store.features()
    tables.codes.value[:] = 1
    tables.write()
    assert set(store.codes(3)[1]) == {1.0} == set(tables.open().codes(3)[1])


@pytest.mark.parametrize(
    ("file", "step"),
    [
        ("tokens.parquet", "activations"),
        ("features/3/codes.parquet", "sae encode"),
        ("features/3/features.parquet", "features"),
        ("features/3/contexts.parquet", "features"),
        ("labels.parquet", "labels"),
    ],
)
def test_missing_and_damaged_files_are_told_with_the_command(tables: Tables, file: str, step: str) -> None:
    path = tables.folder / file
    path.write_bytes(b"PAR1" + bytes(50) + b"PAR1")
    with pytest.raises(InputError) as damaged:
        tables.open()
    assert str(damaged.value).startswith(f"{path}: damaged (")
    assert str(damaged.value).endswith(f"remove it and run: python -m saebrain {step} {tables.folder}")
    assert "\n" not in str(damaged.value)
    path.unlink()
    with pytest.raises(MissingStepError) as missing:
        tables.open()
    assert missing.value.command == f"python -m saebrain {step} {tables.folder}"
    assert str(tables.folder) in missing.value.what


def damage(path: Path) -> None:
    """Destroy a page in the middle of a file; its footer stays intact."""
    content = bytearray(path.read_bytes())
    first = pq.read_metadata(path).row_group(0).column(1)
    content[first.data_page_offset : first.data_page_offset + 40] = b"\xff" * 40
    path.write_bytes(content)


def test_damage_that_shows_only_in_a_query_is_told_too(tables: Tables) -> None:
    damage(tables.layer / "contexts.parquet")
    store = tables.open()
    with pytest.raises(InputError, match=r"a table cannot be read .* remove the folder and run: python -m saebrain sae encode") as caught:
        store.contexts(3)
    assert isinstance(caught.value.__cause__, duckdb.Error)
    assert "\n" not in str(caught.value)


def test_damage_that_shows_only_when_codes_are_read_is_told_too(tables: Tables) -> None:
    damage(tables.layer / "codes.parquet")
    store = tables.open()
    for ask in (store.codes, store.contexts):
        with pytest.raises(InputError, match=r"codes\.parquet: damaged .* remove it and run: python -m saebrain sae encode") as caught:
            ask(3)
        assert "\n" not in str(caught.value)


def test_codes_without_an_index_are_asked_alike(tables: Tables) -> None:
    """As earlier versions wrote them."""
    path = tables.layer / "codes.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata(), path)
    assert not any(key.startswith(b"saebrain") for key in pq.read_metadata(path).metadata)
    store = tables.open()
    for feature in range(N_FEATURES):
        np.testing.assert_array_equal(store.codes(feature)[0], np.flatnonzero(tables.dense[:, feature]))
    assert CodesFile(path, "", n_features=N_FEATURES + 5).n_features == N_FEATURES + 5
