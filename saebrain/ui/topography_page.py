"""The topography page: where subcategories contribute, whose variance it is, and, exploratory, prediction error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from saebrain.pipeline import live
from saebrain.pipeline.state import check
from saebrain.study import Study
from saebrain.ui import encoding_jobs, topography_map, topography_partition, topography_surprise
from saebrain.ui.encoding_jobs import Work
from saebrain.ui.selection import View
from saebrain.ui.text import plain


@dataclass(frozen=True)
class Question:
    """One part of the page: its result (`live.FILED`), what computes it, and what draws it."""

    title: str
    asks: str
    kind: str
    work: Work
    show: Callable[[View, Study, dict[str, Any]], None]


QUESTIONS = {
    "topography": Question(
        "Topography",
        "Does each semantic subcategory contribute to the parcels for which the codebook predicts it, and not to others?",
        "topography",
        topography_map.WORK,
        topography_map.show,
    ),
    "partition": Question(
        "Variance partition",
        "How much of the explained variance is a subcategory's own, and how much does it share with others?",
        "partition",
        topography_partition.WORK,
        topography_partition.show,
    ),
    "error": Question(
        "Prediction error (exploratory)",
        "Do responses follow how far a word's meaning is from what the words before it announced?",
        "prediction-error",
        topography_surprise.WORK,
        topography_surprise.show,
    ),
}


def show(view: View, study: Study) -> None:
    """Draw the page; only the chosen part is read."""
    for step in ("labels", "responses"):
        check(study, step)
    chosen = view.choice("question", list(QUESTIONS), "topography")
    st.segmented_control(
        "Question",
        list(QUESTIONS),
        format_func=lambda name: QUESTIONS[name].title,
        required=True,
        label_visibility="collapsed",
        **view.widget("question", chosen, "topography"),
    )
    question = QUESTIONS[chosen]
    st.markdown(question.asks)
    found = live.read_study_result(study, question.kind)
    if found is None:
        st.info(f"Not computed yet at layer {study.layer}.", icon=":material/hourglass_empty:")
        encoding_jobs.offer(study, question.work, place=chosen)
    else:
        for path, reason in found.get("absent", {}).items():
            st.warning(f"{plain(path)} is left out: {plain(reason)}", icon=":material/hide_source:")
        question.show(view, study, found)
    encoding_jobs.others(study, question.work)
