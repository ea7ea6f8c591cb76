"""What was said and when: words with onsets and offsets (s), spoken by a seeded model or read from files.

A word table has a row per word in order of time, and the columns :data:`COLUMNS`.
"""

from __future__ import annotations

from saebrain.stimulus.readers import read_words
from saebrain.stimulus.speech import speak, syllables
from saebrain.stimulus.words import COLUMNS, check_words, join, word_table

__all__ = ["COLUMNS", "check_words", "join", "read_words", "speak", "syllables", "word_table"]
