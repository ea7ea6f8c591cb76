"""Text spoken by a seeded speech-rate model, where there is no recording.

A word lasts WORD_S + SYLLABLE_S * syllables, a pause follows punctuation and paragraph ends, both vary log-normally,
and everything is scaled by one factor to the pace asked for. The constants are ours: about five syllables a second, as
in careful reading aloud, which makes the factor near 1 at 150 words a minute.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections.abc import Iterator

import numpy as np
import pandas as pd

from saebrain.errors import InputError
from saebrain.stimulus.words import word_table

WORD_S = 0.07
SYLLABLE_S = 0.19
COMMA_S, SENTENCE_S, PARAGRAPH_S = 0.3, 0.6, 1.2
JITTER = 0.15  # standard deviation of the logarithm of a duration

# After NFKC, which turns full-width marks and the ellipsis into these; the escapes are the Arabic and the CJK comma, the
# CJK full stop, the Arabic question mark and the danda.
CLAUSE_ENDS = (",", ";", ":", "-", "\N{EN DASH}", "\N{EM DASH}", "\N{ARABIC COMMA}", "\N{IDEOGRAPHIC COMMA}")
SENTENCE_ENDS = (".", "!", "?", "\N{IDEOGRAPHIC FULL STOP}", "\N{ARABIC QUESTION MARK}", "\N{DEVANAGARI DANDA}")
QUOTES_AND_BRACKETS = ("Ps", "Pe", "Pi", "Pf")  # Unicode categories
ABBREVIATIONS = frozenset({"mr.", "mrs.", "ms.", "dr.", "st.", "prof."})


def speak(text: str, *, run: str, language: str = "en", seed: int, words_per_minute: float = 150.0, lead_in_s: float = 8.0) -> pd.DataFrame:
    """Give every word of a text an onset and an offset.

    Words are what stands between spaces, punctuation attached, so that joined by spaces they are the text again (a
    paragraph break becomes a space; a lone dash belongs to the word before it). A script written without spaces must
    come with spaces between its words.

    Parameters
    ----------
    text : str
        Paragraphs are separated by empty lines.
    run, language : str
        Written into the table; ``language`` "en" also drops silent e's when counting syllables.
    seed : int
        Same seed, run and text: same times.
    words_per_minute : float
        Pace from the first onset to the last offset, pauses included.
    lead_in_s : float
        Onset of the first word, in seconds.

    Returns
    -------
    DataFrame
        Word table; onsets ascend strictly, and no word ends after the next begins.

    Raises
    ------
    InputError
        If there is no word in the text, or the pace or lead-in is no usable number.
    """
    if not (math.isfinite(words_per_minute) and words_per_minute > 0):
        raise InputError(f"words_per_minute {words_per_minute}: not a pace; give a positive number, such as 150")
    if not (math.isfinite(lead_in_s) and lead_in_s >= 0):
        raise InputError(f"lead_in_s {lead_in_s}: not a lead-in; give seconds, 0 or more")
    words, pauses = [], []
    for paragraph in re.split(r"\n\s*\n", text):
        spoken = list(_words(paragraph))
        words += spoken
        pauses += [_pause(word, language) for word in spoken[:-1]] + [PARAGRAPH_S] * bool(spoken)
    if not words:
        raise InputError(f"text of run {run!r}: no words in {len(text)} characters; give a text with letters or digits")
    pauses[-1] = 0.0
    lasts = WORD_S + SYLLABLE_S * np.array([syllables(word, language) for word in words])
    # The name of the run goes into the seed, so that two runs of one study do not share their jitter.
    jitter = np.random.default_rng([seed, zlib.crc32(run.encode())]).normal(0.0, JITTER, (2, len(words)))
    lasts, rests = np.exp(jitter) * np.stack([lasts, np.array(pauses)])
    scale = 60.0 / words_per_minute * len(words) / (lasts.sum() + rests.sum())
    onset = lead_in_s + scale * np.concatenate([[0.0], np.cumsum(lasts + rests)[:-1]])
    offset = np.minimum(onset + scale * lasts, np.append(onset[1:], np.inf))  # rounding must not make words overlap
    return word_table(words, onset, offset, run=run, language=language)


def syllables(word: str, language: str = "en") -> int:
    """Count the syllables of a word, at least 1, by a simple rule for each kind of script.

    Latin script: groups of the vowels a, e, i, o, u, y; in English less a silent e at the end ("stone", "walked",
    "gates", but not "table", "wanted", "houses"). Digits count one each. Other scripts: characters.
    """
    folded = unicodedata.normalize("NFKD", word).lower()
    parts = re.findall(r"[a-z]+", folded)
    if not parts:
        return max(1, sum(character.isalnum() for character in word))
    count = sum(character.isdigit() for character in folded)
    for part in parts:
        groups = len(re.findall(r"[aeiouy]+", part))
        count += groups - (language.startswith("en") and groups > 1 and _silent_e(part))
    return max(1, count)


def _silent_e(part: str) -> bool:
    """Whether the last vowel group of an English word is an e that is not spoken."""
    if part.endswith("e"):
        return re.search(r"([^aeiouy]l|[aeiouy])e$", part) is None
    return re.search(r"[^aeiouydt]ed$|(?<![sxzcg])(?<!ch)(?<!sh)(?<![aeiouy])es$", part) is not None


def _words(paragraph: str) -> Iterator[str]:
    """Words of a paragraph; what has no letter or digit is joined to the word before it, or the first one after."""
    held: list[str] = []
    for piece in paragraph.split():
        if held and any(map(str.isalnum, piece)) and any(map(str.isalnum, "".join(held))):
            yield " ".join(held)
            held = []
        held.append(piece)
    if any(map(str.isalnum, "".join(held))):
        yield " ".join(held)


def _pause(word: str, language: str) -> float:
    """Seconds of silence after a word inside a paragraph, before scaling."""
    bare = "".join(c for c in unicodedata.normalize("NFKC", word).lower() if c not in "\"'" and unicodedata.category(c) not in QUOTES_AND_BRACKETS)
    if bare.endswith(CLAUSE_ENDS):
        return COMMA_S
    if bare.endswith(SENTENCE_ENDS) and not (language.startswith("en") and bare in ABBREVIATIONS):
        return SENTENCE_S
    return 0.0
