"""Prediction error of categories, exploratory: what it adds to everything else."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from saebrain.pipeline import live
from saebrain.pipeline.selection import study_codebook
from saebrain.study import Study
from saebrain.ui.encoding_jobs import Work
from saebrain.ui.frame import export_name
from saebrain.ui.selection import View
from saebrain.ui.text import MEAN, escaped, plain, signed, whose

WORK = Work(
    "saebrain.pipeline.surprise:compute",
    live.FILED["prediction-error"][1],
    "Prediction error",
    "Compute the prediction error",
    "Fits all features again for every draw: takes many minutes, and goes on if you close this page.",
    unit="draws",
)
LEVEL = 0.05


def show(view: View, study: Study, found: dict[str, Any]) -> None:
    """Draw the result."""
    st.badge("Exploratory", icon=":material/explore:", color="violet")
    st.caption(plain(f"{found['note']}."))
    of = view.choice("of", [MEAN, *found["subjects"]], MEAN)
    st.selectbox("Subject", [MEAN, *found["subjects"]], format_func=whose, width=300, **view.widget("of", of, MEAN))
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("What it adds, over predicted parcels", anchor=False)
        _gains(found)
    with right:
        st.subheader("How well context announces each category", anchor=False)
        _categories(study, found)
    st.subheader("Parcel by parcel", anchor=False)
    every = pd.DataFrame(found["parcels"])
    table = pd.DataFrame(found["mean"]) if of == MEAN else every[every["subject"] == of]
    passed, strict = int((table["q"] < LEVEL).sum()), int((table["p_max"] < LEVEL).sum())
    st.caption(
        f"{passed} of {len(table)} parcels have q < {LEVEL} (Benjamini-Hochberg), {strict} have p < {LEVEL} by the largest of all parcels; "
        f"{found['n']:,} draws, so that p is never below {found['smallest_p']:.2g}."
    )
    st.dataframe(
        table.sort_values("gain", ascending=False, na_position="last"),
        hide_index=True,
        height=420,
        column_order=["hemisphere", "parcel", "r", "gain", "p", "q", "p_max"],
        column_config={
            "hemisphere": "Side",
            "parcel": "Parcel",
            "r": st.column_config.NumberColumn("r of all", format="%.3f"),
            "gain": st.column_config.NumberColumn("Gain", format="%.4f"),
            "p": st.column_config.NumberColumn("p", format="%.4f"),
            "q": st.column_config.NumberColumn("q (FDR)", format="%.4f"),
            "p_max": st.column_config.NumberColumn("p (max)", format="%.4f"),
        },
        alt="Gain of the prediction error in every parcel",
    )
    st.download_button(
        "Parcels of all subjects (CSV)",
        lambda: every.to_csv(index=False).encode(),
        f"{export_name(study, 'prediction-error')}.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
    )


def _gains(found: dict[str, Any]) -> None:
    rows = "".join(
        f'<tr><td>{escaped(subject)}</td><td class="num">{signed(figures["gain"], 4)}</td><td class="num">{figures["p"]:.3g}</td></tr>'
        for subject, figures in {"mean over subjects": found, **found["by_subject"]}.items()
    )
    head = '<tr><th>Subject</th><th class="num">gain in r</th><th class="num">p</th></tr>'
    st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>')


def _categories(study: Study, found: dict[str, Any]) -> None:
    codebook = study_codebook(study)
    rows = "".join(
        f'<tr><td>{escaped(codebook[row["path"]].name)}</td><td class="num">{_r(row["r_context"])}</td>'
        f'<td class="num">{_r(row["r_with_activation"])}</td></tr>'
        for row in found["categories"]
    )
    head = '<tr><th>Category</th><th class="num">r of its prediction</th><th class="num">r of error and activation</th></tr>'
    st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>')
    st.caption(f"Predicted from the {found['context']} words before, in words that were held out.")


def _r(value: float | None) -> str:
    return "–" if value is None else signed(value)
