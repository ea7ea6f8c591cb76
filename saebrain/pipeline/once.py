"""Results of a whole study that are computed at most once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from saebrain.pipeline.filed import read_filed, write_filed
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.steps import require
from saebrain.study import Study


def once(study: Study, path: Path, run: Callable[[Problem], dict[str, Any]]) -> dict[str, Any]:
    """The result filed at ``path``; if there is none, it is computed and filed.

    Raises
    ------
    MissingStepError
        If what encoding needs is missing or out of date.
    """
    require(study, STEPS["encode"], STEPS)
    found = read_filed(path)
    return write_filed(path, run(Problem.load(study))) if found is None else found
