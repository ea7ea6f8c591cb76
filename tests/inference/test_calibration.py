"""The calibration benchmark: its shape, its seeds, and that its studies hold nothing to find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.calibration import calibrate
from benchmarks.null_studies import EXPERIMENTS, RUNS, Noise
from saebrain.inference.autocorrelation import autocorrelation
from saebrain.inference.runs import run_slices, unit


def test_rates_and_contrasts_by_name() -> None:
    progress: list[tuple[int, int]] = []
    found = calibrate(["topography", "kept_predictions"], 2, report=lambda done, total: progress.append((done, total)))
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert {"spin", "hypergeometric", "held-out run"} <= set(found["tests"])
    assert {"parcels permuted", "samples shuffled"} <= set(found["contrasts"])
    assert found["tests"]["hypergeometric"]["discrete"] is True
    assert all(row["n"] == 2 for group in found.values() for row in group.values())
    alone = calibrate(["kept_predictions"], 2)
    assert alone["tests"]["held-out run"] == found["tests"]["held-out run"]


def test_every_group_of_tests_runs() -> None:
    noise = Noise.load()
    for name in ("encoding", "beside_nuisance", "expectation", "matched_baseline", "vertex_spin"):
        rates = EXPERIMENTS[name](np.random.default_rng(0), noise)
        assert all(0 <= rate <= 1 for rate in rates.values())


def test_runs_are_stretches_of_the_recording_that_do_not_overlap() -> None:
    recording = Noise.load()
    rng = np.random.default_rng(0)
    noise = replace(recording, bold=rng.normal(size=(652, 12)).astype(np.float32))
    for _ in range(10):
        y = noise.runs(rng, 1)
        end = 0
        for run in run_slices(RUNS):
            length = run.stop - run.start
            places = sliding_window_view(noise.bold, length, axis=0)  # start x vertex x sample
            r = unit(y[run], [length])[:, 0] @ unit(places.reshape(-1, length).T, [length])
            start = int(r.argmax()) // 12
            assert r.max() > 0.999
            assert start >= end
            end = start + length
    assert autocorrelation(recording.runs(rng), RUNS, 1)[1].mean() > 0.9
