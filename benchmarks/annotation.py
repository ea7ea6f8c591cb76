"""Labels under load: annotators in parallel, and a writer that is killed.

    python -m benchmarks.annotation [--json] [--url URL] [--annotators 8] [--labels 500] [--kills 200] [--pause 0.0]

Every annotator is a process of its own, which claims the next feature and labels it, as fast as it can (--pause: seconds of thought
between two). Reported: events lost or doubled, errors that reached an annotator, and how long a save takes until it is
committed. A third as many features again than there are labels to give are planned, so that all find work until the end.

For --kills, a process that labels without end writes the number of every receipt to a pipe and gets SIGKILL at a random
moment; reported is how many receipts were given, and how many of them the database does not have.

By default SQLite in a temporary folder; for PostgreSQL give the --url of an empty database.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import URL, make_url

from saebrain.annotation import answers
from saebrain.annotation.database import Database
from saebrain.annotation.log import read_events
from saebrain.annotation.people import enrol
from saebrain.annotation.queues import Desk, claim, plan
from saebrain.config import AnnotationSection
from saebrain.study import PROJECT, SHIPPED
from saebrain.taxonomy import load_codebook

LAYER = 15
SETTINGS = AnnotationSection(repeats=0.0)


@dataclass(frozen=True)
class Load:
    """What many annotators at once came to; times in milliseconds."""

    backend: str
    annotators: int
    labels_each: int
    events: int
    lost: int
    doubled: int
    errors: int
    seconds: float
    save_p50_ms: float
    save_p95_ms: float
    save_max_ms: float


@dataclass(frozen=True)
class Kills:
    """What killing a writer came to."""

    backend: str
    kills: int
    receipts: int
    lost: int


def load(url: URL, *, annotators: int, labels: int, pause: float = 0.0) -> Load:
    """Let annotators label in parallel, in an empty database."""
    database, names = Database(url), [f"annotator {number}" for number in range(annotators)]
    for name in names:
        enrol(database, name, "annotator")
    _plan(database, annotators * labels * 4 // 3)
    began = time.perf_counter()
    with ProcessPoolExecutor(annotators, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_work, url.render_as_string(hide_password=False), name, labels, pause) for name in names]
        found = [future.result() for future in futures]
    seconds = time.perf_counter() - began
    times = 1000 * np.concatenate([saved for saved, _, _ in found])
    receipts = {number for _, numbers, _ in found for number in numbers}
    events = read_events(database, LAYER)
    database.engine.dispose()
    return Load(
        backend=url.get_backend_name(),
        annotators=annotators,
        labels_each=labels,
        events=len(events),
        lost=len(receipts - set(events["id"])) + annotators * labels - len(receipts),
        doubled=int(events.duplicated("feature").sum()),
        errors=sum(errors for _, _, errors in found),
        seconds=round(seconds, 2),
        save_p50_ms=round(float(np.percentile(times, 50)), 2),
        save_p95_ms=round(float(np.percentile(times, 95)), 2),
        save_max_ms=round(float(times.max()), 2),
    )


def _work(url: str, name: str, labels: int, pause: float) -> tuple[list[float], list[int], int]:
    """One annotator: seconds of every save, numbers of the receipts, errors."""
    desk, codebook = _desk(url), load_codebook(SHIPPED / "codebook.toml")
    times, numbers, errors = [], [], 0
    for number in range(labels):
        try:
            ticket = claim(desk, name, count=2)[0]
            time.sleep(pause)
            began = time.perf_counter()
            receipt = answers.label(desk, codebook, name, ticket, codebook.paths[number % len(codebook.paths)], confidence=3)
        except Exception as error:
            print(f"{name}: {error!r}", file=sys.stderr)
            errors += 1
        else:
            times.append(time.perf_counter() - began)
            numbers.append(receipt.number)
    return times, numbers, errors


def kills(url: URL, *, times: int, longest_s: float = 0.3, seed: int = 0) -> Kills:
    """Kill a writing process again and again, in a database that is empty at first."""
    database, rng = Database(url), random.Random(seed)
    enrol(database, "annotator", "annotator")
    receipts: list[int] = []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for _ in range(times):
        planned = _plan(database, 2000, first=2000 * (1 + len(read_events(database, LAYER)) // 1000))
        assert planned or receipts
        command = [sys.executable, "-m", "benchmarks.annotation", "--write", url.render_as_string(hide_password=False)]
        writer = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        receipts.append(int(writer.stdout.readline()))  # it has begun
        time.sleep(rng.random() * longest_s)
        writer.send_signal(signal.SIGKILL)
        receipts.extend(int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n"))
        writer.wait()
        writer.stdout.close()
    events = read_events(Database(url), LAYER)
    database.engine.dispose()
    return Kills(url.get_backend_name(), times, len(receipts), len(set(receipts) - set(events.loc[events["kind"] == "label", "id"])))


def write(url: str) -> None:
    """Label until killed; the number of every receipt goes to standard output at once."""
    desk, codebook = _desk(url), load_codebook(SHIPPED / "codebook.toml")
    while tickets := claim(desk, "annotator"):
        receipt = answers.label(desk, codebook, "annotator", tickets[0], "lexical")
        print(receipt.number, flush=True)


def _desk(url: str) -> Desk:
    return Desk(Database(make_url(url)), LAYER, load_codebook(SHIPPED / "codebook.toml").version, SETTINGS)


def _plan(database: Database, features: int, first: int = 0) -> int:
    desk = Desk(database, LAYER, load_codebook(SHIPPED / "codebook.toml").version, SETTINGS)
    numbers = np.arange(first, first + features)
    return plan(desk, pd.DataFrame({"queue": "random", "feature": numbers, "stratum": "all", "place": numbers / 1e6, "seats": 1}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.annotation", description="Labels under load.")
    parser.add_argument("--url", help="an empty PostgreSQL database; otherwise SQLite in a temporary folder")
    parser.add_argument("--annotators", type=int, default=8)
    parser.add_argument("--labels", type=int, default=500, help="of each annotator")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between getting a feature and labelling it")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--write", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.write:
        write(given.write)
        return
    with tempfile.TemporaryDirectory() as folder:
        url = make_url(given.url).set(drivername="postgresql+psycopg") if given.url else URL.create("sqlite", database=str(Path(folder) / "load.db"))
        found = {"load": asdict(load(url, annotators=given.annotators, labels=given.labels, pause=given.pause))}
        if given.kills and not given.url:
            found["kills"] = asdict(kills(URL.create("sqlite", database=str(Path(folder) / "kills.db")), times=given.kills))
    print(json.dumps(found, indent=2) if given.json else pd.DataFrame(found).to_string())


if __name__ == "__main__":
    main()
