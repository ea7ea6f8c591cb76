"""How fast nested leave-one-run-out is: ours against himalaya's KernelRidgeCV on the same kernel and responses.

    python -m benchmarks.encoding [--json] [--targets 4096 20484] [--folds 2] [--threads N] [--device auto]

2,816 samples in nine runs, ten alphas. The kernel is one of 3,000 sparse features and four nuisance bands at four delays;
responses are a signal from these features, of all strengths, in autocorrelated noise. For every run that is held out alpha is
chosen by leaving out one of the other eight at a time.

himalaya chooses an alpha for every target. So do we with ``alpha = "vertex"``: the same job. Our default, ``alpha = "parcel"``,
lets twelve vertices of each of 68 parcels choose for all, and scores every target. Both stand in the result.

Of himalaya's nine folds, which are alike, two are timed (--folds) and the time is multiplied. ``max_abs_diff_r`` compares r of 512
targets in the first fold with that of himalaya's KernelRidge, refitted without that run with the alphas that we chose;
``same_alpha`` is the share of targets for which its own choice is ours. Peak memory is our process's, before himalaya runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidge, KernelRidgeCV
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from scipy import signal
from sklearn.model_selection import PredefinedSplit

from benchmarks.sae import RESULTS, device_name
from saebrain.atomic import write_json
from saebrain.encoding.kernels import Fir, Kernel, finished, linear_kernel
from saebrain.encoding.layout import Layout
from saebrain.encoding.score import Shared, leave_one_run_out
from saebrain.encoding.scorer import Scorer, correlation

RUNS = (282, 298, 340, 303, 265, 343, 325, 292, 368)
ALPHAS = np.logspace(-1, 5, 10).astype(np.float32)
N_FEATURES, N_NUISANCE, N_PARCELS = 3000, 4, 68
RESPONSE = Fir((2, 3, 4, 5))
SHARED: tuple[Shared, ...] = ("parcel", "vertex")
PEER_TARGETS_AT_ONCE = 2048
COMPARED = 512
"""Targets of which r is compared with that of models refitted by himalaya."""


@dataclass(frozen=True)
class Data:
    """What both are given."""

    layout: Layout
    kernel: Kernel
    y: Float[np.ndarray, "samples targets"]

    @classmethod
    def make(cls, n_targets: int) -> Data:
        """Features that are active now and then, and responses that follow them to all degrees."""
        rng = np.random.default_rng(0)
        layout = Layout.by_run(RUNS)
        n = layout.samples
        courses = rng.exponential(size=(n, N_FEATURES)) * (rng.random((n, N_FEATURES)) < 0.03)
        bands = rng.normal(size=(n, N_NUISANCE))
        kernel = np.zeros((n, n), np.float32)
        for x in (courses, bands):
            kernel += finished(linear_kernel(layout.standardise(x)), layout, RESPONSE)
        explained = layout.standardise(kernel @ rng.normal(size=(n, n_targets)).astype(np.float32))
        noise = layout.standardise(signal.lfilter([1], [1, -0.7], rng.normal(size=(n, n_targets)), axis=0))
        y = layout.standardise(explained * rng.uniform(0, 1, n_targets) + noise)
        return cls(layout, kernel, y)

    @property
    def run(self) -> np.ndarray:
        return np.repeat(np.arange(len(RUNS)), RUNS)


def ours(data: Data, shared: Shared, device: str) -> dict[str, Any]:
    """Time, memory and what was found."""
    parcels = np.arange(data.y.shape[1]) * N_PARCELS // data.y.shape[1]
    seconds, cpu, (scores,) = _timed(
        lambda: leave_one_run_out(None, data.kernel, [data.y], data.layout.folds, parcels, ALPHAS.tolist(), shared=shared, device=device)
    )
    alphas = scores.alphas if shared == "vertex" else scores.alphas[:, parcels]
    return {"seconds": seconds, "cpu_seconds": cpu, "alphas": alphas, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def peer(data: Data, folds: int, device: str) -> dict[str, Any]:
    """The same of himalaya, in some of the folds."""
    backend = set_backend("torch_cuda" if device == "cuda" else "torch")
    K, y = backend.asarray(data.kernel), backend.asarray(data.y)
    seconds = cpu = 0.0
    chosen = []
    for held in range(folds):
        train, test = (backend.asarray(np.flatnonzero(data.run != held)), backend.asarray(np.flatnonzero(data.run == held)))
        model = KernelRidgeCV(
            alphas=ALPHAS,
            kernel="precomputed",
            cv=PredefinedSplit(data.run[data.run != held]),
            solver_params={"n_targets_batch": PEER_TARGETS_AT_ONCE},
        )
        among, toward, measured = K[train][:, train], K[test][:, train], y[train]
        one, of_cpu, _ = _timed(partial(_fit_and_predict, model, among, measured, toward))
        seconds, cpu = seconds + one, cpu + of_cpu
        chosen.append(backend.to_numpy(model.best_alphas_))
    whole = len(RUNS) / folds
    return {"seconds": seconds * whole, "cpu_seconds": cpu * whole, "alphas": np.stack(chosen)}


def _fit_and_predict(model: KernelRidgeCV, among: torch.Tensor, measured: torch.Tensor, toward: torch.Tensor) -> torch.Tensor:
    return model.fit(among, measured).predict(toward)


def difference(data: Data, alphas: Float[np.ndarray, "runs targets"], device: str) -> float:
    """Largest difference in r between ours and himalaya's KernelRidge, refitted without the first run with the same alphas; of some targets."""
    set_backend("torch")
    some = np.linspace(0, data.y.shape[1] - 1, COMPARED).round().astype(int)
    alphas, measured = alphas[:, some], data.y[:, some]
    K, y = torch.from_numpy(data.kernel), torch.from_numpy(measured)
    scorer = Scorer(None, data.kernel, data.layout.folds, ALPHAS.tolist(), n_targets=COMPARED, device=device)
    held, largest = 0, 0.0
    train, test = (torch.from_numpy(np.flatnonzero(rows)) for rows in (data.run != held, data.run == held))
    by_us = scorer.fold_r([(measured, np.arange(COMPARED))], held, np.searchsorted(ALPHAS, alphas[held]))[0]
    for alpha in np.unique(alphas[held]):  # with an alpha a target, himalaya's solver holds a matrix a target
        at = torch.from_numpy(np.flatnonzero(alphas[held] == alpha))
        model = KernelRidge(alpha=alpha, kernel="precomputed", solver="eigenvalues").fit(K[train][:, train], y[train][:, at])
        by_peer = correlation(model.predict(K[test][:, train]), y[test][:, at]).numpy()
        largest = max(largest, float(np.abs(by_us[at] - by_peer).max()))
    return largest


