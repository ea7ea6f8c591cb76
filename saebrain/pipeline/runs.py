"""Recorded runs of encoding models: ``runs/{id}.json`` in the study, one a run, with all that says where it comes from.

A record names the result folder (:mod:`saebrain.pipeline.results`) that holds its map; several may share one.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from saebrain import __version__
from saebrain.arrays import read_array
from saebrain.atomic import write_json
from saebrain.errors import InputError
from saebrain.pipeline.live import has_map
from saebrain.pipeline.results import Result, result_folder
from saebrain.pipeline.selection import ALL, canonical, standard_selections, study_codebook
from saebrain.pipeline.steps import fingerprint
from saebrain.pipeline.summary import encoding_figures
from saebrain.progress import Report
from saebrain.store import read_table
from saebrain.study import Study

LONGEST_NAME = 80
_ID = r"[0-9]{8}T[0-9]{6}-[0-9a-f]{6}"
_FOLDER = r"[0-9a-f]{16}"
_LIBRARIES = ("numpy", "scipy", "pandas", "torch")


class Run(BaseModel):
    """One recorded run.

    Figures are means over predicted cortex (:mod:`saebrain.pipeline.summary`), None where there is nothing.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(pattern=f"^{_ID}$")
    name: str = Field(min_length=1, max_length=LONGEST_NAME)
    selection: str
    """As :func:`saebrain.pipeline.selection.canonical` writes it."""
    layer: int
    n_features: int
    result: str = Field(pattern=f"^{_FOLDER}$")
    """Result folder under ``encoding/``."""
    r: float | None
    r_by_subject: dict[str, float | None]
    r_features: float | None
    """Of the selection's part of the prediction."""
    r_all: float | None
    """Of all features, as it was then."""
    study: str
    settings: dict[str, Any]
    """The study's ``[encoding]``, as far as it changes scores."""
    codebook: str
    labels: str
    """Fingerprint of the labels."""
    simulated: bool
    started: str
    """ISO 8601, UTC."""
    seconds: float
    """What scoring took; 0 if the map was there already."""
    user: str
    """Of the operating system."""
    versions: dict[str, str]

    @property
    def fraction_of_peak(self) -> float | None:
        """Share of all features' r."""
        return None if self.r is None or not self.r_all else self.r / self.r_all


def run(folder: Path, arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    """Job: score a selection at every vertex, and record that.

    Parameters
    ----------
    folder : path
        The study's.
    arguments : dict
        selection; name (may be empty); layer (the study's main one if left out).

    Returns
    -------
    dict
        run : id of the record.
    """
    study = Study.open(folder)
    if "layer" in arguments:
        study = study.at(int(arguments["layer"]))
    selection, name = canonical(str(arguments["selection"]), study_codebook(study)), str(arguments.get("name", ""))
    if has_map(study, selection):
        return {"run": record(study, selection, name).id}
    started, clock = _now(), time.monotonic()
    import_module("saebrain.pipeline.encode").encode_one(study, selection, report)  # by name: it brings torch, and pages import this module
    return {"run": record(study, selection, name, started=started, seconds=time.monotonic() - clock).id}


def record(study: Study, selection: str, name: str = "", *, started: datetime | None = None, seconds: float = 0.0) -> Run:
    """Record the map of a selection that is there.

    Raises
    ------
    MissingStepError
        If it is not.
    InputError
        If the selection is not understood, or the name too long.
    """
    codebook = study_codebook(study)
    selection = canonical(selection, codebook)
    started = started or _now()
    figures = encoding_figures(study, [selection])["selections"][selection]
    made = Run(
        id=f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
        name=check_name(name or selection[:LONGEST_NAME]),
        selection=selection,
        layer=study.layer,
        n_features=figures["n_features"],
        result=result_folder(study, selection).name,
        r=figures["r"],
        r_by_subject=figures["r_by_subject"],
        r_features=figures["r_features"],
        r_all=encoding_figures(study, [ALL])["selections"][ALL]["r"] if has_map(study, ALL) else None,
        study=study.name,
        settings=study.config.encoding.settings(),
        codebook=codebook.version,
        labels=fingerprint(study.labels),
        simulated=study.simulated,
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 2),
        user=_user(),
        versions={"saebrain": __version__, "python": platform.python_version(), **{library: version(library) for library in _LIBRARIES}},
    )
    _write(study, made)
    return made


def all_runs(study: Study) -> list[Run]:
    """Every readable record of the study, at all layers, newest first."""
    return sorted(_readable(study), key=lambda found: found.id, reverse=True)


