"""A figure as a list of marks, and its writers: PNG through Pillow, SVG and PDF with text and lines that stay text and lines.

Lengths are pixels of a figure at 300 dots per inch, y downwards. The brains themselves are pictures in every format: some
hundred thousand coloured triangles would help nobody.
"""

from __future__ import annotations

import base64
import io
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from saebrain.surface.lettering import Colour, Pen, fit

DPI = 300
_POINTS = 72 / DPI
_ASCENT = 0.95  # of the typeface: from the top of a line, where marks place text, to its baseline

Anchor = Literal["ma", "lm"]  # Pillow's: centred below the place, or to the right of it and half above


@dataclass(frozen=True)
class Text:
    """One line at a place, made smaller, then cut, to fit into ``room``."""

    text: str
    place: tuple[int, int]
    size: int
    colour: Colour
    weight: int = 400
    anchor: Anchor = "ma"
    room: int | None = None


@dataclass(frozen=True)
class Polygon:
    """A filled polygon."""

    corners: Sequence[tuple[int, int]]
    colour: Colour


@dataclass(frozen=True)
class Box:
    """A box, filled, or its edges one pixel thick."""

    left: int
    top: int
    width: int
    height: int
    colour: Colour
    filled: bool = True


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels at a place."""

    pixels: UInt8[np.ndarray, "height width 4"]
    place: tuple[int, int]


Mark = Text | Polygon | Box | Picture


def png(marks: Sequence[Mark], width: int, height: int, background: Colour | None) -> bytes:
    """The figure as a PNG file, transparent without a background."""
    image = Image.new("RGBA", (width, height))
    pen = Pen(image)
    for mark in marks:
        if isinstance(mark, Text):
            pen.write(mark.text, mark.place, mark.size, mark.colour, weight=mark.weight, anchor=mark.anchor, room=mark.room)
        elif isinstance(mark, Polygon):
            pen.polygon(mark.corners, mark.colour)
        elif isinstance(mark, Box):
            (pen.box if mark.filled else pen.frame)(mark.left, mark.top, mark.width, mark.height, mark.colour)
        else:
            image.alpha_composite(Image.fromarray(mark.pixels), mark.place)
    if background is not None:
        page = Image.new("RGBA", image.size, (*background, 255))
        page.alpha_composite(image)
        image = page
    return encode(image)


def svg(marks: Sequence[Mark], width: int, height: int, background: Colour | None) -> bytes:
    """The figure as an SVG file."""
    parts = [] if background is None else [f'<rect width="{width}" height="{height}" fill="{_hex(background)}"/>']
    parts += [_svg(mark) for mark in marks]
    size = f'width="{width / DPI:.4f}in" height="{height / DPI:.4f}in" viewBox="0 0 {width} {height}"'
    head = f"<svg xmlns=\"http://www.w3.org/2000/svg\" {size} font-family=\"'Source Sans 3', 'Source Sans Pro', Helvetica, Arial, sans-serif\">"
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *parts, "</svg>", ""]).encode()


def _svg(mark: Mark) -> str:
    if isinstance(mark, Text):
        text, size = fit(mark.text, mark.size, mark.weight, mark.room)
        x, y = mark.place
        down = y + _ASCENT * size if mark.anchor == "ma" else y + 0.33 * size
        style = f'font-size="{size}" font-weight="{mark.weight}" fill="{_hex(mark.colour)}"'
        return f'<text x="{x}" y="{down:.1f}" {style} text-anchor="{"middle" if mark.anchor == "ma" else "start"}">{escape(text)}</text>'
    if isinstance(mark, Polygon):
        return f'<polygon points="{" ".join(f"{x},{y}" for x, y in mark.corners)}" fill="{_hex(mark.colour)}"/>'
    if isinstance(mark, Box):
        paint = f'fill="{_hex(mark.colour)}"' if mark.filled else f'fill="none" stroke="{_hex(mark.colour)}"'
        return f'<rect x="{mark.left}" y="{mark.top}" width="{mark.width}" height="{mark.height}" {paint}/>'
    height, width = mark.pixels.shape[:2]
    return f'<image x="{mark.place[0]}" y="{mark.place[1]}" width="{width}" height="{height}" href="{png_url(mark.pixels)}"/>'


def pdf(marks: Sequence[Mark], width: int, height: int, background: Colour | None) -> bytes:
    """The figure as a PDF file of one page, its text in Helvetica, which every reader has (PDF 1.7, 9.6.2.2)."""
    file = _Pdf()
    drawing = [f"{_POINTS:.6f} 0 0 {_POINTS:.6f} 0 0 cm"]
    if background is not None:
        drawing.append(f"{_fill(background)} 0 0 {width} {height} re f")
    pictures: dict[str, int] = {}
    for mark in marks:
        if isinstance(mark, Picture):
            name = f"P{len(pictures)}"
            pictures[name] = file.picture(mark.pixels)
            rows, columns = mark.pixels.shape[:2]
            drawing.append(f"q {columns} 0 0 {rows} {mark.place[0]} {height - mark.place[1] - rows} cm /{name} Do Q")
        else:
            drawing.append(_pdf(mark, height))
    content = file.stream("", "\n".join(drawing).encode("cp1252"))
    fonts = " ".join(f"/{key} {file.add(_font(name))} 0 R" for key, name in (("R", "Helvetica"), ("B", "Helvetica-Bold")))
    objects = " ".join(f"/{name} {number} 0 R" for name, number in pictures.items())
    resources = f"<< /Font << {fonts} >> /XObject << {objects} >> >>"
    pages = len(file.objects) + 2  # the page comes first, then its parent
    box = f"[0 0 {width * _POINTS:.2f} {height * _POINTS:.2f}]"
    page = file.add(f"<< /Type /Page /Parent {pages} 0 R /MediaBox {box} /Resources {resources} /Contents {content} 0 R >>".encode())
    file.add(f"<< /Type /Pages /Kids [{page} 0 R] /Count 1 >>".encode())
    return file.written(file.add(f"<< /Type /Catalog /Pages {pages} 0 R >>".encode()))


def _font(name: str) -> bytes:
    return f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>".encode()


def _pdf(mark: Text | Polygon | Box, height: int) -> str:
    if isinstance(mark, Text):
        text, size = fit(mark.text, mark.size, mark.weight, mark.room)
        text = _win_ansi(text)
        bold = mark.weight > 500
        length = sum(_HELVETICA[min(max(ord(sign) - 32, 0), len(_HELVETICA) - 1)] for sign in text) / 1000 * size * (1.06 if bold else 1)
        across = 0.92 if mark.room is None or length * 0.92 <= mark.room else mark.room / length  # Helvetica is wider than the figure's own
        x, y = mark.place
        x_start = x - length * across / 2 if mark.anchor == "ma" else x
        down = y + _ASCENT * size if mark.anchor == "ma" else y + 0.33 * size
        quoted = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        return (
            f"BT {_fill(mark.colour)} /{'B' if bold else 'R'} {size} Tf {100 * across:.1f} Tz {x_start:.1f} {height - down:.1f} Td ({quoted}) Tj ET"
        )
    if isinstance(mark, Polygon):
        (first_x, first_y), *rest = mark.corners
        lines = " ".join(f"{x} {height - y} l" for x, y in rest)
        return f"{_fill(mark.colour)} {first_x} {height - first_y} m {lines} f"
    box = f"{mark.left} {height - mark.top - mark.height} {mark.width} {mark.height} re"
    return f"{_fill(mark.colour)} {box} f" if mark.filled else f"{_fill(mark.colour).replace('rg', 'RG')} 1 w {box} S"


class _Pdf:
    """Objects of a PDF file, numbered from 1."""

    def __init__(self) -> None:
        self.objects: list[bytes] = []

    def add(self, content: bytes) -> int:
        self.objects.append(content)
        return len(self.objects)

    def stream(self, entries: str, data: bytes) -> int:
        packed = zlib.compress(data)
        return self.add(f"<< {entries} /Filter /FlateDecode /Length {len(packed)} >>\nstream\n".encode() + packed + b"\nendstream")

    def picture(self, pixels: UInt8[np.ndarray, "height width 4"]) -> int:
        rows, columns = pixels.shape[:2]
        common = f"/Type /XObject /Subtype /Image /Width {columns} /Height {rows} /BitsPerComponent 8"
        mask = self.stream(f"{common} /ColorSpace /DeviceGray", np.ascontiguousarray(pixels[..., 3]).tobytes())
        return self.stream(f"{common} /ColorSpace /DeviceRGB /SMask {mask} 0 R", np.ascontiguousarray(pixels[..., :3]).tobytes())

    def written(self, root: int) -> bytes:
        out = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
        places = []
        for number, content in enumerate(self.objects, start=1):
            places.append(len(out))
            out += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
        table = "".join(f"{place:010d} 00000 n \n" for place in places)
        count = len(places) + 1
        tail = f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<< /Size {count} /Root {root} 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
        return out + tail.encode()


# Widths of ASCII 32 to 126 in Helvetica, in thousandths of its size (Adobe's font metrics).
_WIDTHS = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 584 584 584 556 "
    "1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 "
    "333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584"
)
_HELVETICA = [int(width) for width in _WIDTHS.split()]


def _win_ansi(text: str) -> str:
    """Text in the signs that PDF's built-in fonts have."""
    for sign, other in (("−", "–"), ("≥", ">="), ("≤", "<=")):
        text = text.replace(sign, other)
    known = [sign if sign.encode("cp1252", "ignore") else unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() for sign in text]
    return "".join(known)


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _fill(colour: Colour) -> str:
    return " ".join(f"{channel / 255:.3f}" for channel in colour) + " rg"


def png_url(picture: UInt8[np.ndarray, "height width channels"]) -> str:
    """A picture as a data URL.

    In pages better than a file that Streamlit serves: that one may be gone before the browser asks for it, where one request of
    a session overtakes another.
    """
    return f"data:image/png;base64,{base64.b64encode(encode(Image.fromarray(picture))).decode()}"


def encode(image: Image.Image) -> bytes:
    """An image as the content of a PNG file, to be printed at 300 dots per inch."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=4, dpi=(DPI, DPI))  # half the time of the usual 6 for a few per cent more bytes
    return file.getvalue()
