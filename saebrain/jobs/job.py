"""One job: its folder, how it stands, and stopping it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from saebrain.errors import InputError

State = Literal["running", "done", "failed", "cancelled"]
START_S = 30.0
"""A job whose process is not known after this long was never started."""
PATIENCE_S = 5.0
"""What a job that is asked to stop may take before it is killed."""
LOST = "the process ended without a word (killed, or the machine was restarted); start it again"
CLOCK_S = 1.0
"""Two processes with the same number are the same if their start times differ by less."""


@dataclass(frozen=True)
class Status:
    """How a job stands. ``total`` is 0 before the first report; ``seconds`` runs until the last news."""

    state: State
    done: int
    total: int
    seconds: float
    message: str

    @property
    def fraction(self) -> float:
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """From the mean rate so far; None before there is one."""
        return self.seconds * (1 - self.fraction) / self.fraction if self.fraction > 0 else None


@dataclass(frozen=True)
class Job:
    """One job's folder, opened."""

    folder: Path
    title: str
    unit: str
    target: str
    arguments: dict[str, Any]
    key: str
    study: Path
    started: float

    @property
    def id(self) -> str:
        return self.folder.name

    @classmethod
    def open(cls, folder: Path) -> Job:
        """Open a job.

        Raises
        ------
        InputError
            If the folder holds none, or a damaged one.
        """
        try:
            values = json.loads((folder / "job.json").read_text(encoding="utf-8"))
            return cls(folder=folder, study=Path(values.pop("study")), **values)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{folder}: no readable job ({error}); remove the folder") from error

    def status(self) -> Status:
        """How the job stands now."""
        progress = _read(self.folder / "progress.json")
        done, total = int(progress.get("done", 0)), int(progress.get("total", 0))
        if (self.folder / "result.json").is_file():
            return Status("done", done, total, self._seconds("result.json"), "")
        if (self.folder / "error.json").is_file():
            error = _read(self.folder / "error.json")
            return Status(
                "cancelled" if error.get("cancelled") else "failed", done, total, self._seconds("error.json"), str(error.get("message", ""))
            )
        if self._alive():
            return Status("running", done, total, time.time() - self.started, "")
        if (self.folder / "cancel").exists():
            return Status("cancelled", done, total, self._seconds("cancel"), "")
        return Status(
            "failed",
            done,
            total,
            self._seconds("job.json"),
            "the process ended without a word (killed, or the machine was restarted); start it again",
        )

    def result(self) -> Any:
        """What the job returned.

        Raises
        ------
        InputError
            If it has not ended well.
        """
        path = self.folder / "result.json"
        if not path.is_file():
            raise InputError(f"job {self.title!r}: no result, as it is {self.status().state}; wait for it or start it again")
        return json.loads(path.read_text(encoding="utf-8"))

    def log(self) -> str:
        """What the job printed, at most the last 10,000 characters."""
        try:
            return (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-10_000:]
        except OSError:
            return ""

    def cancel(self) -> None:
        """Ask the job to stop; if it has not after ``PATIENCE_S``, kill it. Nothing happens to one that has ended."""
        process = self._process()
        if process is None or self.status().state != "running":
            return
        (self.folder / "cancel").touch()
        _signal_group(process, signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except psutil.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            psutil.wait_procs([process], timeout=PATIENCE_S)

    def delete(self) -> None:
        """Cancel the job and remove its folder."""
        self.cancel()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _alive(self) -> bool:
        if not (self.folder / "process.json").is_file():
            return time.time() - self.started < START_S
        return self._process() is not None

    def _process(self) -> psutil.Process | None:
        """The job's process; None if it is gone, or its number now belongs to another."""
        noted = _read(self.folder / "process.json")
        try:
            process = psutil.Process(int(noted["pid"]))
            same = abs(process.create_time() - float(noted["created"])) < CLOCK_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, KeyError, ValueError):
            return None

    def _seconds(self, name: str) -> float:
        try:
            return max(0.0, (self.folder / name).stat().st_mtime - self.started)
        except OSError:
            return 0.0


def _signal_group(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(os.getpgid(process.pid), number)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
