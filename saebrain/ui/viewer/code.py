"""The viewer's JavaScript, put together from the files beside this one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_FILES = ("mesh", "panes", "shaders", "scene", "words", "panel", "controls", "shared", "talk", "hands", "viewer", "main")


@lru_cache(maxsize=1)
def viewer_code() -> str:
    """The viewer proper, as a script; run twice it does nothing the second time, so that meshes and maps are kept."""
    files = "\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _FILES)
    return f"if (!window.saebrain) {{\n{files}\n}}\n"


def store_code() -> str:
    """Module of the component that brings the viewer and a mesh."""
    return viewer_code() + (_FOLDER / "store.js").read_text(encoding="utf-8")


def mount_code() -> str:
    """Module of the component that is the viewer on a page."""
    return (_FOLDER / "mount.js").read_text(encoding="utf-8")
