"""The parts of one feature's view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from jaxtyping import Float

from saebrain.surface.atlas import desikan_killiany, parcel_means
from saebrain.ui.text import category, clock, escaped, signed, visible

FIRST_CONTEXTS = 8
LISTED_PARCELS = 5


def contexts(table: pd.DataFrame, onset_s: pd.Series, largest: float) -> None:
    """The strongest contexts, the first few at once and the others on demand.

    Parameters
    ----------
    table : DataFrame
        As from `FeatureStore.contexts`.
    onset_s : Series
        Onset of every word by (run, word), in seconds.
    largest : float
        The feature's greatest activation: the darkest highlight.
    """
    blocks = [_context(group, onset_s, largest) for _, group in table.groupby("rank")]
    st.html(f'<div class="sb">{_scale(largest)}{"".join(blocks[:FIRST_CONTEXTS])}</div>')
    if more := blocks[FIRST_CONTEXTS:]:
        with st.expander(f"{len(more)} more contexts"):
            st.html(f'<div class="sb">{"".join(more)}</div>')


def _context(tokens: pd.DataFrame, onset_s: pd.Series, largest: float) -> str:
    """One context as HTML; the lightness of a token's background is its activation."""
    peak = tokens[tokens["peak"]].iloc[0]
    spans = []
    for token in tokens.itertuples():
        if token.value > 0:
            share = 100 * min(token.value / largest, 1.0)
            kind = ' class="peak"' if token.peak else ""
            bare = token.text.lstrip(" ") or token.text  # a marked space at a line's end would look like a stray mark
            space = token.text.removesuffix(bare)
            spans.append(f'{space}<mark{kind} style="--share: {share:.0f}%" title="activation {token.value:.2f}">{escaped(bare)}</mark>')
        else:
            spans.append(escaped(token.text))
    seconds = onset_s.get((peak["run"], peak["word"]))
    when = "" if seconds is None else f"{clock(float(seconds))} min"
    return (
        f'<div class="sb-context"><div class="where num"><span>{int(peak["rank"]) + 1}</span><span>{escaped(peak["run"])}</span><span>{when}</span>'
        f'<span class="value">activation {peak["value"]:.1f}</span></div><div class="text">{"".join(spans).strip()}</div></div>'
    )


def _scale(largest: float) -> str:
    return f'<div class="sb-scale num"><span>activation 0</span><i></i><span>{largest:.1f}</span><span>underlined: the strongest token</span></div>'


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


def label_list(labels: pd.DataFrame) -> None:
    """What every annotator says of a feature, and why."""
    st.html(
        '<div class="sb">'
        + "".join(
            f'<div class="sb-label"><b>{escaped(category(row.label))}</b> <span class="faint">by {escaped(row.annotator)}, '
            f'confidence <span class="num">{row.confidence:.2f}</span><br>{escaped(row.reason)}</span></div>'
            for row in labels.itertuples()
        )
        + "</div>"
    )


def peak_parcels(values: Float[np.ndarray, " vertices"]) -> str:
    """The parcels in which a map's mean r is furthest from 0, in words."""
    atlas = desikan_killiany()
    means = parcel_means(values, atlas)
    order = np.argsort(-np.abs(np.nan_to_num(means)))[:LISTED_PARCELS]
    named = [f"{atlas.parcels[i][0]} {atlas.parcels[i][1]} ({signed(means[i])})" for i in order if np.isfinite(means[i])]
    return ", ".join(named)
