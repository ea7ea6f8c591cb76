"""Copies of the demo study to change and to break."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from saebrain.pipeline.live import current_labels
from saebrain.pipeline.selection import Known, select, study_codebook
from saebrain.progress import Report, silent
from saebrain.store import read_table, write_table
from saebrain.study import PROJECT, Study

OF_PEOPLE = ("annotations.db", "annotations.db-lock", "annotations.db-shm", "annotations.db-wal", "jobs", "lists", "notes", "runs")
"""What people, and tests in a browser, leave in a study that they look at."""


def copy_study(source: Path, target: Path, *, without: tuple[str, ...] = ()) -> Path:
    """Copy a study, but for its cache and some files or folders at its top; returns ``target``.

    Big files are linked where the file system can: steps replace files and never write into them.
    """
    left = (*without, *OF_PEOPLE, "cache")  # the cache's files are marked when they are read
    shutil.copytree(source, target, copy_function=link, ignore=lambda folder, names: left if Path(folder) == source else ())
    configuration = target / "study.toml"
    configuration.unlink()
    shutil.copy2(source / "study.toml", configuration)
    return target


def link(source: str | Path, target: str | Path) -> None:
    """Link a file, or copy it where that cannot be, or where a database is written into."""
    if Path(source).name.startswith("annotations.db"):
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def selected(study: Study, selection: str) -> Int[np.ndarray, " features"]:
    """Features of a selection at the study's layer, with its labels as they are now."""
    return select(selection, Known.of(study, current_labels(study), study_codebook(study)))


def configure(study: Path, **sections: dict[str, Any]) -> None:
    """Set fields of study.toml; a section that is not there is added."""
    path = study / "study.toml"
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    for section, fields in sections.items():
        values.setdefault(section, {}).update(fields)
    write_configuration(study, values)


def write_configuration(study: Path, values: dict[str, Any]) -> None:
    """Write study.toml anew."""
    (study / "study.toml").write_text("\n".join(_toml(values)), encoding="utf-8")


def hashes(study: Path) -> dict[str, str]:
    """Hash of every file of a study, by path; of files above 10 MB their size and time of writing."""
    found = {}
    for path in sorted(path for path in study.rglob("*") if path.is_file()):
        state = path.stat()
        big = state.st_size > 10_000_000
        found[str(path.relative_to(study))] = f"{state.st_size} {state.st_mtime_ns}" if big else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def start_build(study: Path) -> subprocess.Popen[bytes]:
    """`python -m saebrain demo` in a process of its own; on one thread, as threads wait for one another on a busy machine."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "saebrain", "demo", str(study)]
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=PROJECT, env=environment, stdin=nowhere, stdout=nowhere, stderr=nowhere)


def relabel(study: Path, layer: int, changes: dict[int, str]) -> None:
    """Publish labels of people for some features, beside those that there are."""
    path = study / "features" / str(layer) / "labels.parquet"
    said = read_table(path, "")
    people = said.drop_duplicates("feature").set_index("feature").loc[list(changes)].reset_index()
    people = people.assign(annotator="people", kind="human", label=list(changes.values()))
    kept = said[~((said["annotator"] == "people") & said["feature"].isin(list(changes)))]
    write_table(path, pd.concat([kept, people[said.columns]], ignore_index=True))


@contextmanager
def quiet(title: str, unit: str) -> Iterator[Report]:
    """A progress bar that shows nothing."""
    yield silent


def _toml(table: dict[str, Any], name: str = "") -> Iterator[str]:
    """Lines of a table: its values, then the tables in it."""
    if name:
        yield f"[{name}]"
    tables = {
        key: value for key, value in table.items() if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict))
    }
    yield from (f"{key} = {json.dumps(value)}" for key, value in table.items() if key not in tables)
    for key, value in tables.items():
        path = f"{name}.{key}".lstrip(".")
        for entry in [value] if isinstance(value, dict) else value:
            lines = list(_toml(entry, path))
            yield from lines if isinstance(value, dict) else [f"[[{path}]]", *lines[1:]]
