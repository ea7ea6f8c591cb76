"""From words to a language model's tokens and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from saebrain.errors import InputError


def tokenise(tokenizer: Any, text: str, spans: Int[np.ndarray, "words 2"]) -> pd.DataFrame:
    """Tokens of one run's text, each with the word it belongs to.

    Parameters
    ----------
    tokenizer : fast tokenizer
        It must give character offsets.
    text : str
        The words of the run, joined.
    spans : int array
        First character and end of each word in ``text``.

    Returns
    -------
    DataFrame
        position, token_id, text, word. The texts of all tokens joined give ``text`` back; a token belongs to the word
        of its last character, one of spaces alone to the word behind it.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"tokenizer {type(tokenizer).__name__} gives no character offsets; use a model with a fast tokenizer (tokenizer.json)")
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    offsets = encoded["offset_mapping"]
    stops = np.array([stop for _, stop in offsets], dtype=np.int64)
    last = np.array([start + len(text[start:stop].rstrip() or text[start:stop]) - 1 for start, stop in offsets], dtype=np.int64)
    # A character split over several tokens is shown with the first of them.
    starts = np.concatenate([[0], stops[:-1]]).astype(np.int64)
    word = np.minimum(np.searchsorted(spans[:, 1], last, side="right"), len(spans) - 1)
    return pd.DataFrame(
        {
            "position": np.arange(len(stops), dtype=np.int32),
            "token_id": np.array(encoded["input_ids"], dtype=np.int32),
            "text": [text[a:b] for a, b in zip(starts, stops, strict=True)],
            "word": word.astype(np.int32),
        }
    )


def word_surprisal(tokens: pd.DataFrame, n_words: int) -> Float[np.ndarray, " words"]:
    """Surprisal of the words of one run, in bits: the sum over a word's tokens, as their probabilities multiply."""
    return np.bincount(tokens["word"], weights=tokens["surprisal_bits"], minlength=n_words)
