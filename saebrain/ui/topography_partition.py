"""Variance partition: what each subcategory explains alone, and what it shares."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from saebrain.pipeline import live
from saebrain.pipeline.selection import study_codebook
from saebrain.study import Study
from saebrain.ui.encoding_jobs import Work
from saebrain.ui.encoding_plots import parts_chart
from saebrain.ui.frame import export_name
from saebrain.ui.selection import View
from saebrain.ui.text import MEAN, escaped, plain, signed, whose

WORK = Work(
    "saebrain.pipeline.partition:compute",
    live.FILED["partition"][1],
    "Variance partition",
    "Compute the variance partition",
    "Scores every subset of the subcategories in all parcels: takes a minute or two, and goes on if you close this page.",
    unit="subsets",
)
PARTS = {"unique": "unique R²", "shared": "shared R²", "shapley": "Shapley R²", "unique_r": "unique r"}
DIGITS = 4


def show(view: View, study: Study, found: dict[str, Any]) -> None:
    """Draw the result."""
    of = view.choice("of", [MEAN, *found["subjects"]], MEAN)
    st.selectbox("Subject", [MEAN, *found["subjects"]], format_func=whose, width=300, **view.widget("of", of, MEAN))
    codebook = study_codebook(study)
    parts = found["parts"] if of == MEAN else found["by_subject"][of]
    st.subheader(f"Over all predicted parcels: R² of all together {signed(parts['total'], 3)}", anchor=False)
    names = {path: codebook[path].name for path in found["subcategories"]}
    left, right = st.columns(2, gap="large")
    with left:
        rows = [
            {"row": names[path], "part": title, "r2": values[part]}
            for path, values in parts["by_subcategory"].items()
            for part, title in (("unique", "unique"), ("shared", "shared with others"))
        ]
        st.vega_lite_chart(parts_chart(rows, list(names.values())), alt="Unique and shared variance of every subcategory")
    with right:
        st.html(_table(names, parts["by_subcategory"]))
    if of == MEAN:
        st.subheader("In the parcels that each subcategory predicts", anchor=False)
        st.html(_table(names, found["own"]))
    st.caption(plain(f"{found['note']}."))
    st.subheader("Every subset", anchor=False)
    subsets = pd.DataFrame(
        [
            {"features": " + ".join(names[path] for path in each["paths"]) or "nuisance alone", "r2": each["r2"], "component": each["component"]}
            for each in found["subsets"]
        ]
    )
    st.dataframe(
        subsets,
        hide_index=True,
        column_config={
            "features": st.column_config.TextColumn("Subcategories in the model", width="large"),
            "r2": st.column_config.NumberColumn("R² of the model", format="%.4f"),
            "component": st.column_config.NumberColumn("R² of what only these share", format="%.4f"),
        },
        alt="R2 of every subset of subcategories",
    )
    st.caption("Mean over predicted parcels and subjects. The components add up to the R² of all together.")
    table = parcels(found)
    st.download_button(
        "Parcels (CSV)",
        lambda: table.to_csv(index=False).encode(),
        f"{export_name(study, 'variance-partition')}.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
    )


def parcels(found: dict[str, Any]) -> pd.DataFrame:
    """A row a parcel and subcategory: hemisphere, parcel, total, subcategory, and its parts; mean over subjects."""
    return pd.DataFrame(
        [
            {"hemisphere": row["hemisphere"], "parcel": row["parcel"], "total": row["total"], "subcategory": path, **values}
            for row in found["parcels"]
            for path, values in row["by_subcategory"].items()
        ]
    )


def _table(names: dict[str, str], rows: dict[str, dict[str, float | None]]) -> str:
    head = "<tr><th>Subcategory</th>" + "".join(f'<th class="num">{title}</th>' for title in PARTS.values()) + "</tr>"
    body = "".join(
        f"<tr><td>{escaped(names[path])}</td>"
        + "".join(f'<td class="num">{"–" if values[part] is None else signed(values[part] or 0.0, DIGITS)}</td>' for part in PARTS)
        + "</tr>"
        for path, values in rows.items()
    )
    return f'<div class="sb"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'
