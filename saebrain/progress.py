"""How a step reports its progress: a function of (done, total), called as often as the step likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


def silent(done: int, total: int) -> None:
    """Report to nobody."""


class _Rate(ProgressColumn):
    """Units done per second, of the unit that the task names."""

    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        rate = f"{task.speed:,.0f}" if task.speed >= 10 else f"{task.speed:.2g}"
        return Text(f"{rate} {task.fields['unit']}/s", no_wrap=True)


@contextmanager
def bar(description: str, unit: str, console: Console | None = None) -> Iterator[Report]:
    """Show a bar with rate and time left on the terminal while the block runs.

    Yields the function to report with. On a stream that is no terminal only the finished line is printed.
    """
    columns = (TextColumn("{task.description:<28}"), BarColumn(12), MofNCompleteColumn(), _Rate(), TimeElapsedColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console or Console(stderr=True)) as progress:
        task = progress.add_task(description, total=None, unit=unit)
        yield lambda done, total: progress.update(task, completed=done, total=total)
