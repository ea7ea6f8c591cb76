"""Starting jobs, and all jobs of a study."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from saebrain.atomic import write_json
from saebrain.errors import InputError
from saebrain.jobs.job import Job

PROJECT = Path(__file__).resolve().parents[2]


def start(jobs: Path, study: Path, target: str, arguments: dict[str, Any], *, title: str, unit: str, key: str) -> Job:
    """Start a job, unless one with the same ``key`` is running: then that one is returned.

    Parameters
    ----------
    jobs : path
        Folder of the study's jobs.
    target : str
        ``package.module:function``.
    arguments : dict
        JSON values for the function.
    key : str
        What the job depends on; of two jobs with the same key only one runs.
    """
    for job in running(jobs):
        if job.key == key:
            return job
    folder = jobs / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    folder.mkdir(parents=True)
    description = {
        "title": title,
        "unit": unit,
        "target": target,
        "arguments": arguments,
        "key": key,
        "study": str(study.resolve()),
        "started": time.time(),
    }
    write_json(folder / "job.json", {**description, "study": str(study.resolve()), "started": time.time()})
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "saebrain.jobs", str(folder)],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own: it does not end with the server, and can be stopped as a whole
        )
    _note_process(folder, process.pid)
    return Job.open(folder)


def all_jobs(jobs: Path) -> Iterator[Job]:
    """Every readable job, newest first."""
    for folder in sorted(jobs.glob("*"), reverse=True) if jobs.is_dir() else []:
        if (folder / "job.json").is_file():
            try:
                yield Job.open(folder)
            except InputError:
                continue  # being removed at this moment


def running(jobs: Path) -> list[Job]:
    """Jobs that have not ended."""
    return [job for job in all_jobs(jobs) if job.status().state == "running"]


def prune(jobs: Path, keep: int = 50) -> None:
    """Remove the oldest ended jobs beyond ``keep``."""
    ended = [job for job in all_jobs(jobs) if job.status().state != "running"]
    for job in ended[keep:]:
        job.delete()


def _note_process(folder: Path, pid: int) -> None:
    try:
        created = psutil.Process(pid).create_time()
    except psutil.Error:  # it has ended already; what it wrote says how
        created = 0.0
    write_json(folder / "process.json", {"pid": pid, "created": created})
