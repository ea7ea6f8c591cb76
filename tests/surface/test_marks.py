"""Figures as SVG and PDF: what is text stays text, and files are whole."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np
from PIL import Image

from saebrain.surface.colour import QUALITATIVE
from saebrain.surface.figure import category_figure, map_figure
from saebrain.surface.mesh import fsaverage5

VALUES = np.sin(fsaverage5().mesh("white").coordinates[:, 1] / 15).astype(np.float32)
FIGURE = map_figure(VALUES, label="r − r", title="A <b> & (c)", surface="pial", threshold=0.2, width=600, background="white")


def test_png_is_to_be_printed_at_300_dots_per_inch() -> None:
    assert [round(each) for each in Image.open(io.BytesIO(FIGURE.png())).info["dpi"]] == [300, 300]


def test_svg_holds_its_text_and_the_brains() -> None:
    tree = ElementTree.fromstring(FIGURE.svg())
    name = "{http://www.w3.org/2000/svg}"
    text = [each.text for each in tree.iter(f"{name}text")]
    assert "A <b> & (c)" in text and "Left lateral" in text and "r − r, shown where |value| ≥ 0.2" in text and "50 mm" in text
    assert max(int(each.attrib["width"]) for each in tree.iter(f"{name}image")) == 600


def test_scale_bar_only_where_a_millimetre_is_one() -> None:
    assert b" mm<" not in map_figure(VALUES, label="r", surface="inflated", width=600).svg()


def test_pdf_is_whole() -> None:
    data = FIGURE.pdf()
    assert data.startswith(b"%PDF-1.7") and data.endswith(b"%%EOF\n")
    places = [int(line[:10]) for line in data[data.rindex(b"xref\n0") :].splitlines()[3:] if line.endswith(b" n ")]
    assert len(places) > 5
    for number, place in enumerate(places, start=1):
        assert data[place:].startswith(f"{number} 0 obj".encode())
    streams = [zlib.decompress(found) for found in re.findall(rb"stream\n(.*?)\nendstream", data, re.DOTALL)]
    drawing = next(stream for stream in streams if stream.startswith(b"0.24"))
    assert b"(A <b> & \\(c\\)) Tj" in drawing and "(r – r, shown where |value| >= 0.2) Tj".encode("cp1252") in drawing
    assert any(len(stream) > 100_000 for stream in streams)  # the brains


def test_categories_have_every_kind_too() -> None:
    labels = (np.arange(20_484) % 3).astype(np.int16)
    figure = category_figure(labels, QUALITATIVE[:3], ["one", "two", "three"], width=600)
    assert b">three<" in figure.svg() and figure.pdf().startswith(b"%PDF")
