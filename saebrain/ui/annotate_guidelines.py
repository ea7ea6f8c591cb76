"""The codebook as an annotator reads it, as HTML."""

from __future__ import annotations

import re

from saebrain.taxonomy import Category, Codebook
from saebrain.ui.text import escaped


def guidelines(codebook: Codebook, opened: tuple[str, ...] = ()) -> str:
    """Every category with its definition and examples; those named are open, all others fold."""
    parts = "".join(_category(codebook[path], path in opened) for path in codebook.paths)
    return f'<div class="sb sb-guide"><div class="faint">Codebook {escaped(codebook.version)}: {escaped(codebook.title)}</div>{parts}</div>'


def _category(category: Category, opened: bool) -> str:
    depth = category.path.count("/")
    yes = "".join(f"<li>{_marked(example)}</li>" for example in category.include)
    no = "".join(f"<li>{_marked(example)}</li>" for example in category.exclude)
    return (
        f'<details class="depth{depth}" {"open" if opened else ""}><summary><b>{escaped(category.name)}</b></summary>'
        f"<p>{escaped(category.definition)}</p>"
        f'<div class="faint">belongs here</div><ul class="yes">{yes}</ul><div class="faint">does not</div><ul class="no">{no}</ul></details>'
    )


def _marked(example: str) -> str:
    """An example; *marked* words in bold."""
    return re.sub(r"\*([^*]+)\*", r"<b>\1</b>", escaped(example))
