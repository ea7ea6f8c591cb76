"""A feature in its text: strongest contexts, examples from every interval of activation, near misses, and where in the stories it fires."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from saebrain.errors import MissingStepError
from saebrain.pipeline.feature_examples import by_interval, near_misses
from saebrain.pipeline.feature_table import FeatureTable
from saebrain.study import Study
from saebrain.ui import data, feature, feature_data, plots
from saebrain.ui.selection import View
from saebrain.ui.text import MEAN, plain, whose

SHOWN = {
    "strongest": "Strongest",
    "intervals": "By activation",
    "misses": "Near misses",
    "story": "In the stories",
}
WIDTHS = {"8": (8, 4), "24": (24, 12), "60": (60, 30), "120": (120, 60)}
USUAL = "24"


def show(view: View, study: Study, table: FeatureTable, number: int, largest: float) -> None:
    """Draw the kind of examples that is chosen; the others cost nothing."""
    shown = view.choice("show", list(SHOWN), "strongest")
    width = view.choice("width", list(WIDTHS), USUAL)
    whole = view.flag("whole", False)
    st.segmented_control(
        "Contexts", list(SHOWN), format_func=SHOWN.__getitem__, required=True, width="stretch", **view.widget("show", shown, "strongest")
    )
    if shown != "story":
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            st.selectbox(
                "Width",
                list(WIDTHS),
                format_func=lambda name: f"{name} tokens before",
                label_visibility="collapsed",
                width=200,
                **view.widget("width", width, USUAL),
            )
            st.toggle("Whole words", help="Sub-word tokens of a word are merged.", **view.widget("whole", whole, False))
    if shown == "strongest":
        before, after = WIDTHS[width]
        contexts = data.store(study).contexts(number, before=before, after=after)
        feature.contexts(contexts, data.word_onsets(study), largest, whole_words=whole)
    elif shown == "intervals":
        _intervals(study, number, largest, *WIDTHS[width], whole)
    elif shown == "misses":
        _misses(study, number, largest, *WIDTHS[width], whole)
    else:
        _story(view, study, table, number)


def _intervals(study: Study, number: int, largest: float, before: int, after: int, whole: bool) -> None:
    store, onsets = data.store(study), data.word_onsets(study)
    found = by_interval(*store.codes(number), seed=number)
    windows = store.windows(number, np.concatenate([interval.tokens for interval in found]), before=before, after=after)
    blocks = {int(window): group for window, group in windows.groupby("window")}
    parts, first = [feature.scale(largest)], 0
    for interval in found:
        parts.append(f'<div class="sb-interval num">activation {interval.low:.1f} to {interval.high:.1f}: {interval.count:,} tokens</div>')
        for window in range(first, first + len(interval.tokens)):
            parts.append(feature.context(blocks[window], onsets, largest, "", whole_words=whole))
        first += len(interval.tokens)
    st.html(f'<div class="sb">{"".join(parts)}</div>')
    st.caption("Equal intervals from 0 to the greatest activation; of each, a few tokens drawn at random, always the same.")


def _misses(study: Study, number: int, largest: float, before: int, after: int, whole: bool) -> None:
    store, onsets = data.store(study), data.word_onsets(study)
    try:
        found = near_misses(store, number, before=before, after=after)
    except MissingStepError as error:
        st.info(f"Near misses need the neighbours of features, which are not computed yet. Run: `{error.command}`", icon=":material/hourglass_empty:")
        return
    windows = store.windows(number, found["token"].to_numpy(), before=before, after=after)
    parts = []
    for (_, group), row in zip(windows.groupby("window"), found.itertuples(), strict=True):
        title = f"feature {row.other} (cosine {row.similarity:.2f})"
        parts.append(feature.context(group, onsets, largest, title, whole_words=whole))
    st.html(f'<div class="sb">{"".join(parts) or "None: its neighbours are never active without it."}</div>')
    st.caption(
        "Strongest contexts of features with similar decoder directions in which this one is silent throughout; underlined: where the "
        "other one fires. What separates these from the strongest contexts is what the feature is about."
    )


def _story(view: View, study: Study, table: FeatureTable, number: int) -> None:
    """Word onsets with activations above, predicted and measured time course of the best parcel below."""
    run = view.choice("story", study.run_names, study.run_names[0])
    if len(study.run_names) > 1:
        st.selectbox("Run", study.run_names, **view.widget("story", run, study.run_names[0]))
    mapper, (token, value) = data.mapper(study), data.store(study).codes(number)
    words = mapper.words(run, token, value)
    onset_s = data.word_onsets(study)[run].reindex(words.index)
    predicted = mapper.courses(token, value)[study.run_names.index(run)]
    parcel = table.rows.loc[number].get("parcel")
    measured = None
    if isinstance(parcel, str):
        found = feature_data.parcel_course(study, run, parcel)
        subject = view.choice("subject", [MEAN, *mapper.subjects], MEAN)
        measured = found.mean(axis=0) if subject == MEAN else found[mapper.subjects.index(subject)]
    fired = pd.DataFrame({"s": onset_s.to_numpy(), "activation": words.to_numpy(), "word": data.words(study)[run].reindex(words.index).to_numpy()})
    alt = f"Activations of feature {number} at the words of {run}, and its predicted and measured time course"
    st.vega_lite_chart(plots.story(fired.dropna(), predicted, measured, mapper.tr_s), alt=alt, key="story chart")
    about = f" and the mean response of {plain(parcel)}, {whose(subject)}," if measured is not None else ""
    r = f" r = {np.corrcoef(predicted, measured)[0, 1]:.2f} in this run." if measured is not None and predicted.any() else ""
    st.caption(
        f"Above: the words at which it fires. Below: its course after the haemodynamic response{about} in standard deviations.{r} "
        "Drag to move along, scroll to zoom. A description: the parcel was chosen for its r."
    )
