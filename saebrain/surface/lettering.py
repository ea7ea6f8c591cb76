"""Text in figures: a typeface, a pen that keeps to the room it has, numbers for an axis."""

from __future__ import annotations

import importlib.util
import math
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_ASCII = str.maketrans({"−": "-", "–": "-", "≥": ">=", "≤": "<=", "×": "x", "µ": "u", "…": "..."})
_LEAST_SIZE = 9
_FINE = 4
_MOST_LETTERS = 1000  # more never fit into a figure

Colour = tuple[int, int, int]


class Pen:
    """Writes and draws on an RGBA picture, with soft edges: shapes are drawn large and made small."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image

    def write(
        self,
        text: str,
        place: tuple[int, int],
        size: int,
        colour: Colour,
        *,
        weight: int = 400,
        anchor: str = "ma",
        room: int | None = None,
    ) -> None:
        """Write one line at a place, by default centred below it; made smaller, then cut, to fit into ``room`` pixels."""
        text, size = fit(text, size, weight, room)
        if not text:
            return
        # Drawn at its final size, Pillow would place every letter at a whole pixel and so space them unevenly.
        font = typeface(size * _FINE, weight)
        left, top, right, bottom = font.getbbox(text, anchor=anchor)
        x, y = math.floor(left / _FINE), math.floor(top / _FINE)
        mask = Image.new("L", ((math.ceil(right / _FINE) - x) * _FINE, (math.ceil(bottom / _FINE) - y) * _FINE))
        ImageDraw.Draw(mask).text((-x * _FINE, -y * _FINE), text, font=font, fill=255, anchor=anchor)
        self._stamp(mask, (place[0] + x, place[1] + y), colour)

    def polygon(self, corners: Sequence[tuple[int, int]], colour: Colour) -> None:
        """Fill a polygon whose corners lie between pixels."""
        across, down = zip(*corners, strict=True)
        left, top = min(across), min(down)
        mask = Image.new("L", ((max(across) - left) * _FINE, (max(down) - top) * _FINE))
        ImageDraw.Draw(mask).polygon([((x - left) * _FINE, (y - top) * _FINE) for x, y in corners], fill=255)
        self._stamp(mask, (left, top), colour)

    def box(self, left: int, top: int, width: int, height: int, colour: Colour) -> None:
        """Fill a box."""
        self.image.paste((*colour, 255), (left, top, left + width, top + height))

    def frame(self, left: int, top: int, width: int, height: int, colour: Colour) -> None:
        """Draw the edges of a box, one pixel thick."""
        ImageDraw.Draw(self.image).rectangle((left, top, left + width - 1, top + height - 1), outline=(*colour, 255))

    def _stamp(self, mask: Image.Image, place: tuple[int, int], colour: Colour) -> None:
        small = mask.reduce(_FINE)
        ink = Image.new("RGBA", small.size, (*colour, 0))
        ink.putalpha(small)
        self.image.alpha_composite(ink, (max(place[0], 0), max(place[1], 0)))


def text_length(text: str, size: int, weight: int = 400) -> int:
    """Length in pixels of a line that `Pen.write` writes."""
    return _length(_one_line(text), max(size, _LEAST_SIZE), weight)


def fit(text: str, size: int, weight: int, room: int | None) -> tuple[str, int]:
    """One line and its size so that it takes at most ``room`` pixels: down to 7 tenths of the size, then cut."""
    text, size = _one_line(text), max(size, _LEAST_SIZE)
    if room is None or _length(text, size, weight) <= room:
        return text, size
    size = max(_LEAST_SIZE, math.ceil(size * 0.7), size * room // _length(text, size, weight))
    kept, line = text, text
    while kept and (length := _length(line, size, weight)) > room:
        kept = kept[: min(len(kept) - 1, len(kept) * room // length)]
        line = kept.rstrip() + _one_line("…")
    return line, size


def nice_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two numbers, both included; at most ``most`` of them."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10, 20, 50):
        first, last = math.ceil(low / (step * factor) - 1e-9), math.floor(high / (step * factor) + 1e-9)
        if last - first + 1 <= most:
            return [index * step * factor for index in range(first, last + 1)]
    return [low, high]


def format_ticks(ticks: list[float]) -> list[str]:
    """The shortest decimals that tell evenly spaced ticks apart, with a true minus sign; powers of ten far from 1."""
    if not ticks:
        return []
    greatest = max(map(abs, ticks))
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else greatest or 1.0
    if greatest >= 1e5 or 0 < greatest < 1e-3:
        texts = [f"{tick:.2g}" if tick else "0" for tick in ticks]
    else:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        texts = [f"{tick:.{decimals}f}" for tick in ticks]
    return [text.replace("-", "−") for text in texts]


@lru_cache(maxsize=64)
def typeface(size: int, weight: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Source Sans, the dashboard's own typeface, which Streamlit carries; without it the one inside Pillow, in one weight."""
    if (path := _source_sans()) is None:
        return ImageFont.load_default(size)
    font = ImageFont.truetype(path, size)
    font.set_variation_by_axes([weight])
    return font


@lru_cache(maxsize=1)
def _source_sans() -> Path | None:
    """File of the typeface, if it is there and this build of FreeType can read compressed, variable fonts."""
    spec = importlib.util.find_spec("streamlit")
    if spec is None or spec.origin is None:
        return None
    for path in sorted((Path(spec.origin).parent / "static").rglob("SourceSansVF-Upright*.woff2")):
        try:
            ImageFont.truetype(path, _LEAST_SIZE).set_variation_by_axes([400])
        except (OSError, NotImplementedError):
            continue
        return path
    return None


def _one_line(text: str) -> str:
    """Text without line breaks and control characters; in ASCII where only Pillow's typeface is there, which has little else."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:_MOST_LETTERS]).split())
    if _source_sans() is None:
        return unicodedata.normalize("NFKD", line.translate(_ASCII)).encode("ascii", "ignore").decode()
    return line


def _length(text: str, size: int, weight: int) -> int:
    return math.ceil(typeface(size * _FINE, weight).getlength(text) / _FINE)
