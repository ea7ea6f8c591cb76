"""The figures of an answer, and its parcels as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from saebrain.pipeline.cortical import Part
from saebrain.pipeline.runs import Run
from saebrain.pipeline.space import study_atlas
from saebrain.study import Study
from saebrain.ui import encoding_data as data
from saebrain.ui import plots
from saebrain.ui.encoding_data import Shown
from saebrain.ui.frame import export_name
from saebrain.ui.selection import View
from saebrain.ui.text import MEAN, escaped, plain, whose


def part_of(part: str, found: Shown) -> Part:
    """The part of the prediction that can be shown: a model of nuisance bands alone has no other."""
    return "features" if part == "features" and found.n_features else "whole"


def figures(study: Study, found: Shown) -> None:
    """Mean r over predicted cortex: of the group, then of every subject."""
    where = data.cortex(study)
    whole = found.mean_r(where)
    rows = [("whole prediction", whole)]
    if found.n_features:
        rows.append(("features' part", found.mean_r(where, "features")))
    head = "".join(f'<th class="num">{escaped(subject)}</th>' for subject in whole)
    body = "".join(
        f'<tr><td>r of the {escaped(name)}</td><td class="num"><b>{_written(np.mean(list(r.values())))}</b></td>'
        + "".join(f'<td class="num">{_written(value)}</td>' for value in r.values())
        + "</tr>"
        for name, r in rows
    )
    over = "vertices" if found.by_vertex else "parcels"
    st.html(
        f'<div class="sb"><table><thead><tr><th>Mean over predicted cortex ({over})</th><th class="num">group</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def table(study: Study, found: Shown, subject: str | None) -> pd.DataFrame:
    """A row a parcel: hemisphere, parcel, r, r_features, predicted, vertices; of one subject, or the mean over all (None)."""
    atlas = study_atlas(study)
    rows = found.parcels if subject is None else found.parcels[found.parcels["subject"] == subject]
    means = rows.groupby(["hemisphere", "parcel"], sort=False)[["r", "r_features"]].mean().reset_index()
    predicted = data.predicted_parcels(study, found.selection)
    sizes = pd.DataFrame(list(atlas.parcels), columns=["hemisphere", "parcel"]).assign(vertices=atlas.sizes())
    return means.assign(predicted=means["parcel"].isin(predicted)).merge(sizes, on=["hemisphere", "parcel"], how="left")


def show(view: View, study: Study, found: Shown | None, run: Run | None) -> None:
    """The parcels, with the codebook's prediction."""
    assert found is not None
    subject = view.choice("subject", [MEAN, *found.subjects], MEAN)
    column = "r_features" if part_of(view.choice("part", ["whole", "features"], "whole"), found) == "features" else "r"
    parcels = table(study, found, None if subject == MEAN else subject)
    st.caption(
        f"Shown: {plain(whose(subject))}. "
        + ("Mean r over each parcel's vertices. " if found.by_vertex else "r of each parcel's mean response. ")
        + "Predicted: by the codebook, for the categories of this selection."
    )
    chart, listed = st.columns(2, gap="large")
    with chart:
        shown = parcels.assign(r=parcels[column])
        st.vega_lite_chart(plots.parcel_chart(shown, "r of the features' part" if column == "r_features" else "r"), alt="r of every parcel")
    with listed:
        _listed(parcels.sort_values(column, ascending=False, na_position="last"))
        stem = export_name(study, found.selection.replace("/", "-")[:60], "vertices" if found.by_vertex else "parcels", subject)
        st.download_button(
            "Parcels (CSV)",
            lambda: parcels.to_csv(index=False).encode(),
            f"{stem}_table.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/download:",
            type="tertiary",
        )


def _listed(parcels: pd.DataFrame) -> None:
    st.dataframe(
        parcels,
        hide_index=True,
        height=640,
        column_order=["hemisphere", "parcel", "r", "r_features", "predicted"],
        column_config={
            "hemisphere": st.column_config.TextColumn("Side", width=50),
            "parcel": "Parcel",
            "r": st.column_config.NumberColumn("r", format="%.3f", width=60),
            "r_features": st.column_config.NumberColumn("r, features' part", format="%.3f", width=105),
            "predicted": st.column_config.CheckboxColumn("Predicted", width=75),
        },
        alt="r of every parcel",
    )


def _written(value: float | np.floating) -> str:
    return f"{value:.3f}".replace("-", "−") if np.isfinite(value) else "–"
