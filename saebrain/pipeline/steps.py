"""What a step is, when it is up to date, and how it is run.

A step's key is a hash of all that its result depends on: its part of study.toml, the files it reads from outside, and
the keys of the steps before it. Its record, ``steps/NAME.json`` or ``steps/LAYER/NAME.json``, is written last and holds the
key; a step whose record bears another key, or whose outputs are missing, runs again. Importing this module imports no step's
own libraries: those come with the step's function.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from saebrain import __version__
from saebrain.atomic import write_json
from saebrain.errors import MissingStepError
from saebrain.progress import OpenBar
from saebrain.study import Study

SAMPLED_BYTES = 1 << 20
AT_A_LAYER = frozenset({"codes", "features", "labels", "neighbours", "layout", "encode", "summary"})
"""Steps that are taken at every layer of a study; results of the others serve all layers."""


@dataclass(frozen=True)
class Step:
    """One step of the pipeline.

    run : "module:function" under ``saebrain.pipeline``, called with (study, report).
    config : what of the study's config the result depends on.
    inputs : files from outside that it reads.
    outputs : files that must be there once it is done.
    """

    name: str
    verb: str
    title: str
    unit: str
    run: str
    needs: tuple[str, ...]
    config: Callable[[Study], Any]
    inputs: Callable[[Study], list[Path]]
    outputs: Callable[[Study], list[Path]]
    version: int = 1


def key(study: Study, step: Step, steps: dict[str, Step]) -> str:
    """The hash that names a step's result, 16 hexadecimal digits."""
    inputs: dict[str, str] = {}
    for path in step.inputs(study):
        # A study may be moved, and with it what it holds; of files elsewhere several may have one name.
        name = str(path.relative_to(study.folder)) if path.is_relative_to(study.folder) else path.name
        inputs[name] = inputs.get(name, "") + fingerprint(path)
    content = {
        "step": step.name,
        "version": step.version,
        "config": step.config(study),
        "inputs": inputs,
        "needs": {name: key(study, steps[name], steps) for name in step.needs},
    }
    return digest(content)


def digest(content: Any) -> str:
    """Hash of any JSON value."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def fingerprint(path: Path) -> str:
    """Hash of a file's size and content; of large files, of the first and last megabyte. "missing" if there is none."""
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    with path.open("rb") as file:
        content = file.read(SAMPLED_BYTES)
        if size > SAMPLED_BYTES:
            file.seek(max(SAMPLED_BYTES, size - SAMPLED_BYTES))
            content += file.read()
    return hashlib.sha256(str(size).encode() + content).hexdigest()[:16]


def is_done(study: Study, step: Step, steps: dict[str, Step]) -> bool:
    """Whether a step's result is there and belongs to the study as it is now."""
    record = read_record(study, step.name)
    return bool(record) and record.get("key") == key(study, step, steps) and all(path.exists() for path in step.outputs(study))


def read_record(study: Study, name: str) -> dict[str, Any]:
    """What was noted when a step finished; empty if it has not."""
    try:
        record = json.loads(_record(study, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _record(study: Study, name: str) -> Path:
    return (study.layer_steps if name in AT_A_LAYER else study.steps) / f"{name}.json"


def run(study: Study, step: Step, steps: dict[str, Step], progress: OpenBar) -> bool:
    """Run a step unless it is up to date; returns whether it ran.

    Parameters
    ----------
    progress : callable
        Opens a progress bar: (title, unit) -> context manager of a report function.

    Raises
    ------
    MissingStepError
        If a step before it has not run, or is out of date.
    """
    require(study, step, steps)
    if is_done(study, step, steps):
        return False
    # Without its record a step that is killed runs again, even if study.toml is put back meanwhile.
    _record(study, step.name).unlink(missing_ok=True)
    current, started = key(study, step, steps), time.monotonic()  # of the inputs as they are read, not as they may be afterwards
    module, function = step.run.split(":")
    with progress(step.title, step.unit) as report:
        getattr(import_module(f"saebrain.pipeline.{module}"), function)(study, report)
    record = {
        "step": step.name,
        "key": current,
        "seconds": round(time.monotonic() - started, 2),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "saebrain": __version__,
        "python": platform.python_version(),
    }
    write_json(_record(study, step.name), record)
    return True


def require(study: Study, step: Step, steps: dict[str, Step]) -> None:
    """Make sure that all a step needs is there and belongs to the study as it is now.

    Raises
    ------
    MissingStepError
        Naming the first step that has to run before.
    """
    for name in step.needs:
        if not is_done(study, steps[name], steps):
            raise MissingStepError(
                f"up-to-date result of step '{name}' in study {study.folder}", f"python -m saebrain {steps[name].verb} {study.folder}"
            )


def in_order(steps: dict[str, Step], last: str) -> Iterator[Step]:
    """All steps that ``last`` needs, in the order of the pipeline, then ``last``."""
    wanted: set[str] = set()

    def visit(name: str) -> None:
        wanted.add(name)
        for need in steps[name].needs:
            visit(need)

    visit(last)
    return (step for step in steps.values() if step.name in wanted)
