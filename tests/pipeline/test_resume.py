"""A build that is killed, or whose results are deleted, ends with the same numbers."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from saebrain.pipeline.results import result_folder
from saebrain.study import Study
from tests.studies import copy_study, start_build

DEADLINE_S = 200.0


def kill_once(process: subprocess.Popen[bytes], ready: Callable[[], bool], *, within_s: float, rng: random.Random) -> None:
    """Kill a build at a random moment, up to ``within_s`` after something is there. It must not have ended by itself."""
    began = time.monotonic()
    try:
        while not ready():
            assert process.poll() is None
            assert time.monotonic() - began < DEADLINE_S
            time.sleep(0.01)
        time.sleep(rng.uniform(0, within_s))
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL


def results(study: Path) -> int:
    return len(list((study / "encoding").glob("*/result.json")))


def arrays(study: Path) -> dict[str, np.ndarray]:
    return {str(path.relative_to(study)): np.load(path) for folder in ("encoding", "truth") for path in sorted((study / folder).rglob("*.npy"))}


def test_build_killed_three_times_ends_with_the_same_numbers(demo_study: Path, null_study: Path, tmp_path: Path) -> None:
    """Killed while it simulates, and twice while it encodes: its summary and all arrays are those of the build in one go."""
    rng = random.Random(0)
    study = copy_study(demo_study, tmp_path / "study", without=("responses", "truth", "encoding", "summary.json"))
    shutil.copy2(null_study / "study.toml", study / "study.toml")
    kill_once(start_build(study), lambda: any((study / "responses").glob("*/*.npy")), within_s=0.1, rng=rng)
    assert not (study / "encoding").exists()
    kill_once(start_build(study), lambda: results(study) >= 1, within_s=0.3, rng=rng)
    first = results(study)
    assert first < 8
    kill_once(start_build(study), lambda: results(study) > first, within_s=0.3, rng=rng)
    assert not (study / "summary.json").exists()
    process = start_build(study)
    assert process.wait() == 0
    assert (study / "summary.json").read_bytes() == (null_study / "summary.json").read_bytes()
    found, expected = arrays(study), arrays(null_study)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert not list((study / "responses").rglob(".*"))


def test_deleted_results_come_back_and_the_others_stay(null_study: Path, tmp_path: Path) -> None:
    """Without the truth, which no step reads."""
    study = Study.open(copy_study(null_study, tmp_path / "study", without=("truth",)))
    gone = [result_folder(study, name) for name in ("nuisance", "semantic/place")]
    for folder in gone:
        shutil.rmtree(folder)
    written = {path: path.stat().st_mtime_ns for path in study.encoding.glob("*/*")}
    assert len(written) == 6 * 4
    assert start_build(study.folder).wait() == 0
    found, expected = arrays(study.folder), arrays(null_study)
    for folder in gone:
        for name in ("r.npy", "r_features.npy"):
            path = str((folder / name).relative_to(study.folder))
            np.testing.assert_array_equal(found[path], expected[path], err_msg=name)
    assert written == {path: path.stat().st_mtime_ns for path in study.encoding.glob("*/*") if path.parent not in gone}
