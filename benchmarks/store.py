"""How fast a store of many features and tokens is built, how large it is, and how fast the feature browser reads it.

    python -m benchmarks.store [--json] [--tokens 1000000 10000000] [--features 4096 32768] [--folder FOLDER]

Codes are drawn at random with the densities of trained SAEs: log-normal over features, 50 active features a token on average.
A feature's page is all that the browser reads for it: statistics, labels, neighbours, and the text and activations of its
strongest contexts, of examples from every interval and of near misses. A list query is a filter with a sort. "Cold" is the
first reading by a fresh process whose files the operating system has been told to forget; memory is that of the process
that reads, at the end. Drawing the codes is not part of building.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.codes import peak_bytes
from saebrain.codes import CodesFile
from saebrain.corpus import TOKENS_PER_ROW_GROUP
from saebrain.spill import writing_codes
from saebrain.store import CONTEXTS_PER_ROW_GROUP, FEATURES_PER_ROW_GROUP, FeatureStore, write_table
from saebrain.study import SHIPPED, Study

L0 = 50
SPREAD = 1.5
"""Standard deviation of the logarithm of a feature's density."""
BATCH = 1 << 15
VOCABULARY, RUN_TOKENS, TOKENS_A_WORD = 50_000, 10_000, 1.3
PAGES = 300
LABELS = ("semantic/place", "semantic/social", "syntactic", "lexical", "unclear")
PARCELS = ("left bankssts", "right precuneus", "left insula")


@dataclass(frozen=True)
class Percentiles:
    """Of times, in milliseconds."""

    p50: float
    p95: float

    @classmethod
    def of(cls, seconds: list[float]) -> Percentiles:
        return cls(*(round(1000 * float(np.percentile(seconds, p)), 1) for p in (50, 95)))


