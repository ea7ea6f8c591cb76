"""Tokens and the words they belong to, with the real tokenizer of the demo's model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from saebrain.errors import InputError
from saebrain.stimulus import join, speak, word_table
from saebrain.tokens import tokenise, word_surprisal
from tests import tiny

STORY = Path(__file__).parent.parent / "data" / "demo" / "orchard.txt"


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return tiny.smollm().tokenizer


def table(words: list[str]) -> pd.DataFrame:
    onset = np.arange(len(words), dtype=float)
    return word_table(words, onset, onset + 0.5, run="a", language="en")


def by_word(tokens: pd.DataFrame, n_words: int) -> list[str]:
    """The texts of each word's tokens, joined."""
    return ["".join(tokens.loc[tokens["word"] == word, "text"]) for word in range(n_words)]


SENTENCES = {
    "punctuation": ["“Don't,”", "she", "said—twice,", "--", "and", "then:", "(Stop!)", "..."],
    "digits": ["There", "were", "42,000", "boats", "in", "1987."],
    "emoji": ["I", "🙂", "wept", "👩‍🚀👩‍🚀,", "too", "🏳️‍🌈."],
    "cjk": ["東京", "は", "大きい。", "龘龘", "안녕하세요", "世界"],
    "accents": ["Ça", "n\u0303andú", "naïve", "Ωμέγα", "पानी"],
}


@pytest.mark.parametrize("kind", SENTENCES)
def test_tokens_join_to_the_text_and_their_words(tokenizer: Any, kind: str) -> None:
    words = SENTENCES[kind]
    text, spans = join(table(words))
    tokens = tokenise(tokenizer, text, spans)
    assert "".join(tokens["text"]) == text
    assert by_word(tokens, len(words)) == [words[0], *(f" {word}" for word in words[1:])]
    assert tokens["word"].is_monotonic_increasing
    assert tokens["token_id"].tolist() == tokenizer(text)["input_ids"]
    assert tokens["position"].tolist() == list(range(len(tokens)))
    assert tokens.dtypes.astype(str)[["position", "token_id", "word"]].tolist() == ["int32"] * 3


def test_a_space_alone_counts_to_the_word_behind_it(tokenizer: Any) -> None:
    """The tokenizer splits the space from a number; its surprisal is not that of the word before."""
    text, spans = join(table(["had", "42", "boats"]))
    tokens = tokenise(tokenizer, text, spans)
    assert tokens["text"].tolist() == ["had", " ", "4", "2", " boats"]
    assert tokens["word"].tolist() == [0, 1, 1, 1, 2]


def test_a_character_split_over_tokens_is_shown_once(tokenizer: Any) -> None:
    text, spans = join(table(["a", "👩‍🚀", "b"]))
    tokens = tokenise(tokenizer, text, spans)
    inside = tokens[tokens["word"] == 1]
    assert len(inside) > 3
    assert "".join(inside["text"]) == " 👩‍🚀"
    assert (inside["text"] == "").any()


def test_a_token_over_two_words_counts_to_the_second() -> None:
    """Offsets of a tokenizer that joins words, and one whose tokens end in the space."""

    class Offsets:
        is_fast = True

        def __init__(self, *offsets: tuple[int, int]) -> None:
            self.offsets = offsets

        def __call__(self, text: str, **options: Any) -> dict[str, Any]:
            return {"offset_mapping": self.offsets, "input_ids": list(range(len(self.offsets)))}

    text, spans = join(table(["of", "the", "sea"]))
    assert tokenise(Offsets((0, 6), (6, 10)), text, spans)["word"].tolist() == [1, 2]
    assert tokenise(Offsets((0, 3), (3, 7), (7, 10)), text, spans)["word"].tolist() == [0, 1, 2]


def test_story(tokenizer: Any) -> None:
    words = speak(STORY.read_text(encoding="utf-8"), run="orchard", seed=0)
    text, spans = join(words)
    tokens = tokenise(tokenizer, text, spans)
    assert "".join(tokens["text"]) == text == re.sub(r"\s+", " ", STORY.read_text(encoding="utf-8")).strip()
    assert [piece.removeprefix(" ") for piece in by_word(tokens, len(words))] == words["word"].tolist()


def test_surprisal_of_words_is_the_sum_over_their_tokens(tokenizer: Any) -> None:
    words = SENTENCES["emoji"]
    tokens = tokenise(tokenizer, *join(table(words)))
    tokens["surprisal_bits"] = np.random.default_rng(0).gamma(2.0, 3.0, len(tokens)).astype(np.float32)
    expected = [tokens.loc[tokens["word"] == number, "surprisal_bits"].sum() for number in range(len(words))]
    result = word_surprisal(tokens, len(words) + 1)
    np.testing.assert_allclose(result[:-1], expected, rtol=1e-6)
    assert result[-1] == 0  # a word without tokens


def test_tokenizer_without_offsets_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(InputError, match=r"tokenizer Slow gives no character offsets; use a model with a fast tokenizer \(tokenizer\.json\)"):
        tokenise(Slow(), "a", np.array([[0, 1]]))
