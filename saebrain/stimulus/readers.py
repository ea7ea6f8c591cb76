"""Words with times from files: CSV or TSV tables and Praat TextGrids."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from saebrain.errors import InputError
from saebrain.stimulus.textgrid import decode, parse_textgrid, words_of
from saebrain.stimulus.words import check_words, word_table

# Labels of silence that aligners write (Praat, MFA, Gentle, WebMAUS, Penn, Buckeye); `<s` without its end occurs in the wild.
SILENCE = re.compile(r"|sp|sil|spn|#|_|<[^<>]*>?|\{(?:sl|ns|lg|br|cg)\}", re.IGNORECASE)
ROUNDING_S = 0.002  # an overlap up to this comes from times rounded to milliseconds, and is closed
LONGEST_MEDIAN_S = 10.0  # no one speaks words this long; milliseconds are a thousand times longer
DELIMITERS = "\t,;"
QUOTED_LINE = re.compile(r'(?:"(?:[^"]|"")*"|(?!")[^\t]*)(?:\t(?:"(?:[^"]|"")*"|(?!")[^\t]*))*')
Row = tuple[float, float, str]


def read_words(path: Path | str, *, run: str, language: str, tier: str = "words", strip: str | Callable[[str], str] | None = None) -> pd.DataFrame:
    """Read the words of one run from a CSV or TSV table or a Praat TextGrid. Labels of silence are skipped.

    Parameters
    ----------
    path : Path or str
        A table (``.csv``, ``.tsv``, ``.txt``) has a header with ``word``, ``onset`` (or ``onset_s``), and ``offset`` (or
        ``offset_s``) or ``duration`` (or ``duration_s``), in seconds; other columns are left alone; the delimiter is
        tab, comma or semicolon. A ``.TextGrid`` is in long or short text format.
    run, language : str
        Written into the table.
    tier : str
        Name of the TextGrid tier to read.
    strip : str, callable or None
        Takes annotation off a label: a regular expression whose matches are removed (Natural Stories writes
        ``JOURNEY / 1.5``: ``r"\\s*/\\s*[\\d.]+.*$"``), or a function from label to word. What becomes empty is skipped.

    Raises
    ------
    InputError
        If the file is not there or not readable as above, seems to be in milliseconds, or fails `check_words`.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a .csv, .tsv or .TextGrid with timed words")
    text = decode(path.read_bytes(), str(path))
    suffix = path.suffix.lower()
    if suffix == ".textgrid":
        rows = words_of(parse_textgrid(text, str(path)), tier, str(path))
    elif suffix in (".csv", ".tsv", ".txt"):
        rows = _table(text, str(path))
    else:
        raise InputError(f"{path}: cannot tell what {suffix or 'a file without extension'} is; name it .csv, .tsv or .TextGrid")
    kept = [(onset, offset, word) for onset, offset, label in rows if not SILENCE.fullmatch(word := _bare(label, strip))]
    if not kept:
        raise InputError(f"{path}: no words among {len(rows)} rows; check the file, the tier ({tier!r}) and what is stripped")
    return _words(kept, path, run, language)


def _bare(label: str, strip: str | Callable[[str], str] | None) -> str:
    if strip is not None and not SILENCE.fullmatch(label.strip()):
        label = re.sub(strip, "", label) if isinstance(strip, str) else strip(label)
    return label.strip()


def _words(rows: list[Row], path: Path, run: str, language: str) -> pd.DataFrame:
    onset, offset = np.array([row[:2] for row in rows], dtype=np.float64).T
    typical = float(np.median(offset - onset))
    if typical >= LONGEST_MEDIAN_S:
        raise InputError(f"{path}: times look like milliseconds (the median word lasts {typical:.6g}); divide onsets and offsets by 1000")
    following = np.append(onset[1:], np.inf)
    offset = np.where((offset > following) & (offset - following <= ROUNDING_S), following, offset)
    words = word_table([row[2] for row in rows], onset, offset, run=run, language=language)
    try:
        check_words(words)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return words


def _table(text: str, name: str) -> list[Row]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise InputError(f"{name}: the file is empty; give a table with the columns word, onset and offset")
    header = lines[0][1]
    delimiter = max(DELIMITERS, key=header.count)
    columns = [column.strip().lower() for column in next(csv.reader([header], delimiter=delimiter))]
    word, onset = _column(columns, "word"), _column(columns, "onset")
    end = _column(columns, "offset")
    last = _column(columns, "duration") if end is None else end
    if word is None or onset is None or last is None:
        raise InputError(f"{name}: columns {', '.join(columns)}; give word, onset and offset (or duration) in seconds, separated by commas or tabs")
    # Tables with tabs are often written without quoting, so that a quotation mark is the beginning of speech.
    raw = delimiter == "\t" and not all(QUOTED_LINE.fullmatch(line) for _, line in lines)
    rows = []
    for number, line in lines[1:]:
        cells = next(csv.reader([line], delimiter=delimiter, quoting=csv.QUOTE_NONE if raw else csv.QUOTE_MINIMAL))
        if len(cells) != len(columns):
            mismatch = f"{line[:60]!r} does not have the {len(columns)} columns of the header"
            raise InputError(f"{name}, line {number}: {mismatch}; put a word that holds {delimiter!r} in quotation marks")
        start, stop = (_seconds(cells[column], columns[column], f"{name}, line {number}") for column in (onset, last))
        rows.append((start, stop if end is not None else start + stop, cells[word]))
    return rows


def _column(columns: list[str], name: str) -> int | None:
    return next((columns.index(candidate) for candidate in (f"{name}_s", name) if candidate in columns), None)


def _seconds(cell: str, column: str, where: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise InputError(f"{where}: {column} is {cell!r}, not a number; give seconds with a decimal point, such as 12.34") from None
