"""What an annotator sees of a feature: its contexts, examples at every level, controls, and its effects on the next token."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from saebrain.pipeline.annotating import Evidence, evidence
from saebrain.study import Study
from saebrain.ui import data, feature

FIRST = 6
_KEYED: dict[Any, Any] = {Study: data.stamp}


@st.cache_resource(hash_funcs=_KEYED, max_entries=64, show_spinner=False)
def gathered(study: Study, feature_number: int) -> Evidence:
    """The evidence of a feature; shared between sessions, so never changed. Asked for ahead, it is there when it is wanted."""
    return evidence(data.store(study), feature_number)


def draw(study: Study, found: Evidence) -> None:
    """Draw all of it."""
    onsets = data.word_onsets(study)
    strongest = _blocks(found.strongest, onsets, found.largest)
    st.html(f'<div class="sb">{feature.scale(found.largest)}{"".join(strongest[:FIRST])}</div>')
    if strongest[FIRST:]:
        with st.expander(f"{len(strongest) - FIRST} more of the strongest contexts"):
            st.html(f'<div class="sb">{"".join(strongest[FIRST:])}</div>')
    st.html(f'<div class="sb"><h4>At every level of activation</h4>{_levels(found, onsets)}</div>')
    if found.controls is not None:
        silent = "".join(_blocks(found.controls, onsets, found.largest)) or '<p class="faint">None: similar features are never active without it.</p>'
        st.html(
            '<div class="sb"><h4>Controls: silent here</h4><p class="faint">Strongest contexts of similar features (underlined: where the other one '
            f"fires) in which this one is never active.</p>{silent}</div>"
        )
    st.html('<div class="sb"><h4>Effect on the next token</h4></div>')
    feature.token_effects({"Promoted": found.promoted, "Suppressed": found.suppressed})


def _blocks(windows: pd.DataFrame, onsets: pd.Series, largest: float) -> list[str]:
    return [feature.context(group, onsets, largest, f"{int(window) + 1}") for window, group in windows.groupby("window")]


def _levels(found: Evidence, onsets: pd.Series) -> str:
    """A fold for every interval of activation, the highest open: the strongest contexts above are of it."""
    blocks = _blocks(found.levels, onsets, found.largest)
    parts, first = [], 0
    for interval in found.intervals:
        last = first + len(interval.tokens)
        title = f"activation {interval.low:.1f} to {interval.high:.1f}: {interval.count:,} tokens"
        parts.append(f'<details {"open" if 0 < first < last else ""}><summary class="num">{title}</summary>{"".join(blocks[first:last])}</details>')
        first = last
    return "".join(parts)
