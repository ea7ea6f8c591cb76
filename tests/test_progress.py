"""Progress of the command line: a bar on a terminal, lines anywhere else."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from saebrain import progress
from saebrain.progress import LINE_EVERY_S, bar, silent


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time in seconds, to be set by the test."""
    now = [100.0]
    with monkeypatch.context() as patch:
        patch.setattr(progress.time, "monotonic", lambda: now[0])
        yield now


def test_lines_where_there_is_no_terminal(clock: list[float]) -> None:
    stream = io.StringIO()
    with bar("Activations", "tokens", Console(file=stream, width=20)) as report:
        report(0, 4000)
        for done in (900, 1000, 3000):  # 1 s, 10 s, 12 s after the start
            clock[0] = {900: 101.0, 1000: 100.0 + LINE_EVERY_S, 3000: 112.0}[done]
            report(done, 4000)
        clock[0] = 116.0
        report(4000, 4000)
    assert stream.getvalue().splitlines() == [
        "Activations: 1,000 of 4,000 tokens, 100 tokens/s, 30 s left",
        "Activations: 4,000 of 4,000 tokens in 16.0 s",
    ]


def test_slow_rates_keep_two_digits(clock: list[float]) -> None:
    stream = io.StringIO()
    with bar("Encoding", "fits", Console(file=stream)) as report:
        clock[0] += 40
        report(3, 9)
    assert stream.getvalue().startswith("Encoding: 3 of 9 fits, 0.075 fits/s, 80 s left\n")


def test_a_bar_on_a_terminal() -> None:
    stream = io.StringIO()
    with bar("Activations", "tokens", Console(file=stream, force_terminal=True, width=120)) as report:
        report(10, 40)
        report(40, 40)
    assert "40/40" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


def test_an_error_inside_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt), bar("Activations", "tokens", Console(file=io.StringIO())):
        raise KeyboardInterrupt


def test_silence(capfd: pytest.CaptureFixture[str]) -> None:
    silent(1, 2)
    assert capfd.readouterr() == ("", "")
