"""The word table: how it is built, checked and joined to text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from saebrain.errors import InputError

COLUMNS = ("language", "run", "index", "word", "onset_s", "offset_s")


def word_table(
    words: Sequence[str], onset_s: Float[np.ndarray, " words"], offset_s: Float[np.ndarray, " words"], *, run: str, language: str
) -> pd.DataFrame:
    """Put the words of one run into a table with the columns and types of ``words.parquet``."""
    return pd.DataFrame(
        {
            "language": pd.Series([language] * len(words), dtype="str"),
            "run": pd.Series([run] * len(words), dtype="str"),
            "index": np.arange(len(words), dtype=np.int32),
            "word": pd.Series(list(words), dtype="str"),
            "onset_s": np.asarray(onset_s, dtype=np.float64),
            "offset_s": np.asarray(offset_s, dtype=np.float64),
        }
    )


def join(words: pd.DataFrame, separator: str = " ") -> tuple[str, Int[np.ndarray, "words 2"]]:
    """The text of one run, and where each word stands in it.

    Parameters
    ----------
    words : DataFrame
        Word table of one run.
    separator : str
        What stands between two words; "" for scripts written without spaces.

    Returns
    -------
    text : str
    spans : (words, 2) int64
        First character of each word, and the character after its last: ``text[start:stop]`` is the word.

    Raises
    ------
    ValueError
        If the table holds more than one run: a text, and so its spans, belong to one.
    """
    runs = words["run"].unique()
    if len(runs) > 1:
        raise ValueError(f"join takes one run at a time, got {len(runs)}: {', '.join(runs)}")
    spoken = words["word"].tolist()
    lengths = np.array([len(word) for word in spoken], dtype=np.int64)
    stops = np.cumsum(lengths + len(separator)) - len(separator)
    return separator.join(spoken), np.stack([stops - lengths, stops], axis=1)


def check_words(words: pd.DataFrame) -> None:
    """Refuse a word table that no step could use as it is. Rows are numbered from 1.

    Raises
    ------
    InputError
        If columns are missing; there are no words; a word, run or language is no text; a run is there twice, has two
        languages, or its index does not count 0, 1, 2, ...; a time is no number, not finite or negative; an offset lies
        before its onset; within a run, onsets descend or intervals overlap.
    """
    missing = [column for column in COLUMNS if column not in words.columns]
    if missing:
        received = ", ".join(map(str, words.columns)) or "none"
        raise InputError(f"word table: no column {', '.join(missing)} (received: {received}); give {', '.join(COLUMNS)}, times in seconds")
    if words.empty:
        raise InputError("word table: no words; give a stimulus with at least one timed word")
    _check_text(words)
    for column in ("onset_s", "offset_s"):
        if not pd.api.types.is_numeric_dtype(words[column]):
            raise InputError(f"word table: column {column} holds {words[column].dtype}, not numbers; give times in seconds, such as 12.34")
    _check_runs(words)
    _check_times(words)


def _check_text(words: pd.DataFrame) -> None:
    for column in ("word", "run", "language"):
        row = _first(np.array([not isinstance(value, str) or not value.strip() for value in words[column]]))
        if row is not None:
            value = words[column].iloc[row]
            raise InputError(f"word table, row {row + 1}: {column} is {value!r}, not text; remove the row or give its {column}")


def _check_runs(words: pd.DataFrame) -> None:
    run, language = (words[column].to_numpy(dtype=object) for column in ("run", "language"))
    starts = np.flatnonzero(np.r_[True, run[1:] != run[:-1]])
    block = _first(pd.Series(run[starts]).duplicated().to_numpy())
    if block is not None:
        row = int(starts[block])
        first = int(np.argmax(run == run[row]))
        raise InputError(f"word table, row {row + 1}: run {run[row]!r} is there twice (already from row {first + 1}); give each run its own name")
    expected = np.arange(len(run)) - np.repeat(starts, np.diff(np.r_[starts, len(run)]))
    wrong = _first(words["index"].to_numpy() != expected)
    if wrong is not None:
        got = words["index"].iloc[wrong]
        remedy = "the run is there twice; give each run its own name" if got == 0 else "number the words of a run 0, 1, 2, ... in order of time"
        raise InputError(f"word table, row {wrong + 1}: word index {got} where {expected[wrong]} was expected in run {run[wrong]!r}; {remedy}")
    mixed = _first((expected > 0) & (language != np.roll(language, 1)))
    if mixed is not None:
        found = f"language {language[mixed]!r} after {language[mixed - 1]!r} in run {run[mixed]!r}"
        raise InputError(f"word table, row {mixed + 1}: {found}; give each language runs of its own")


def _check_times(words: pd.DataFrame) -> None:
    run = words["run"].to_numpy(dtype=object)
    onset, offset = (words[column].to_numpy(dtype=np.float64) for column in ("onset_s", "offset_s"))
    follows = np.r_[False, run[1:] == run[:-1]]
    onset_above, offset_above = np.roll(onset, 1), np.roll(offset, 1)
    _refuse(words, ~np.isfinite(onset) | ~np.isfinite(offset), "a time is missing or infinite", "give every word an onset and an offset in seconds")
    _refuse(words, onset < 0, "negative onset", "measure times from the first sample of the run")
    _refuse(words, offset < onset, "offset before onset", "exchange the two, or check that the third time is no duration")
    _refuse(words, follows & (onset < onset_above), "onset before that of the row above", "sort the words by onset within the run", onset_above)
    _refuse(words, follows & (onset < offset_above), "overlaps the row above", "end each word no later than the next begins", offset_above)


def _refuse(
    words: pd.DataFrame, bad: Bool[np.ndarray, " words"], problem: str, remedy: str, above: Float[np.ndarray, " words"] | None = None
) -> None:
    row = _first(bad)
    if row is None:
        return
    word, run, onset, offset = (words[column].iloc[row] for column in ("word", "run", "onset_s", "offset_s"))
    than = "" if above is None else f" ({above[row]:.6g} s)"
    raise InputError(f"word table, row {row + 1} ({word!r}, {onset:.6g} to {offset:.6g} s, run {run!r}): {problem}{than}; {remedy}")


def _first(bad: Bool[np.ndarray, " rows"]) -> int | None:
    return int(np.argmax(bad)) if bad.any() else None
