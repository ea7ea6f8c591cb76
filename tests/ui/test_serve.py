"""Starting the server: when a browser is opened, what is at hand before the first visitor comes, and how connections answer."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import pytest
from streamlit.web import bootstrap
from streamlit.web.server.starlette import starlette_server

from saebrain.study import PROJECT, SHIPPED, STUDY_VARIABLE, Study
from saebrain.ui import serve
from saebrain.ui.serve import has_screen

SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
@pytest.mark.parametrize("variable", [None, *SCREENS])
def test_browser_opens_only_on_a_display(monkeypatch: pytest.MonkeyPatch, variable: str | None) -> None:
    for name in SCREENS:
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, ":0")
    assert has_screen() == (variable is not None)


def test_pages_import_nothing_heavy_after_the_warm_up() -> None:
    """What takes long to import is there before the first page; and it is no model code."""
    code = """
import sys
import streamlit.web.bootstrap
from saebrain.study import SHIPPED, Study
from saebrain.ui.serve import warm
warm(Study.open(SHIPPED / "demo"))
before = set(sys.modules)
assert not before & {"torch", "transformers"}
import saebrain.ui.overview, saebrain.ui.cortex_page, saebrain.ui.feature_page, saebrain.ui.feature_list, saebrain.ui.plots
new = {name.split(".")[0] for name in set(sys.modules) - before} - {"saebrain"}
print(sorted(new & {"altair", "duckdb", "nibabel", "pandas", "plotly", "pyarrow", "scipy", "sqlalchemy"}))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("large", [False, True])
def test_server_waits_for_the_study_but_not_for_long(large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large study is read on while the server runs."""
    events: list[str] = []
    served = threading.Event()

    def read(study: Study) -> None:
        if large:
            served.wait(60)
        events.append("read")

    def run(*arguments: object) -> None:
        events.append("served")
        served.set()

    monkeypatch.setenv(STUDY_VARIABLE, "")
    monkeypatch.chdir(PROJECT)
    for name, function in (("answer_at_once", lambda: None), ("warm", lambda study: None), ("read", read), ("read_ahead", lambda study: None)):
        monkeypatch.setattr(serve, name, function)
    monkeypatch.setattr(serve, "READ_S", 0.1 if large else 60.0)
    monkeypatch.setattr(bootstrap, "load_config_options", lambda flags: None)
    monkeypatch.setattr(bootstrap, "run", run)
    serve.serve(Study.open(SHIPPED / "demo"), port=1, address=None, headless=True, watch=False)
    assert events[0] == ("served" if large else "read") and "served" in events


def test_connections_of_the_server_do_not_wait_for_acknowledgements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part of an answer is sent when it is written (TCP_NODELAY); asyncio sees to it only for sockets made otherwise than Streamlit's."""
    monkeypatch.setattr(starlette_server, "_bind_socket", starlette_server._bind_socket)  # put back at the end
    serve.answer_at_once()
    bound, _ = starlette_server._bind_server_socket("127.0.0.1", "127.0.0.1", 0, 1)
    with bound, socket.create_connection(bound.getsockname()):
        bound.setblocking(True)
        connection, _ = bound.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