def compare(n_targets: list[int], folds: int, device: str) -> list[dict[str, Any]]:
    """Ours at all sizes first, so that their memory is our own; then himalaya's."""
    data = {count: Data.make(count) for count in n_targets}
    found = {(count, shared): ours(data[count], shared, device) for count in n_targets for shared in SHARED}
    results = []
    for count in reversed(n_targets):
        other = peer(data[count], folds, device)
        for shared in SHARED:
            own = found[count, shared]
            results.append(
                {
                    "n_samples": sum(RUNS),
                    "n_runs": len(RUNS),
                    "n_targets": count,
                    "n_alphas": len(ALPHAS),
                    "alpha": shared,
                    "seconds": own["seconds"],
                    "peer_seconds": other["seconds"],
                    "peer_folds_timed": folds,
                    "speedup": other["seconds"] / own["seconds"],
                    "speedup_in_processor_time": other["cpu_seconds"] / own["cpu_seconds"],
                    "max_abs_diff_r": difference(data[count], own["alphas"], device),
                    "same_alpha": float((own["alphas"][:folds] == other["alphas"]).mean()),
                    "peak_mb": own["peak_mb"],
                    "device": device_name(device),
                }
            )
    return results


def _timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds on the clock, seconds of all processors, result."""
    began, busy = time.perf_counter(), time.process_time()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began, time.process_time() - busy, result


def _print(results: list[dict[str, Any]]) -> None:
    table = Table("targets", "an alpha a", "ours, s", "himalaya, s", "times faster", "largest difference in r", "peak MB", title=results[0]["device"])
    for row in results:
        cells = (
            f"{row['seconds']:.1f}",
            f"{row['peer_seconds']:.0f}",
            f"{row['speedup']:.1f}",
            f"{row['max_abs_diff_r']:.1e}",
            f"{row['peak_mb']:,.0f}",
        )
        table.add_row(f"{row['n_targets']:,}", row["alpha"], *cells)
    Console().print(table)


def main() -> None:
    """Compare, print and keep the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoding", description="Nested leave-one-run-out: saebrain and himalaya.")
    parser.add_argument("--targets", type=int, nargs="+", default=[4096, 20_484])
    parser.add_argument("--folds", type=int, default=2, help="outer folds in which himalaya is timed, of nine")
    parser.add_argument("--threads", type=int, help="of torch on a CPU")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if given.device == "auto" else given.device
    first, *others = compare(sorted(given.targets), given.folds, device)
    result = {**first, "others": others}
    name = "".join(letter if letter.isalnum() else "-" for letter in first["device"].lower())
    write_json(RESULTS / f"encoding_{first['n_targets']}_{name}.json", result)
    if given.json:
        print(json.dumps(result, indent=2))
    else:
        _print([first, *others])


if __name__ == "__main__":
    main()
