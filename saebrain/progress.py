"""How a step reports its progress: a function of (done, total), called as often as the step likes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Report = Callable[[int, int], None]
OpenBar = Callable[[str, str], AbstractContextManager[Report]]
"""Opens a progress bar: (title, unit) -> context manager of a report function."""
LINE_EVERY_S = 10.0


def silent(done: int, total: int) -> None:
    """Report to nobody."""


class _Rate(ProgressColumn):
    """Units done per second, of the unit that the task names."""

    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        return Text(_rate(task.speed, task.fields["unit"]), no_wrap=True)


def _rate(speed: float, unit: str) -> str:
    return f"{speed:,.0f} {unit}/s" if speed >= 10 else f"{speed:.2g} {unit}/s"


@contextmanager
def bar(description: str, unit: str, console: Console | None = None) -> Iterator[Report]:
    """Show progress with rate and time left while the block runs; yields the function to report with.

    On a terminal a bar; on anything else (a log file, a cluster's output) a line every ten seconds and one at the end.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        lines = _Lines(description, unit, console)
        yield lines.report
        lines.finish()
        return
    name, left = TextColumn("{task.description:<28}"), TimeRemainingColumn(compact=True)
    with Progress(name, BarColumn(12), MofNCompleteColumn(), _Rate(), TimeElapsedColumn(), left, console=console) as progress:
        task = progress.add_task(description, total=None, unit=unit)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class _Lines:
    """Progress as plain lines."""

    def __init__(self, description: str, unit: str, console: Console) -> None:
        self.description, self.unit, self.console = description, unit, console
        self.started = self.printed = time.monotonic()
        self.done = self.total = 0

    def report(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        now = time.monotonic()
        if now - self.printed >= LINE_EVERY_S and done:
            self.printed = now
            rate = done / (now - self.started)
            self._print(f"{done:,} of {total:,} {self.unit}, {_rate(rate, self.unit)}, {round((total - done) / rate):,} s left")

    def finish(self) -> None:
        if not self.total:
            return  # there was nothing to do
        self._print(f"{self.done:,} of {self.total:,} {self.unit} in {time.monotonic() - self.started:.1f} s")

    def _print(self, text: str) -> None:
        self.console.print(f"{self.description}: {text}", highlight=False, soft_wrap=True)
