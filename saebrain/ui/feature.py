"""The parts of one feature's view."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from saebrain.pipeline.feature_notes import Note
from saebrain.ui.data import OfWords
from saebrain.ui.text import category, clock, escaped, signed, visible

FIRST_CONTEXTS = 8


def contexts(table: pd.DataFrame, onset_s: OfWords | pd.Series, largest: float, *, whole_words: bool = False) -> None:
    """The strongest contexts, the first few at once and the others on demand.

    Parameters
    ----------
    table : DataFrame
        As from `FeatureStore.contexts`.
    onset_s : OfWords or Series
        Onset of every word by (run, word), in seconds.
    largest : float
        The feature's greatest activation: the darkest highlight.
    whole_words : bool
        Highlight whole words, by the greatest activation of their tokens.
    """
    blocks = [context(group, onset_s, largest, f"{int(rank) + 1}", whole_words=whole_words) for rank, group in table.groupby("rank")]
    st.html(f'<div class="sb">{scale(largest)}{"".join(blocks[:FIRST_CONTEXTS])}</div>')
    if more := blocks[FIRST_CONTEXTS:]:
        with st.expander(f"{len(more)} more contexts"):
            st.html(f'<div class="sb">{"".join(more)}</div>')


def context(tokens: pd.DataFrame, onset_s: OfWords | pd.Series, largest: float, title: str, *, whole_words: bool = False) -> str:
    """One context as HTML; the lightness of a token's background is its activation. ``title`` is not escaped here."""
    peak = tokens[tokens["peak"]].iloc[0]
    texts, values, peaks = tokens["text"].tolist(), tokens["value"].tolist(), tokens["peak"].tolist()
    if whole_words:
        texts, values, peaks = _words(tokens["word"].tolist(), texts, values, peaks)
    seconds = onset_s.get((peak["run"], peak["word"]))
    when = "" if seconds is None else f"{clock(float(seconds))} min"
    where = "".join(f"<span>{part}</span>" for part in (title, escaped(peak["run"]), when) if part)
    value = f'<span class="value">activation {peak["value"]:.1f}</span>' if peak["value"] > 0 else ""
    text = f'<div class="text" dir="auto" tabindex="0">{heat(texts, values, largest, peaks)}</div>'
    return f'<div class="sb-context"><div class="where num">{where}{value}</div>{text}</div>'


def heat(texts: Sequence[str], values: Sequence[float], largest: float, peaks: Sequence[bool] | None = None) -> str:
    """Tokens as HTML, the active ones highlighted: the lightness of the background says how strongly, a hint the value."""
    spans = []
    for text, value, at_peak in zip(texts, values, peaks or [False] * len(texts), strict=True):
        if value > 0 or at_peak:
            share = 100 * min(value / largest, 1.0) if largest > 0 else 0
            kind = ' class="peak"' if at_peak else ""
            bare = text.lstrip(" ") or text  # a marked space at a line's end would look like a stray mark
            space = text.removesuffix(bare)
            spans.append(f'{space}<mark{kind} style="--share: {share:.0f}%" title="activation {value:.2f}">{escaped(bare)}</mark>')
        else:
            spans.append(escaped(text))
    return "".join(spans).strip()


def _words(words: list[int], texts: list[str], values: list[float], peaks: list[bool]) -> tuple[list[str], list[float], list[bool]]:
    """Neighbouring tokens of one word as one, with the greatest of their activations."""
    merged_texts: list[str] = []
    merged_values: list[float] = []
    merged_peaks: list[bool] = []
    for number, (word, text, value, peak) in enumerate(zip(words, texts, values, peaks, strict=True)):
        if number and word == words[number - 1]:
            merged_texts[-1] += text
            merged_values[-1] = max(merged_values[-1], value)
            merged_peaks[-1] |= peak
        else:
            merged_texts.append(text)
            merged_values.append(value)
            merged_peaks.append(peak)
    return merged_texts, merged_values, merged_peaks


def scale(largest: float) -> str:
    """What the highlights mean, as HTML."""
    return f'<div class="sb-scale num"><span>activation 0</span><i></i><span>{largest:.1f}</span><span>underlined: the peak</span></div>'


def token_effects(effects: dict[str, tuple[Sequence[str], Sequence[float]]]) -> None:
    """Tokens whose logits a feature's decoder direction moves most: by title the tokens and effects, as small tables with bars."""
    st.html(f'<div class="sb sb-pair">{"".join(_effect_table(title, *both) for title, both in effects.items())}</div>')


def _effect_table(title: str, tokens: Sequence[str], effects: Sequence[float]) -> str:
    reach = max((abs(float(effect)) for effect in effects), default=1.0) or 1.0
    rows = "".join(
        f'<tr><td class="sb-token" title="{escaped(visible(token))}">{escaped(visible(token))}</td><td class="num">{signed(float(effect))}</td>'
        f'<td><span class="sb-bar" style="width:{100 * abs(float(effect)) / reach:.0f}%"></span></td></tr>'
        for token, effect in zip(tokens, effects, strict=True)
    )
    head = f'<tr><th>{escaped(title)}</th><th class="num">Δ logit</th><th></th></tr>'
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def label_list(labels: pd.DataFrame, notes: Sequence[Note] = ()) -> None:
    """What every annotator says of a feature, and why; then the notes that were brought from elsewhere."""
    said = "".join(
        f'<div class="sb-label"><b>{escaped(category(row.label))}</b> <span class="faint">by {escaped(row.annotator)}, '
        f'confidence <span class="num">{row.confidence:.2f}</span><br>{escaped(row.reason)}</span></div>'
        for row in labels.itertuples()
    )
    written = "".join(
        f'<div class="sb-label" dir="auto">{escaped(note.text)} <span class="faint">noted by {escaped(note.author)}'
        f"{', ' + escaped(note.method) if note.method else ''}</span></div>"
        for note in notes
    )
    st.html(f'<div class="sb">{said}{written}</div>')
