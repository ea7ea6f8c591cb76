"""Ceilings from subjects and from repeats, against what was put in."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from saebrain.pipeline.ceilings import Shared, noise_ceiling, repeated_runs
from saebrain.pipeline.problem import Problem
from tests.pipeline.stand_ins import with_vertices

VERTICES = np.arange(20_484) % 200 == 0


def responses(shares: dict[str, float], signal: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """White noise and a signal that is that share of each subject's variance, at the vertices of the test."""
    found = {}
    for subject, share in shares.items():
        y = np.zeros((len(signal), len(VERTICES)), np.float32)
        y[:, VERTICES] = np.sqrt(share) * signal + np.sqrt(1 - share) * rng.normal(size=signal.shape)
        found[subject] = y
    return found


def test_between_subjects_is_the_root_of_the_shared_variance(demo_problem: Problem) -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(1956, VERTICES.sum()))
    shares = {"a": 0.5, "b": 0.2, "c": 0.2, "d": 0.3}
    found = noise_ceiling(with_vertices(demo_problem, responses(shares, signal, rng)), VERTICES, seed=0)
    assert (found["kind"], found["usable"], found["p"]) == ("between subjects", True, 1 / 1000)
    expected = np.mean([np.sqrt(a * b) for a, b in combinations(shares.values(), 2)])
    assert found["r"] == pytest.approx(np.sqrt(expected), abs=0.02)
    assert found["by_subject"]["a"] == pytest.approx(np.sqrt(0.5), rel=0.06)  # others' shares enter as a mean of roots
    assert found["by_subject"]["a"] > found["by_subject"]["d"] > found["by_subject"]["b"]


def test_without_a_common_signal_nothing_is_to_be_divided_by(demo_problem: Problem) -> None:
    rng = np.random.default_rng(1)
    nothing = np.zeros((1956, VERTICES.sum()))
    found = noise_ceiling(with_vertices(demo_problem, responses({"a": 0.0, "b": 0.0, "c": 0.0}, nothing, rng)), VERTICES, seed=0)
    assert found["p"] > 0.05 and not found["usable"]
    assert "do not agree beyond chance" in found["note"]
    assert found["chance"] < 0.1


def test_one_subject_without_repeats_has_none(demo_problem: Problem) -> None:
    signal = np.random.default_rng(0).normal(size=(1956, VERTICES.sum()))
    found = noise_ceiling(with_vertices(demo_problem, responses({"a": 0.5}, signal, np.random.default_rng(1))), VERTICES, seed=0)
    assert (found["kind"], found["r"], found["usable"]) == (None, None, False)


def test_repeats_of_a_run_are_used_where_there_are_some(demo_problem: Problem) -> None:
    words = demo_problem.stimulus.words
    first, last = words["run"].unique()[[0, 2]]
    again = words[words["run"] == first].assign(run=last)
    repeated = replace(
        demo_problem,
        stimulus=replace(demo_problem.stimulus, words=type(words)(np.concatenate([words[words["run"] != last], again]), columns=words.columns)),
    )
    repeated.stimulus.words["onset_s"] = repeated.stimulus.words["onset_s"].astype(float)
    assert repeated_runs(repeated) == [[0, 2]] and repeated_runs(demo_problem) == []
    rng = np.random.default_rng(2)
    signal = rng.normal(size=(1956, VERTICES.sum()))
    signal[1304:] = signal[:652]
    found = noise_ceiling(with_vertices(repeated, responses({"a": 0.4}, signal, rng)), VERTICES, seed=0)
    assert found["kind"] == "repeats" and found["usable"]
    assert found["r"] == pytest.approx(np.sqrt(0.4), abs=0.02) == found["by_subject"]["a"]


def test_correlation_at_every_lag_is_that_of_turned_responses() -> None:
    rng = np.random.default_rng(0)
    lengths = [41, 30]  # one odd
    segments = (slice(0, 41), slice(41, 71))
    y = {name: rng.normal(size=(71, 3)) for name in "ab"}
    for values in y.values():
        for segment in segments:
            values[segment] = (values[segment] - values[segment].mean(axis=0)) / values[segment].std(axis=0)
    shared = Shared.of(y, segments)
    for number, segment in enumerate(segments):
        found = shared.correlation(("a", number), ("b", number))
        assert len(found) == lengths[number]
        for lag in (0, 1, 17):
            turned = np.roll(y["b"][segment], -lag, axis=0)
            expected = np.mean([np.corrcoef(y["a"][segment][:, v], turned[:, v])[0, 1] for v in range(3)])
            assert found[lag] == pytest.approx(expected)
