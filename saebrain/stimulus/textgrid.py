"""Praat TextGrid files, long and short text format, UTF-8 or UTF-16.

Praat itself reads a text file as a sequence of free-standing numbers, quoted strings and flags such as ``<exists>``,
and takes everything else (``xmin =``, ``intervals [1]:``) for comment; so one reader serves both formats.
https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from saebrain.errors import InputError

VALUE = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([-+]?\d[\d.]*(?:[eE][-+]?\d+)?)(?!\S)|(?<!\S)(<(?:exists|absent)>)(?!\S)|(?<!\S)!.*')
INTERVALS, POINTS = "IntervalTier", "TextTier"


@dataclass(frozen=True)
class Tier:
    """One tier: ``intervals`` are (start_s, end_s, text); a tier of points has none."""

    name: str
    kind: str
    intervals: list[tuple[float, float, str]]


def decode(content: bytes, name: str) -> str:
    """Text of a file in UTF-8 or, with a byte order mark, UTF-16.

    Raises
    ------
    InputError
        If the bytes are neither.
    """
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: byte {error.start} is not {encoding.removesuffix('-sig').upper()} text; save the file as UTF-8") from error


def parse_textgrid(text: str, name: str) -> list[Tier]:
    """All tiers of a TextGrid.

    Parameters
    ----------
    text : str
        Content of the file.
    name : str
        What messages call it.

    Raises
    ------
    InputError
        If this is no TextGrid in text format, or it breaks off.
    """
    values = _values(text)
    try:
        if (next(values), next(values)) != ("ooTextFile", "TextGrid"):
            raise InputError(f"{name}: not a Praat TextGrid in text format; in Praat choose Save > Save as text file (not binary, not chronological)")
        _number(values), _number(values)
        has_tiers = next(values) == "<exists>"
        return [_tier(values) for _ in range(int(_number(values)))] if has_tiers else []
    except (StopIteration, ValueError) as error:
        detail = f" ({error})" if str(error) else ""
        raise InputError(f"{name}: the TextGrid breaks off or is damaged{detail}; save it again from Praat as a text file") from error


def words_of(tiers: list[Tier], tier: str, name: str) -> list[tuple[float, float, str]]:
    """The intervals of the tier called ``tier``, as (start_s, end_s, text).

    Intervals without positive length are left out: where aligned pieces overlap, tools that join them leave such remains
    beside the interval that counts.

    Raises
    ------
    InputError
        If no tier has that name, or it is a tier of points.
    """
    chosen = next((candidate for candidate in tiers if candidate.name == tier), None)
    if chosen is None:
        raise InputError(f"{name}: no tier {tier!r}; choose one of: {', '.join(repr(candidate.name) for candidate in tiers) or 'none'}")
    if chosen.kind != INTERVALS:
        raise InputError(f"{name}: tier {tier!r} holds points, not intervals; choose a tier whose words have a start and an end")
    return [(start, end, text) for start, end, text in chosen.intervals if end > start]


def _values(text: str) -> Iterator[str]:
    for match in VALUE.finditer(text):
        quoted, number, flag = match.groups()
        if quoted is not None:
            yield quoted.replace('""', '"')
        elif number or flag:
            yield number or flag


def _number(values: Iterator[str]) -> float:
    value = next(values)
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{value!r} where a number was expected") from None


def _tier(values: Iterator[str]) -> Tier:
    kind, name = next(values), next(values)
    if kind not in (INTERVALS, POINTS):
        raise ValueError(f"unknown kind of tier {kind!r}")
    _number(values), _number(values)
    count = int(_number(values))
    if kind == POINTS:
        for _ in range(count):
            _number(values), next(values)
        return Tier(name, kind, [])
    return Tier(name, kind, [(_number(values), _number(values), next(values)) for _ in range(count)])
