"""Text from files and models, made safe to show: it may hold markup, and spaces that matter."""

from __future__ import annotations

import html
import re
import unicodedata

MEAN = "mean"
"""In place of a subject: the mean over all."""

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")
_SHOWN = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥"}


def plain(text: object) -> str:
    """Text for Streamlit's Markdown, shown as it is: no formatting, links, images, HTML or formulas."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))


def escaped(text: object) -> str:
    """Text for HTML, in elements and in quoted attributes."""
    return html.escape(str(text), quote=True)


def visible(token: str) -> str:
    """A token with its spaces and control characters as visible signs; not escaped."""
    return "".join(_SHOWN.get(sign, f"\\x{ord(sign):02x}" if unicodedata.category(sign) in ("Cc", "Cf") else sign) for sign in token) or "∅"


def clock(seconds: float) -> str:
    """Time within a run as minutes and seconds, such as 3:07.4."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def category(path: str) -> str:
    """A label as people read it: "semantic / place"."""
    return path.replace("/", " / ")


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, a true minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def whose(subject: str) -> str:
    """A subject as people read it."""
    return "mean over subjects" if subject == MEAN else subject
