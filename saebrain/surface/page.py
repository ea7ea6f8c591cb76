"""The page a figure is laid out on: views with their names, a colour bar or a legend, one below the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import ImageColor

from saebrain.errors import InputError
from saebrain.surface import marks
from saebrain.surface.colour import colourise
from saebrain.surface.lettering import Colour, format_ticks, nice_ticks, text_length
from saebrain.surface.marks import Anchor, Box, Mark, Picture, Polygon, Text
from saebrain.surface.raster import Cell
from saebrain.surface.render import GYRUS_GREY, MASK_GREY, MAX_WIDTH, SULCUS_GREY

MIN_WIDTH = 400
FOLDS_COLOUR: Colour = ((GYRUS_GREY + SULCUS_GREY) // 2,) * 3
MASK_ENTRY: tuple[str, Colour] = ("not measured", (MASK_GREY,) * 3)
_INK: dict[str, tuple[Colour, Colour]] = {"light": ((26, 28, 32), (92, 96, 104)), "dark": ((240, 242, 246), (170, 175, 185))}  # text, lesser text


@dataclass(frozen=True)
class Bar:
    """What the colour bar has to say."""

    label: str
    low: float
    high: float
    table: UInt8[np.ndarray, "levels 3"]
    threshold: float
    below: bool  # some value lies below ``low``
    above: bool
    empty: bool  # the map has no value at all


class Page:
    """A figure that grows downwards; all sizes follow its width."""

    def __init__(self, width: int, theme: str, background: str | None) -> None:
        if theme not in _INK:
            raise InputError(f"theme {theme!r}: choose light or dark")
        if not MIN_WIDTH <= width <= MAX_WIDTH:
            raise InputError(f"figure width of {width} pixels: choose between {MIN_WIDTH} (text needs that much) and {MAX_WIDTH}")
        self.unit = max(width / 1200, 0.5)  # smaller text cannot be read
        self.width = width
        self.ink, self.faint = _INK[theme]
        self.background = _parse(background) if background is not None else None
        self.y = self.px(10)
        self.marks: list[Mark] = []

    def px(self, length: float) -> int:
        """A length given for a figure of 1,200 pixels."""
        return max(1, round(length * self.unit))

    def views(self, title: str, picture: UInt8[np.ndarray, "height width 4"], places: tuple[Cell, ...]) -> None:
        """Title, names of the views, the strip."""
        if title.strip():
            self._write(title, (self.width // 2, self.y), self.px(25), self.ink, weight=600, room=self.width - self.px(40))
            self.y += self.px(42)
        for cell in places:
            self._write(cell.name, ((cell.left + cell.right) // 2, self.y), self.px(18), self.faint, room=cell.right - cell.left)
        self.y += self.px(30)
        self.marks.append(Picture(picture, (0, self.y)))
        self.y += len(picture) + self.px(18)

    def colour_bar(self, bar: Bar, *, masked: bool) -> None:
        """Bar, ticks, name; beside it what the flat grey is."""
        left, right, height = round(self.width * 0.35), round(self.width * 0.65), self.px(16)
        if masked:
            self._swatch(*MASK_ENTRY, right + self.px(60), self.y, height)
        if bar.empty:
            self.marks.append(Box(left, self.y, right - left, height, self.faint, filled=False))
            self.y += height + self.px(10)
            words = f"{bar.label}: no values"
        else:
            self._gradient(bar, left, right, height)
            self.y += height
            self._ticks(bar, left, right, height)
            self.y += self.px(30)
            words = f"{bar.label}, shown where {'value' if bar.low >= 0 else '|value|'} ≥ {bar.threshold:.3g}" if bar.threshold > 0 else bar.label
        self._write(words, (self.width // 2, self.y), self.px(18), self.ink, room=self.width - self.px(40))
        self.y += self.px(32)

    def legend(self, entries: list[tuple[str, Colour]]) -> None:
        """Swatches with their names, centred, in as many rows as they need."""
        size, gap = self.px(18), self.px(34)
        room = self.width - self.px(40)
        lengths = [min(room, size + self.px(9) + text_length(name, self.px(18))) for name, _ in entries]
        rows: list[list[int]] = [[]]
        for index, length in enumerate(lengths):
            if rows[-1] and sum(lengths[i] + gap for i in rows[-1]) + length > room:
                rows.append([])
            rows[-1].append(index)
        for row in rows:
            x = (self.width - sum(lengths[i] for i in row) - gap * (len(row) - 1)) // 2
            for index in row:
                self._swatch(*entries[index], x, self.y, size)
                x += lengths[index] + gap
            self.y += self.px(30)

    def scale_bar(self, pixels_per_mm: float) -> None:
        """A line of a round length in mm, at the height of the colour bar that comes next."""
        length = next((mm for mm in (50, 20, 10, 5) if mm * pixels_per_mm <= self.width / 8), 2)
        left, thin = self.px(30), self.px(3)
        self.marks.append(Box(left, self.y + self.px(6), round(length * pixels_per_mm), thin, self.ink))
        self._write(f"{length} mm", (left + round(length * pixels_per_mm / 2), self.y + self.px(12)), self.px(16), self.ink)

    def png(self) -> bytes:
        """The page as a PNG file, with the background if there is one."""
        return marks.png(self.marks, self.width, self.height, self.background)

    def svg(self) -> bytes:
        """The same as SVG."""
        return marks.svg(self.marks, self.width, self.height, self.background)

    def pdf(self) -> bytes:
        """The same as PDF."""
        return marks.pdf(self.marks, self.width, self.height, self.background)

    @property
    def height(self) -> int:
        return self.y + self.px(6)

    def _write(
        self, text: str, place: tuple[int, int], size: int, colour: Colour, *, weight: int = 400, anchor: Anchor = "ma", room: int | None = None
    ) -> None:
        self.marks.append(Text(text, place, size, colour, weight, anchor, room))

    def _gradient(self, bar: Bar, left: int, right: int, height: int) -> None:
        """The bar's colours, grey where the threshold hides them, with pointed ends where values lie beyond."""
        along = bar.low + (np.arange(right - left) + 0.5) / (right - left) * (bar.high - bar.low)
        colours = colourise(along, bar.low, bar.high, bar.table)[:, :3]
        colours[np.abs(along) < bar.threshold] = FOLDS_COLOUR
        opaque = np.concatenate([colours, np.full((len(colours), 1), 255, np.uint8)], axis=1)
        self.marks.append(Picture(np.repeat(opaque[None], height, axis=0), (left, self.y)))
        for end, tip, beyond, colour in ((left, left - height, bar.below, colours[0]), (right, right + height, bar.above, colours[-1])):
            if beyond:
                self.marks.append(Polygon([(end, self.y), (end, self.y + height), (tip, self.y + height // 2)], as_rgb(colour)))

    def _ticks(self, bar: Bar, left: int, right: int, height: int) -> None:
        """Ticks with numbers below the bar (``self.y``), marks across it at the threshold."""
        thin = self.px(1.5)

        def column(value: float) -> int:
            return left + round((value - bar.low) / (bar.high - bar.low) * (right - left - thin))

        ticks = nice_ticks(bar.low, bar.high)
        for tick, text in zip(ticks, format_ticks(ticks), strict=True):
            x = column(tick)
            self.marks.append(Box(x, self.y, thin, self.px(5), self.faint))
            self._write(text, (x + thin // 2, self.y + self.px(8)), self.px(16), self.ink)
        for mark in (-bar.threshold, bar.threshold):
            if bar.threshold > 0 and bar.low <= mark <= bar.high:
                x = column(mark)
                self.marks.append(Box(x, self.y - height - self.px(4), thin, height + self.px(4), self.ink))

    def _swatch(self, name: str, colour: Colour, x: int, y: int, size: int) -> None:
        self.marks.append(Box(x, y, size, size, colour))
        self._write(name, (x + size + self.px(9), y + size // 2), self.px(18), self.ink, anchor="lm", room=self.width - x - size - self.px(20))


def _parse(colour: str) -> Colour:
    try:
        return ImageColor.getrgb(colour)[:3]
    except ValueError as error:
        raise InputError(f"background {colour!r} is no colour: give one such as white or #0e1117") from error


def as_rgb(colour: UInt8[np.ndarray, " 3"]) -> Colour:
    """A row of a colour table as Pillow wants it."""
    red, green, blue = (int(channel) for channel in colour)
    return red, green, blue
