"""How fast SAE codes are encoded, stored and read, in how much memory.

    python -m benchmarks.codes [--json] [--tokens 5000 20000] [--d 4096] [--features 32768] [--k 64] [--device cpu] [--without-sae]

States and SAE (TopK) are random: neither time nor memory depends on what a SAE has learnt. ``--without-sae`` draws
codes instead, k a token and as unevenly spread over features as those of trained SAEs, to measure what comes after the
SAE at sizes that a CPU would take hours to encode. Each number of tokens has a process of its own, and so its own peak.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from saebrain.codes import CODES_AT_ONCE, CodesFile
from saebrain.features import Statistics, TopContexts, encode
from saebrain.sae.topk import TopK
from saebrain.spill import CODES_PER_CHUNK, writing_codes

BATCH = 1024
FEATURES_READ = 200


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    n_tokens: int
    d_in: int
    n_features: int
    k: int
    device: str
    without_sae: bool
    codes_at_once: int


@dataclass(frozen=True)
class Measured:
    """Sizes in bytes, times in seconds.

    encode_s : making the codes and spilling them. merge_s : sorting them into the file. features_s : one pass over the
    file for statistics and contexts. one_feature_s : reading the codes of one feature (median). Peaks of memory: before the
    first token, SAE included; once the file is written; in all.
    """

    n_tokens: int
    n_codes: int
    encode_s: float
    merge_s: float
    features_s: float
    one_feature_s: float
    tokens_per_s: float
    merged_codes_per_s: float
    bytes_per_code: float
    peak_before: int
    peak_written: int
    peak: int


def measure(setting: Setting) -> Measured:
    """Write and read the codes of some random tokens."""
    batches = _drawn(setting) if setting.without_sae else _encoded(setting)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codes.parquet"
        next(batches)  # makes the SAE
        before, began = peak_bytes(), time.perf_counter()
        with writing_codes(path, setting.n_features, codes_at_once=setting.codes_at_once) as spill:
            for feature, token, value in batches:
                spill.add(feature, token, value)
            encoded = time.perf_counter()
        merged, written = time.perf_counter(), peak_bytes()
        file = CodesFile(path, "python -m benchmarks.codes")
        _read(file, setting)
        read = time.perf_counter()
        one = _one_feature(file)
        return Measured(
            n_tokens=setting.n_tokens,
            n_codes=spill.n_codes,
            encode_s=encoded - began,
            merge_s=merged - encoded,
            features_s=read - merged,
            one_feature_s=one,
            tokens_per_s=setting.n_tokens / (encoded - began),
            merged_codes_per_s=spill.n_codes / (merged - encoded),
            bytes_per_code=path.stat().st_size / spill.n_codes,
            peak_before=before,
            peak_written=written,
            peak=peak_bytes(),
        )


def peak_bytes() -> int:
    """Peak resident memory of this process; on Linux not from getrusage, whose figure begins at that of the parent process."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _encoded(setting: Setting) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    generator = torch.Generator().manual_seed(0)
    W_dec = torch.randn(setting.n_features, setting.d_in, generator=generator).mul_(setting.d_in**-0.5)
    b_enc, b_dec = torch.zeros(setting.n_features), torch.zeros(setting.d_in)
    sae = TopK(k=setting.k, W_enc=W_dec.T.contiguous(), b_enc=b_enc, W_dec=W_dec, b_dec=b_dec).on(setting.device)
    yield np.empty(0), np.empty(0), np.empty(0)
    sizes = [min(BATCH, setting.n_tokens - first) for first in range(0, setting.n_tokens, BATCH)]
    states = (torch.randn(size, setting.d_in, generator=generator).numpy() for size in sizes)
    yield from encode(sae, states, n_tokens=setting.n_tokens)


def _drawn(setting: Setting) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    share = rng.lognormal(0, 1.5, setting.n_features)
    yield np.empty(0), np.empty(0), np.empty(0)
    for first in range(0, setting.n_tokens, BATCH):
        size = min(BATCH, setting.n_tokens - first)
        feature = np.searchsorted(np.cumsum(share / share.sum())[:-1], rng.random(size * setting.k, np.float32))
        yield feature, np.repeat(np.arange(first, first + size), setting.k), rng.gamma(2, 1.5, size * setting.k).astype(np.float16) + np.float16(0.01)


def _read(file: CodesFile, setting: Setting) -> None:
    statistics = Statistics(file.index, setting.n_tokens)
    contexts = TopContexts(pd.DataFrame({"run": "run", "word": np.arange(setting.n_tokens) // 2}))
    for part in file.parts(min(CODES_AT_ONCE, setting.codes_at_once)):
        statistics.update(part)
        contexts.update(part)
    statistics.table()
    contexts.table()


def _one_feature(file: CodesFile) -> float:
    times = []
    for feature in np.random.default_rng(0).integers(0, file.n_features, FEATURES_READ).tolist():
        began = time.perf_counter()
        file.read(feature)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def main() -> None:
    """Measure every number of tokens and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codes", description="Encode, store and read random SAE codes.")
    parser.add_argument("--tokens", type=int, nargs="+", default=[5_000, 20_000])
    parser.add_argument("--d", type=int, default=4096, help="width of the hidden states")
    parser.add_argument("--features", type=int, default=32_768)
    parser.add_argument("--k", type=int, default=64, help="active features a token")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--without-sae", action="store_true", help="draw the codes at random")
    parser.add_argument("--codes-at-once", type=int, default=CODES_PER_CHUNK, help="codes sorted in memory")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = []
    for n_tokens in given.tokens:
        setting = Setting(n_tokens, given.d, given.features, given.k, given.device, given.without_sae, given.codes_at_once)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            found.append(asdict(process.submit(measure, setting).result()))
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        print(pd.DataFrame(found).T.to_string(float_format="{:,.4g}".format))


if __name__ == "__main__":
    main()