def read_run(study: Study, number: str) -> Run:
    """One record.

    Raises
    ------
    InputError
        If there is none of that id, or it is damaged.
    """
    path = _path(study, number)
    try:
        return Run.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"run {number!r}: not recorded in study {study.name}, or deleted meanwhile; choose another") from None
    except (OSError, ValueError, ValidationError) as error:
        raise InputError(f"{path}: no readable record of a run ({str(error).splitlines()[0]}); remove the file") from error


def previous_run(study: Study, selection: str) -> Run | None:
    """The newest record at this layer whose map is not the one that the selection has now."""
    now = result_folder(study, selection).name
    return next((found for found in all_runs(study) if found.layer == study.layer and found.result != now), None)


def recorded(study: Study, selection: str) -> bool:
    """Whether the map that a selection has now is in some record."""
    now = result_folder(study, selection).name
    return any(found.result == now for found in all_runs(study))


def run_result(study: Study, found: Run) -> Result:
    """The map of a recorded run, whatever the study has become since.

    Raises
    ------
    InputError
        If it is no longer there.
    """
    folder = study.encoding / found.result
    try:
        info = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        r, r_features = (read_array(folder / f"{name}.npy") for name in ("r", "r_features"))
    except (OSError, ValueError) as error:
        raise InputError(f"run {found.name!r}: its map is no longer there (encoding/{found.result}); delete the run, or map it again") from error
    return Result(info, r, r_features, read_table(folder / "parcels.parquet", "python -m saebrain encode"))


def check_name(name: str) -> str:
    """Return a name that a run may have (InputError if it may not)."""
    name = " ".join(name.split())
    if not 0 < len(name) <= LONGEST_NAME:
        raise InputError(f"run name {name[:LONGEST_NAME]!r}: has {len(name)} characters; give it 1 to {LONGEST_NAME}")
    return name


def rename(study: Study, number: str, name: str) -> None:
    """Give a run another name (InputError if there is no such run, or it may not be called so)."""
    _write(study, read_run(study, number).model_copy(update={"name": check_name(name)}))


def delete(study: Study, number: str) -> None:
    """Remove a record, and its map if no other run has it and it is none of the standard ones.

    Raises
    ------
    InputError
        If there is no such run.
    """
    found = read_run(study, number)
    _path(study, number).unlink(missing_ok=True)
    shared = any(other.result == found.result for other in all_runs(study))
    if not shared and not _is_standard(study, found):
        shutil.rmtree(study.encoding / found.result, ignore_errors=True)


def runs_table(runs: list[Run]) -> pd.DataFrame:
    """A row a run: its figures, then where it comes from; settings and versions as JSON."""
    rows = []
    for found in runs:
        values = found.model_dump(exclude={"r_by_subject", "settings", "versions"})
        by_subject = {f"r_{subject}": r for subject, r in found.r_by_subject.items()}
        written = {name: json.dumps(getattr(found, name), sort_keys=True) for name in ("settings", "versions")}
        rows.append({**values, "fraction_of_peak": found.fraction_of_peak, **by_subject, **written})
    first = ["id", "name", "selection", "layer", "n_features", "r", "fraction_of_peak"]
    return pd.DataFrame(rows, columns=None if rows else first).pipe(lambda table: table[[*first, *table.columns.difference(first, sort=False)]])


def _is_standard(study: Study, found: Run) -> bool:
    """Whether the map is one that the encode step has made, and would make again."""
    if found.layer not in study.layers or found.selection not in standard_selections(study_codebook(study)):
        return False
    return result_folder(study.at(found.layer), found.selection).name == found.result


def _readable(study: Study) -> Iterator[Run]:
    for path in (study.folder / "runs").glob("*.json"):
        if re.fullmatch(_ID, path.stem):
            try:
                yield read_run(study, path.stem)
            except InputError:
                continue  # deleted at this moment, or damaged: `read_run` says so to who asks for it


def _write(study: Study, found: Run) -> None:
    write_json(_path(study, found.id), found.model_dump(mode="json"))


def _path(study: Study, number: str) -> Path:
    if not re.fullmatch(_ID, number):
        raise InputError(f"run {number[:40]!r}: no run has such an id; choose one from the list of runs")
    return study.folder / "runs" / f"{number}.json"


def _now() -> datetime:
    return datetime.now(UTC)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, a number may be all there is
        return f"uid {os.getuid()}"
