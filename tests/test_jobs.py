"""Jobs in processes of their own: they end well, badly or on demand, and whoever looks sees how they stand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from saebrain.atomic import write_json
from saebrain.errors import InputError
from saebrain.jobs import Job, all_jobs, prune, running, start
from saebrain.study import PROJECT

PATIENCE_S = 60.0
Begin = Callable[..., Job]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    return folder


@pytest.fixture
def begin(study: Path) -> Any:
    """Start one of tests/job_targets.py; at the end nothing is left running."""

    def begin(name: str, key: str = "", **arguments: Any) -> Job:
        return start(study / "jobs", study, f"tests.job_targets:{name}", arguments, title=name, unit="steps", key=key or name)

    yield begin
    for job in all_jobs(study / "jobs"):
        job.cancel()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def finished(job: Job) -> str:
    until(lambda: job.status().state != "running")
    return job.status().state


def test_a_job_returns_its_result(begin: Begin) -> None:
    job = begin("count", n=3)
    assert finished(job) == "done"
    assert job.result()["counted"] == 3
    assert job.result()["pid"] != os.getpid()
    status = job.status()
    assert (status.done, status.total, status.fraction) == (3, 3, 1.0)
    assert "counted" in job.log()


def test_progress_is_seen_while_it_runs(begin: Begin) -> None:
    job = begin("count", n=1000, pause_s=0.05)
    assert job.status().state == "running"
    with pytest.raises(InputError, match="no result, as it is running"):
        job.result()
    until(lambda: job.status().done > 0)
    status = job.status()
    assert status.total == 1000 and 0 < status.fraction < 1
    assert status.seconds_left is not None and status.seconds_left > status.seconds


def test_an_error_for_people_is_one_line(begin: Begin) -> None:
    job = begin("refuse")
    assert finished(job) == "failed"
    assert job.status().message == "received 7, but wanted 8; bring 8"


def test_an_unforeseen_error_is_named_and_its_trace_logged(begin: Begin) -> None:
    job = begin("stumble")
    assert finished(job) == "failed"
    assert job.status().message.startswith("ZeroDivisionError: oops")
    assert "Traceback" in job.log() and "job_targets.py" in job.log()


def test_cancelled_while_it_runs(begin: Begin) -> None:
    job = begin("count", n=1000, pause_s=0.1)
    until(lambda: job.status().done > 0)
    job.cancel()
    assert job.status().state == "cancelled"
    assert not running(job.folder.parent)
    job.cancel()  # once is enough
    assert job.status().state == "cancelled"


def test_one_that_does_not_listen_is_killed_with_its_children(begin: Begin, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saebrain.jobs.job.PATIENCE_S", 0.5)
    job = begin("stubborn")
    until(lambda: job.status().done == 1)
    child = psutil.Process(int((study / "child.txt").read_text()))
    job.cancel()
    assert job.status().state == "cancelled"
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_job_outlives_the_process_that_started_it(study: Path) -> None:
    code = f"""
from pathlib import Path
from saebrain.jobs import start
study = Path({str(study)!r})
print(start(study / "jobs", study, "tests.job_targets:count", {{"n": 20, "pause_s": 0.1}}, title="count", unit="steps", key="x").id)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    job = Job.open(study / "jobs" / done.stdout.strip())
    assert finished(job) == "done"


def test_a_killed_job_is_not_taken_for_a_running_one(begin: Begin) -> None:
    job = begin("count", n=1000, pause_s=0.1)
    until(lambda: job.status().done > 0)
    process = job._process()
    assert process is not None
    process.send_signal(signal.SIGKILL)
    assert finished(job) == "failed"
    assert "start it again" in job.status().message


def test_another_process_with_the_same_number_is_not_the_job(begin: Begin, study: Path) -> None:
    job = begin("count", n=1)
    assert finished(job) == "done"
    (job.folder / "result.json").unlink()
    write_json(job.folder / "process.json", {"pid": os.getpid(), "created": psutil.Process().create_time() - 100})
    assert job.status().state == "failed"
    job.cancel()  # must not touch this process


def test_the_same_work_is_done_once(begin: Begin) -> None:
    first = begin("count", key="same", n=1000, pause_s=0.1)
    assert begin("count", key="same", n=1000, pause_s=0.1).id == first.id
    other = begin("count", key="other", n=1)
    assert other.id != first.id
    first.cancel()
    assert begin("count", key="same", n=1).id != first.id


def test_old_jobs_are_removed_and_running_ones_kept(begin: Begin, study: Path) -> None:
    for number in range(3):
        assert finished(begin("count", key=str(number), n=1)) == "done"
        time.sleep(1.0)  # their names carry the second
    last = begin("count", key="long", n=1000, pause_s=0.1)
    prune(study / "jobs", keep=1)
    assert [job.key for job in all_jobs(study / "jobs")] == ["long", "2"]
    last.delete()
    assert not last.folder.exists()


def test_a_damaged_job_is_passed_over(begin: Begin, study: Path) -> None:
    job = begin("count", n=1)
    assert finished(job) == "done"
    (job.folder / "job.json").write_text("{")
    assert list(all_jobs(study / "jobs")) == []
    with pytest.raises(InputError, match="no readable job"):
        Job.open(job.folder)
