"""Start the dashboard's server with everything at hand that its first page needs."""

from __future__ import annotations

import inspect
import logging
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np

from saebrain.errors import SaebrainError
from saebrain.study import PROJECT, STUDY_VARIABLE, Study
from saebrain.ui.style import PICTURE_WIDTH

# What Streamlit and the pages would import only when the first page is drawn: more than a second of its time.
_LIBRARIES = (
    *("altair", "duckdb", "nibabel", "pandas", "PIL.Image", "pyarrow.parquet", "scipy.stats"),
    *("saebrain.pipeline.feature_map", "saebrain.pipeline.feature_table", "saebrain.pipeline.state", "saebrain.pipeline.summary"),
    *("saebrain.ui.cortex_page", "saebrain.ui.encoding_page", "saebrain.ui.overview"),
    *("saebrain.ui.feature_filters", "saebrain.ui.feature_list", "saebrain.ui.feature_page", "saebrain.ui.feature_plane"),
)

# Spinners look for a page to spin on, and caches for a server; both say so when there is none.
_TALKATIVE = ("scriptrunner_utils.script_run_context", "caching.cache_data_api")
READ_S = 5.0
"""Seconds that the server waits for the study to be read; a large one is read on while it runs."""


def has_screen() -> bool:
    """Whether there is a display to open a browser on."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def serve(study: Study, *, port: int, address: str | None, headless: bool, watch: bool) -> None:
    """Serve a study until the process is stopped.

    Parameters
    ----------
    port : int
        TCP port.
    address : str, optional
        Address to listen on; by default the one in .streamlit/config.toml, this machine only.
    headless : bool
        Do not open a browser.
    watch : bool
        Load changed code while running, for development.
    """
    from streamlit.web import bootstrap

    os.environ[STUDY_VARIABLE] = str(study.folder.resolve())
    os.chdir(PROJECT)  # where Streamlit looks for .streamlit/config.toml
    options: dict[str, Any] = {
        "server.port": port,
        "server.headless": headless,
        "server.fileWatcherType": "auto" if watch else "none",
        **({"server.address": address} if address else {}),
    }
    flags = {name.replace(".", "_"): value for name, value in options.items()}
    bootstrap.load_config_options(flags)
    for name in _TALKATIVE:
        logging.getLogger(f"streamlit.runtime.{name}").setLevel(logging.ERROR)
    answer_at_once()
    warm(study)
    reading = threading.Thread(target=read, args=(study,), daemon=True)
    reading.start()
    reading.join(READ_S)
    threading.Thread(target=read_ahead, args=(study,), daemon=True).start()
    bootstrap.run(str(PROJECT / "app.py"), False, [], flags)


def answer_at_once() -> None:
    """Let Streamlit's server send every part of an answer as soon as it is written.

    It makes its socket without a protocol number, and for such a socket asyncio leaves Nagle's algorithm (RFC 896) on: the
    body of an answer then waits until the browser has acknowledged the head, which browsers delay. On Linux that takes 40 ms,
    for each of the more than a hundred files of a page.
    """
    try:
        from streamlit.web.server.starlette import starlette_server

        bind = starlette_server._bind_socket
    except (ImportError, AttributeError):  # another version of Streamlit: at worst, pages take longer
        return

    def bind_without_delay(*args: Any, **options: Any) -> socket.socket:
        bound = bind(*args, **options)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections inherit this
        return bound

    starlette_server._bind_socket = bind_without_delay


def warm(study: Study) -> None:
    """Do what the first page would wait for: imports, the mesh, and the pixels of the usual picture."""
    for name in _LIBRARIES:
        import_module(name)
    from saebrain.pipeline.space import study_space
    from saebrain.surface.render import strip

    with suppress(SaebrainError):  # the pages say what is wrong
        space = study_space(study)
        labels, surface = space.atlas.labels, space.surfaces.shown()
        strip(np.zeros(len(labels), np.float32), surface=surface, outlines=labels, width=PICTURE_WIDTH, surfaces=space.surfaces)


def read(study: Study) -> None:
    """Read what all sessions share of a study, for which its first visitor would have to wait; if it is not built, what there is."""
    with suppress(SaebrainError):
        from saebrain.ui import data

        data.table(study)
        data.word_onsets(study)
        for layer in study.layers:  # matches of a feature at other layers stand beside it
            data.store(study.at(layer))
        data.mapper(study)


def read_ahead(study: Study) -> None:
    """Once the server runs, what is kept for it alone."""
    from streamlit import runtime

    while not runtime.exists():  # before, what is kept would be kept elsewhere
        time.sleep(0.01)
    from saebrain.ui import data
    from saebrain.ui.feature_list import first_listed

    inspect.stack()  # Streamlit looks at it when its first element is drawn; what Python finds out of all modules for that, it keeps
    with suppress(SaebrainError):
        data.states(study)
        data.feature_map(study, first_listed(data.table(study)))
