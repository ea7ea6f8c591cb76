"""Start the dashboard as a user would, on a free port, and stop it again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, WebSocket

from saebrain.study import STUDY_VARIABLE

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 15


@dataclass(frozen=True)
class Dashboard:
    """A running dashboard: its address without a slash at the end, and the file its output goes to."""

    url: str
    log: Path


@contextmanager
def serving(study: Path, log: Path, *, plainly: bool = False, port: int | None = None, **variables: str) -> Iterator[Dashboard]:
    """Serve a study until the block is left, with our own command or ``plainly`` with Streamlit's; ``variables`` join its environment.

    Raises RuntimeError, with the log, when the server does not get healthy.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "saebrain", "dashboard", str(study), f"--port={port}", "--headless"]
    if plainly:
        command = _streamlit("app.py", port)
    with _serving(command, port, {**os.environ, **variables, STUDY_VARIABLE: str(study)}, log) as running:
        yield running


@contextmanager
def serving_app(script: Path, log: Path) -> Iterator[Dashboard]:
    """Serve any Streamlit script that imports from the project. Raises as `serving`."""
    port = free_port()
    with _serving(_streamlit(str(script), port), port, {**os.environ, "PYTHONPATH": str(ROOT)}, log) as running:
        yield running


def _streamlit(script: str, port: int) -> list[str]:
    return [sys.executable, "-m", "streamlit", "run", script, f"--server.port={port}", "--server.headless=true"]


@contextmanager
def _serving(command: list[str], port: int, environment: dict[str, str], log: Path) -> Iterator[Dashboard]:
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        url = f"http://localhost:{port}"
        wait_until_healthy(url, server, log)
        yield Dashboard(url, log)
    finally:
        server.terminate()
        try:
            server.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return once Streamlit answers its health check."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the dashboard does not answer at {url}; its log:\n{log.read_text()}")


class Socket:
    """Counts what comes over a page's web socket."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        page.on("websocket", self._opened)

    def _opened(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._received)

    def _received(self, payload: str | bytes) -> None:
        self.bytes += len(payload)
