"""Pages of the dashboard, run without a browser."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from saebrain.ui.frame import FILES
from tests import studies

ROOT = Path(__file__).parents[2]
Open = Callable[..., AppTest]
Copy = Callable[..., Path]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Open:
    """``open_page(study, "features", feature="12")``: a page as its address would show it."""

    def open_(study: Path, page: str = "overview", **query: str) -> AppTest:
        monkeypatch.setenv("SAEBRAIN_STUDY", str(study))
        app = AppTest.from_file(ROOT / "app.py", default_timeout=120)
        if page != "overview":
            app.switch_page(FILES[page])
        app.query_params.update(query)
        return app.run()

    return open_


@pytest.fixture
def copy_study(demo_study: Path, tmp_path: Path) -> Copy:
    """``copy_study(without=["labels.parquet"])``: the demo study in another folder, some of it left out."""

    def copy(*, without: tuple[str, ...] = ()) -> Path:
        folder = studies.copy_study(demo_study, tmp_path / "study")
        for name in without:
            left_out = folder / name
            shutil.rmtree(left_out) if left_out.is_dir() else left_out.unlink(missing_ok=True)
        return folder

    return copy


def html_of(app: AppTest) -> str:
    """All HTML on a page."""
    return "\n".join(element.proto.body for element in app.html)


def viewers_of(app: AppTest) -> list[dict[str, Any]]:
    """What the surface viewers of a page were told: their headers."""
    sent = [element.proto for element in app.get("bidi_component")]
    return [json.loads(proto.bytes[4 : 4 + struct.unpack_from("<I", proto.bytes)[0]]) for proto in sent if proto.component_name == "saebrain_viewer"]


def commands_of(app: AppTest) -> list[str]:
    """The commands that a page tells to run."""
    return [line for block in app.code if block.language == "bash" for line in block.value.splitlines()]
