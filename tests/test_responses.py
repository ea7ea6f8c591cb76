"""Responses brought from outside: what is refused, and in which words."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from saebrain.errors import InputError, MissingStepError
from saebrain.responses import Responses, find_responses, open_responses

SAMPLES, RUNS = 12, ["first", "second"]
SHAPE = (SAMPLES, 20_484)


def run_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two subjects with two runs each."""
    for subject in ("s2", "s1"):
        for number, run in enumerate(RUNS):
            path = tmp_path / "responses" / subject / f"{run}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, run_of(number))
    return tmp_path / "responses"


def opened(folder: Path) -> Responses:
    return open_responses(folder, RUNS, vertices=20_484, tr_s=1.4, samples=[SAMPLES, SAMPLES])


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_good_responses_are_found_and_read(folder: Path) -> None:
    (folder / ".cache").mkdir()
    found = opened(folder)
    assert found.subjects == ["s1", "s2"]
    assert found.runs == RUNS
    assert (found.samples, found.vertices) == ([SAMPLES, SAMPLES], SHAPE[1])
    np.testing.assert_array_equal(found.read("s2", "second"), run_of(1))
    assert not found.read("s2", "second").flags.writeable


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
def test_other_floats_and_column_order_are_read_too(folder: Path, dtype: str) -> None:
    np.save(folder / "s1" / "first.npy", np.asfortranarray(run_of(0).astype(dtype)))
    np.testing.assert_allclose(opened(folder).read("s1", "first").astype(np.float32), run_of(0), atol=1e-2)


def with_value(value: float, vertex: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        array = run_of(0)
        array[3, [vertex, vertex + 5]] = value
        np.save(path, array)

    return write


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100_000])


def objects(path: Path) -> None:
    np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)


def archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, run_of(0))


BAD = [
    ("NaN", with_value(np.nan, 700), r"NaN or infinite values at 2 vertices \(first: vertex 700\); write a constant 0"),
    ("infinity", with_value(-np.inf, 8), r"NaN or infinite values at 2 vertices \(first: vertex 8\); write a constant 0"),
    ("samples", lambda path: np.save(path, run_of(0)[:-1]), r"received 11 samples, expected 12; mend the file or `responses.samples`"),
    (
        "vertices",
        lambda path: np.save(path, run_of(0)[:, :10_242]),
        r"received shape \(12, 10242\), expected \(12, 20484\) \(samples x vertices.*; resample",
    ),
    ("transposed", lambda path: np.save(path, run_of(0).T), r"received shape \(20484, 12\), expected \(12, 20484\).*; resample"),
    ("one axis", lambda path: np.save(path, run_of(0).ravel()), r"received shape \(245808,\), expected \(12, 20484\).*; resample"),
    ("integers", lambda path: np.save(path, np.ones(SHAPE, np.int16)), r"received int16 values, expected float32; convert"),
    ("complex", lambda path: np.save(path, np.ones(SHAPE, np.complex64)), r"received complex64 values, expected float32; convert"),
    ("objects", objects, r"not a readable \.npy array \(.*[Oo]bject.*\); write it again with numpy\.save"),
    ("pickle", lambda path: path.write_bytes(pickle.dumps(run_of(0))), r"not a readable \.npy array \(.*\); write it again with numpy\.save"),
    ("archive", archive, r"not a readable \.npy array \(.*\); write it again with numpy\.save"),
    ("truncated", truncated, r"not a readable \.npy array \(.*\); write it again with numpy\.save"),
    ("empty", lambda path: path.write_bytes(b""), r"not a readable \.npy array \(.*\); write it again with numpy\.save"),
    ("text", lambda path: path.write_text("0.1 0.2\n"), r"not a readable \.npy array \(.*\); write it again with numpy\.save"),
    ("missing", lambda path: path.unlink(), r"run missing; every subject needs the runs first, second"),
]


