"""What the jobs of tests/test_jobs.py do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from saebrain.errors import InputError
from saebrain.progress import Report


def count(study: Path, arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    """Counts to ``n``, ``pause_s`` apart."""
    for number in range(arguments["n"]):
        report(number, arguments["n"])
        time.sleep(arguments.get("pause_s", 0))
    report(arguments["n"], arguments["n"])
    print("counted")
    return {"counted": arguments["n"], "study": study.name, "pid": os.getpid()}


def refuse(study: Path, arguments: dict[str, Any], report: Report) -> None:
    raise InputError("received 7,\n  but wanted 8; bring 8")


def stumble(study: Path, arguments: dict[str, Any], report: Report) -> None:
    raise ZeroDivisionError("oops")


def stubborn(study: Path, arguments: dict[str, Any], report: Report) -> None:
    """Does not stop when asked to, and has a child."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
    (study / "child.txt").write_text(str(child.pid))
    report(1, 2)
    time.sleep(600)
