"""Overview: what the open study is, in one look."""

from __future__ import annotations

import streamlit as st

from saebrain.errors import MissingStepError
from saebrain.pipeline.selection import ALL
from saebrain.pipeline.space import study_space
from saebrain.taxonomy import SEMANTIC
from saebrain.ui import cortex, data, overview, plots
from saebrain.ui.frame import frame, heading, link
from saebrain.ui.text import plain

with frame("overview") as study:
    heading(study.config.title, study)
    try:
        figures = data.summary(study)
    except MissingStepError:
        st.subheader("Pipeline", anchor=False)
        overview.pipeline(data.states(study))
        raise

    st.html(f'<div class="sb" style="font-size:1.05rem; max-width:60rem">{overview.introduction(study, figures)}</div>')
    for column, (title, values) in zip(st.columns(3, border=True), overview.facts(figures).items(), strict=True):
        with column:
            overview.fact_list(title, values)

    st.subheader("Beside the published figures", anchor=False)
    overview.claims(figures)

    st.subheader("Where to go next", anchor=False)
    with st.container(horizontal=True):
        link("cortex", "Which subcategory predicts which vertex best", icon=":material/palette:", show="categories")
        link("cortex", "Cortical map of the semantic features", icon=":material/neurology:", select=SEMANTIC)
        for name in list(figures["subcategories"])[:2]:
            link("features", f"Features labelled {plain(name)}", icon=":material/blur_on:", label=f"{SEMANTIC}/{name}", sort="parcel_r")
        link("features", "Features on which the annotators differ", icon=":material/rule:", agree="no")

    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Do subcategories predict their parcels?", anchor=False)
        st.vega_lite_chart(plots.subcategory_chart(figures["subcategories"]), alt="r of each subcategory in predicted and other parcels")
        st.caption("Bars: mean over subjects; points: subjects. r of the part of the prediction that the subcategory's features make.")
    with right:
        st.subheader("What do features add?", anchor=False)
        st.vega_lite_chart(plots.accuracy_chart(figures["r_by_subject"]), alt="r of all, semantic and nuisance models per subject")
        st.caption("Nuisance: word rate, length, frequency and surprisal, part of every model. Mean over predicted cortex; marks as beside.")

    cortex_place = st.container()
    st.subheader("Pipeline", anchor=False)
    overview.pipeline(data.states(study))
    with cortex_place:  # last, as it takes longest
        st.subheader("Where do all features together predict?", anchor=False)
        r = data.selection_map(study, ALL).of(None)
        scale = cortex.Scale("r, all features, mean over subjects", data.shared_reach(study))
        cortex.show_map(study_space(study), r, scale, cortex.Look(), alt="Accuracy of all features on the cortex, four views")
