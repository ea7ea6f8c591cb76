"""The body of a job's process: ``python -m saebrain.jobs FOLDER``."""

from __future__ import annotations

import signal
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from types import FrameType

from saebrain.atomic import write_json
from saebrain.errors import SaebrainError
from saebrain.jobs.job import Job

REPORT_EVERY_S = 0.2


class _Cancelled(BaseException):
    """SIGTERM came; not an Exception, so that no step takes it for a failure of its own."""


def main(folder: Path) -> int:
    """Do a job: the body of its process."""
    job = Job.open(folder)

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Cancelled

    signal.signal(signal.SIGTERM, stop)
    try:
        module, _, function = job.target.partition(":")
        work = getattr(import_module(module), function)
        result = work(job.study, job.arguments, _Reporter(folder).report)
        write_json(folder / "result.json", result)
        return 0
    except _Cancelled:
        write_json(folder / "error.json", {"cancelled": True, "message": ""})
    except SaebrainError as error:
        write_json(folder / "error.json", {"message": " ".join(str(error).split())})
    except BaseException as error:
        traceback.print_exc()
        write_json(folder / "error.json", {"message": f"{type(error).__name__}: {error}; the job's log says where"})
    return 1


class _Reporter:
    """Writes progress a few times a second at most, and always the end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "progress.json"
        self.written = 0.0

    def report(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.written >= REPORT_EVERY_S or done == total:
            self.written = now
            write_json(self.path, {"done": done, "total": total})


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