@pytest.mark.parametrize(("spoil", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_file_is_named_with_what_was_received_and_what_to_do(folder: Path, spoil: Callable[[Path], object], message: str) -> None:
    path = folder / "s2" / "second.npy"
    spoil(path)
    before = contents(folder)
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}: {message}") as error:
        opened(folder)
    assert "\n" not in str(error.value)
    assert contents(folder) == before


def test_nothing_is_unpickled(folder: Path, tmp_path: Path) -> None:
    """A pickle that writes a file when it is loaded."""
    trace = tmp_path / "trace"

    class Malice:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return Path.touch, (trace,)

    np.save(folder / "s1" / "first.npy", np.array([Malice()], dtype=object), allow_pickle=True)
    (folder / "s2" / "first.npy").write_bytes(pickle.dumps(Malice()))
    responses = Responses(folder, ["s1", "s2"], RUNS, 1.4, [SAMPLES, SAMPLES], SHAPE[1])
    for subject in responses.subjects:
        with pytest.raises(InputError, match="not a readable"):
            responses.read(subject, "first")
    assert not trace.exists()


@pytest.mark.parametrize("make", [False, True], ids=["no folder", "empty folder"])
def test_no_subject(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "responses"
    if make:
        folder.mkdir()
        (folder / "notes.txt").write_text("later")
    with pytest.raises(MissingStepError, match=rf"^responses in {re.escape(str(folder))} not found; run: .* put samples x vertices arrays at"):
        opened(folder)


def test_runs_may_differ_in_length(folder: Path) -> None:
    for subject in ("s1", "s2"):
        np.save(folder / subject / "second.npy", run_of(1)[:11])
    for samples in ([12, 11], None):
        found = open_responses(folder, RUNS, vertices=20_484, tr_s=1.4, samples=samples)
        assert found.samples == [12, 11]
        assert found.read("s2", "second").shape[0] == 11


@pytest.mark.parametrize("samples", [[12, 11], None], ids=["stated", "by the first subject"])
def test_subjects_with_runs_of_different_length_are_refused(folder: Path, samples: list[int] | None) -> None:
    np.save(folder / "s1" / "second.npy", run_of(1)[:11])
    with pytest.raises(InputError, match=r"s2/second\.npy: received 12 samples, expected 11; mend the file or `responses\.samples`"):
        open_responses(folder, RUNS, vertices=20_484, tr_s=1.4, samples=samples)


def test_lengths_are_not_asked_of_a_run_that_is_missing(folder: Path) -> None:
    (folder / "s1" / "second.npy").unlink()
    with pytest.raises(InputError, match=r"s1/second\.npy: run missing; every subject needs the runs first, second"):
        find_responses(folder, RUNS, vertices=20_484, tr_s=1.4, samples=None)


def test_a_vertex_of_nan_throughout_has_no_data(folder: Path) -> None:
    masked = run_of(0)
    masked[:, 700] = np.nan
    np.save(folder / "s1" / "first.npy", masked)
    assert np.isnan(opened(folder).read("s1", "first")[:, 700]).all()


def test_a_run_of_nan_alone_is_refused(folder: Path) -> None:
    np.save(folder / "s2" / "first.npy", np.full(SHAPE, np.nan, np.float32))
    before = contents(folder)
    with pytest.raises(InputError, match=r"s2/first\.npy: NaN at every vertex and sample; write the run again, or leave the subject out"):
        opened(folder)
    assert contents(folder) == before


def test_every_file_that_was_looked_at_is_told(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    open_responses(folder, RUNS, vertices=20_484, tr_s=1.4, samples=None, report=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_values_are_not_looked_at_when_responses_are_only_found(folder: Path) -> None:
    with_value(np.nan, 700)(folder / "s1" / "first.npy")
    found = find_responses(folder, RUNS, vertices=20_484, tr_s=1.4, samples=[SAMPLES, SAMPLES])
    assert found.subjects == ["s1", "s2"]