def draw(n_tokens: int, n_features: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Codes of some tokens at a time, token after token, at most one a feature and token."""
    rng = np.random.default_rng(0)
    share = rng.lognormal(0, SPREAD, n_features)
    share = np.minimum(share / share.sum(), 0.5 / L0)
    # A table of equally likely entries is drawn from much faster than a distribution.
    table = np.repeat(np.arange(n_features), np.maximum(1, np.rint(share * (1 << 22)).astype(int)))
    for first in range(0, n_tokens, BATCH):
        size = min(BATCH, n_tokens - first)
        feature = np.sort(table[rng.integers(0, len(table), (size, L0 + 2))], axis=1)
        once = np.ones(feature.shape, bool)
        once[:, 1:] = feature[:, 1:] != feature[:, :-1]
        token = np.broadcast_to(np.arange(first, first + size)[:, None], feature.shape)[once]
        yield feature[once], token, (rng.gamma(2, 1.5, len(token)) + 0.05).astype(np.float16)


def build(folder: Path, n_tokens: int, n_features: int) -> tuple[int, float, float]:
    """Write a study's tables; returns the number of codes, codes a second and bytes a code."""
    from saebrain.features import Statistics, TopContexts

    study = _study(folder)
    tokens = _write_text(study, n_tokens)
    path, spent = study.features / "codes.parquet", 0.0
    with writing_codes(path, n_features) as spill:
        for feature, token, value in draw(n_tokens, n_features):
            began = time.perf_counter()
            spill.add(feature, token, value)
            spent += time.perf_counter() - began
        began = time.perf_counter()
    codes = CodesFile(path, "python -m benchmarks.store")
    statistics, contexts = Statistics(codes.index, n_tokens), TopContexts(tokens)
    for part in codes.parts():
        statistics.update(part)
        contexts.update(part)
    features, strongest = statistics.table(), contexts.table()
    spent += time.perf_counter() - began
    _write_features(study, features, strongest)
    return codes.n_codes, codes.n_codes / spent, path.stat().st_size / codes.n_codes


def read(folder: Path, n_features: int, pages: int) -> dict[str, object]:
    """Times of a process that has just opened the study, then of the same process, and its memory."""
    from saebrain.pipeline.feature_table import FeatureTable, Filter, feature_table

    study = _study(folder)
    store = _opened(study)
    rng = np.random.default_rng(1)
    cold = []
    for feature in rng.integers(0, n_features, max(1, pages // 5)).tolist():
        _forget(folder)
        cold.append(_timed(partial(page, _opened(study), feature)))
    some = rng.integers(0, n_features, pages).tolist()
    for feature in some[:20]:
        page(store, feature)
    warm = [_timed(partial(page, store, feature)) for feature in some]
    table = feature_table(study, store)

    def query(table: FeatureTable, number: int) -> pd.DataFrame:
        wanted = (
            Filter(text=f"w{number}", density=(1e-5, 0.5)),
            Filter(label="semantic", agree=True, largest=(1, 100)),
            Filter(parcel="insula", r=(0.05, 1.0)),
            Filter(expert=f"density < 0.01 and peak like '%w{number}%' or parcel_r > 0.2"),
        )[number % 4]
        return table.filtered(wanted).sort_values(("max", "density", "parcel_r")[number % 3], ascending=False)

    query(table, 3)
    lists = [_timed(partial(query, table, number)) for number in range(max(1, pages // 5))]
    percentiles = {"feature_page_ms": warm, "feature_page_cold_ms": cold, "list_ms": lists}
    return {**{name: asdict(Percentiles.of(times)) for name, times in percentiles.items()}, "rss_mb": round(peak_bytes() / 1e6)}


def page(store: FeatureStore, feature: int) -> None:
    """Read all that the browser shows of a feature."""
    from saebrain.pipeline.feature_examples import by_interval, near_misses

    store.feature(feature)
    store.labels(feature)
    store.neighbours(feature)
    store.contexts(feature)
    tokens = np.concatenate([interval.tokens for interval in by_interval(*store.codes(feature), seed=feature)])
    store.windows(feature, tokens)
    store.windows(feature, near_misses(store, feature, before=24, after=12)["token"].to_numpy())


def measure(folder: Path, n_tokens: int, n_features: int, pages: int = PAGES) -> dict[str, object]:
    """Build and read one store, in a process each."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as process:
        n_codes, codes_per_s, bytes_per_code = process.submit(build, folder, n_tokens, n_features).result()
        found = process.submit(read, folder, n_features, pages).result()
    size = {"n_features": n_features, "n_tokens": n_tokens, "n_codes": n_codes}
    return {**size, "codes_per_s": round(codes_per_s), "bytes_per_code": round(bytes_per_code, 2), **found}


def _timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _opened(study: Study) -> FeatureStore:
    return FeatureStore(study.features, study.tokens, study.labels)


def _forget(folder: Path) -> None:
    """Ask the operating system to drop what it holds of the files, so that they are read from the disk again."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in folder.rglob("*.parquet"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _study(folder: Path) -> Study:
    """The demo's study.toml, for its paths: nothing of the demo is read."""
    if not (folder / "study.toml").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "study.toml").write_bytes((SHIPPED / "demo" / "study.toml").read_bytes())
    return Study.open(folder)


def _write_text(study: Study, n_tokens: int) -> pd.DataFrame:
    """Write tokens.parquet, a part at a time; returns run and word of every token."""
    rng, parts = np.random.default_rng(2), []
    study.features.mkdir(parents=True, exist_ok=True)
    names = np.array([f" w{number}" for number in range(VOCABULARY)])
    writer = None
    for first in range(0, n_tokens, TOKENS_PER_ROW_GROUP * 64):
        number = np.arange(first, min(first + TOKENS_PER_ROW_GROUP * 64, n_tokens))
        run, position = number // RUN_TOKENS, number % RUN_TOKENS
        ids = np.minimum(rng.zipf(1.3, len(number)), VOCABULARY) - 1
        word = (position / TOKENS_A_WORD).astype(np.int32)
        columns = {"run": pa.array(np.char.add("run", run.astype(str))), "position": position.astype(np.int32), "token_id": ids.astype(np.int32)}
        table = pa.table({**columns, "text": names[ids], "word": word, "surprisal_bits": rng.random(len(number), np.float32)})
        writer = writer or pq.ParquetWriter(study.tokens, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=TOKENS_PER_ROW_GROUP)
        parts.append(pd.DataFrame({"run": run.astype(np.int32), "word": word}))
    if writer is not None:
        writer.close()
    return pd.concat(parts, ignore_index=True)


def _write_features(study: Study, features: pd.DataFrame, strongest: pd.DataFrame) -> None:
    """Write what other steps make: drawn at random, as large as theirs."""
    rng, n = np.random.default_rng(3), len(features)
    words = np.array([f" w{number}" for number in range(VOCABULARY)])
    for name in ("promoted", "suppressed"):
        features[name] = rng.integers(0, VOCABULARY, (n, 10)).tolist()
        features[f"{name}_effect"] = rng.random((n, 10)).tolist()
        features[f"{name}_text"] = words[rng.integers(0, VOCABULARY, (n, 10))].tolist()
    features["peak"] = words[rng.integers(0, VOCABULARY, n)]
    features["top_words"] = [", ".join(row) for row in words[rng.integers(0, VOCABULARY, (n, 5))]]
    write_table(study.features / "features.parquet", features, rows_per_group=FEATURES_PER_ROW_GROUP)
    write_table(study.features / "contexts.parquet", strongest, rows_per_group=CONTEXTS_PER_ROW_GROUP)
    labels = [
        pd.DataFrame({"feature": range(n), "annotator": who, "kind": "machine", "label": rng.choice(LABELS, n), "confidence": 0.5, "reason": "drawn"})
        for who in ("machine:forms", "machine:similarity")
    ]
    write_table(study.labels, pd.concat(labels), rows_per_group=CONTEXTS_PER_ROW_GROUP)
    parcels = {"feature": range(n), "parcel": rng.choice(PARCELS, n), "parcel_r": rng.normal(0.1, 0.05, n).astype(np.float32)}
    write_table(study.features / "parcels.parquet", pd.DataFrame(parcels))
    near = {"feature": np.repeat(np.arange(n), 20), "kind": np.tile(np.repeat(["coactive", "decoder"], 10), n), "layer": study.layer}
    near |= {"other": rng.integers(0, n, 20 * n), "similarity": rng.random(20 * n)}
    write_table(study.features / "neighbours.parquet", pd.DataFrame(near), rows_per_group=CONTEXTS_PER_ROW_GROUP)


def main() -> None:
    """Measure every size and print; with one size and ``--json``, one object, otherwise a list of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description="Build and read stores of random SAE codes.")
    parser.add_argument("--tokens", type=int, nargs="+", default=[10_000_000])
    parser.add_argument("--features", type=int, nargs="+", default=[32_768])
    parser.add_argument(
        "--folder", type=Path, help="where to put the stores (10M tokens take 4 GB while they are built); by default a temporary folder"
    )
    parser.add_argument("--pages", type=int, default=PAGES, help="feature pages read warm; a fifth as many cold, and list queries")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = []
    for n_tokens, n_features in itertools.product(given.tokens, given.features):
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            found.append(measure(Path(folder), n_tokens, n_features, given.pages))
    if given.json:
        print(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    else:
        print(pd.json_normalize(found).T.to_string(float_format="{:,.4g}".format))


if __name__ == "__main__":
    main()
