"""Word forms with the category they belong to: the ground truth that planted responses follow.

::

    version = "1.0"

    [forms]
    "semantic/place" = ["harbour", "bridge"]
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool

from saebrain.errors import InputError

POSSESSIVE = re.compile(r"['\u2019]s$")
MARKS = "PSZ"  # first letters of the Unicode categories of punctuation, symbols and separators


def normalise(word: str) -> str:
    """The form under which a word as written is looked up: lower case, no punctuation around it, no possessive 's."""
    return _bare(POSSESSIVE.sub("", _bare(word.lower())))


def _bare(word: str) -> str:
    return word.strip("".join(character for character in set(word) if unicodedata.category(character)[0] in MARKS))


@dataclass(frozen=True)
class Lexicon:
    """Which word forms belong to which category.

    ``categories`` are in the order of the file; ``forms`` maps each form to one of them.
    """

    version: str
    categories: tuple[str, ...]
    forms: Mapping[str, str]

    def lookup(self, word: str) -> str | None:
        """Category of a word as written (``"Mother's,"``), or None if it is in none."""
        return self.forms.get(normalise(word))

    def indicators(self, words: pd.DataFrame) -> Bool[np.ndarray, "words categories"]:
        """Which word belongs to which category; at most one True a row, in the order of ``categories``."""
        found = words["word"].map(self.lookup).to_numpy(dtype=object)
        return np.stack([found == category for category in self.categories], axis=1)

    def counts(self, words: pd.DataFrame) -> pd.DataFrame:
        """Words of each category in each run: a row per run in order of appearance, a column per category, int64."""
        table = pd.DataFrame(self.indicators(words).astype(np.int64), columns=list(self.categories))
        return table.groupby(words["run"].to_numpy(), sort=False).sum().rename_axis(index="run")


def load_lexicon(path: Path | str) -> Lexicon:
    """Read a lexicon.

    Raises
    ------
    InputError
        If the file is missing, is no TOML, has no version or no forms, or lists a form twice or in a shape that no word
        would be looked up under.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a lexicon such as data/demo/lexicon.toml") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file in UTF-8 ({error}); list each category once") from error
    version, listed = content.get("version"), content.get("forms")
    if not isinstance(version, str) or not version:
        raise InputError(f'{path}: no version; write one at the top, such as version = "1.0"')
    if not isinstance(listed, dict) or not listed:
        raise InputError(f'{path}: no [forms]; list word forms by category, such as "semantic/place" = ["harbour"]')
    forms: dict[str, str] = {}
    for category, members in listed.items():
        if not isinstance(members, list) or not members or not all(isinstance(form, str) for form in members):
            raise InputError(f'{path}: {category!r} is not a list of word forms; write "{category}" = ["harbour", "bridge"]')
        for form in members:
            if not form or normalise(form) != form:
                raise InputError(f"{path}: form {form!r} of {category!r} would never be found; write it as {normalise(form)!r}")
            if form in forms:
                raise InputError(f"{path}: form {form!r} is listed twice, in {forms[form]!r} and {category!r}; keep it in one")
            forms[form] = category
    return Lexicon(version, tuple(listed), forms)
