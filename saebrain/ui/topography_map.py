"""Predicted against observed contributions of subcategories to parcels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from saebrain.pipeline import live
from saebrain.pipeline.selection import study_codebook
from saebrain.pipeline.space import study_atlas, study_space
from saebrain.study import Study
from saebrain.surface.colour import QUALITATIVE
from saebrain.ui import cortex
from saebrain.ui.encoding_jobs import Work
from saebrain.ui.encoding_plots import counted_null, heat_map
from saebrain.ui.frame import export_name
from saebrain.ui.selection import View
from saebrain.ui.text import MEAN, escaped, plain, whose

WORK = Work(
    "saebrain.pipeline.topography:compute",
    live.FILED["topography"][1],
    "Topography",
    "Compute the topography",
    "Fits the model with and without each subcategory, then turns maps on the sphere: takes minutes, and goes on if you close this page.",
    unit="draws",
)


def show(view: View, study: Study, found: dict[str, Any]) -> None:
    """Draw the result."""
    of = view.choice("of", [MEAN, *found["subjects"]], MEAN)
    st.selectbox("Subject", [MEAN, *found["subjects"]], format_func=whose, width=300, **view.widget("of", of, MEAN))
    figures = found if of == MEAN else found["by_subject"][of]
    _tiles(found, figures)
    st.caption(plain(f"{found['definition']}."))
    table = contributions(study, found, figures["observed"])
    st.subheader("Observed contributions, with the codebook's predictions", anchor=False)
    _heat_map(study, found, table)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Against maps turned on the sphere", anchor=False)
        _null(found)
    with right:
        st.subheader("Each subcategory", anchor=False)
        _subcategories(study, found)
    st.subheader("Which subcategory contributes most to each parcel?", anchor=False)
    _winners(study, found, figures, of)
    st.subheader("Each subject", anchor=False)
    _subjects(found)
    st.download_button(
        "Contributions (CSV)",
        lambda: table.to_csv(index=False).encode(),
        f"{export_name(study, 'topography', of)}.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
    )


def contributions(study: Study, found: dict[str, Any], observed: list[list[float | None]]) -> pd.DataFrame:
    """A row a subcategory and parcel: subcategory, hemisphere, parcel, r (unique contribution), predicted."""
    codebook = study_codebook(study)
    return pd.DataFrame(
        [
            {"subcategory": codebook[path].name, **place, "r": r, "predicted": bool(predicted)}
            for path, row, prior in zip(found["subcategories"], observed, found["predicted"], strict=True)
            for place, r, predicted in zip(found["parcels"], row, prior, strict=True)
        ]
    )


def _tiles(found: dict[str, Any], figures: dict[str, Any]) -> None:
    hits = figures["hits"]
    parcel = f", {_p(found['p_parcel'])} for parcels shuffled" if figures is found else ""
    shown = [
        ("Spearman's ρ", f"{figures['rho']:.2f}", f"at most {found['rho_max']:.2f} can be reached; {_p(figures['p_spin'])} for spins{parcel}"),
        ("Rank-biserial", f"{figures['rank_biserial']:.2f}", "1: every predicted cell ranks above every other"),
        ("Predicted parcels among the top", _p(figures["p_hypergeom"]), "hypergeometric, all subcategories together"),
        ("Winner as predicted", f"{hits['right']} of {hits['of']}", f"by chance {hits['expected']:.1f} parcels"),
    ]
    for column, (title, value, note) in zip(st.columns(len(shown), border=True), shown, strict=True):
        with column:
            st.html(
                f'<div class="sb"><div class="faint">{escaped(title)}</div><div style="font-size:1.5rem">{escaped(value)}</div>'
                f'<div class="faint">{escaped(note)}</div></div>'
            )


def _heat_map(study: Study, found: dict[str, Any], table: pd.DataFrame) -> None:
    rows = [study_codebook(study)[path].name for path in found["subcategories"]]
    # Parcels of one prediction stand together, in the order of the subcategories; the others follow.
    by_parcel = table[table["predicted"]].assign(row=lambda part: part["subcategory"].map(rows.index)).groupby("parcel")["row"].min()
    columns = [*by_parcel.sort_values(kind="stable").index, *sorted(set(table["parcel"]) - set(by_parcel.index))]
    end = max(float(table["r"].abs().max()), 0.01)
    for number, (hemisphere, part) in enumerate(table.groupby("hemisphere", sort=True)):
        cells = [
            {"row": row.subcategory, "column": row.parcel, "r": None if pd.isna(row.r) else float(row.r), "predicted": bool(row.predicted)}
            for row in part.itertuples()
        ]
        st.markdown(f"**{str(hemisphere).capitalize()}**")
        chart = heat_map(cells, rows, columns, end, legend=number == 0)
        st.vega_lite_chart(chart, alt=f"Unique contribution of every subcategory to every {hemisphere} parcel; diamonds are predicted")
    st.caption(
        "Colour: held-out r of all subcategories together, less r without this one. ◆: predicted by the codebook. Parcels stand in the order of "
        "their predictions."
    )


def _null(found: dict[str, Any]) -> None:
    null = found["null"]
    chart = counted_null(null["counts"], null["edges"], found["rho"], "Spearman's ρ, predicted parcels, mean over subjects", "Spins")
    st.vega_lite_chart(chart, alt=f"rho of {found['n']} spins; observed {found['rho']:.2f}")
    rows = "".join(
        f'<tr><td>{escaped(name)}</td><td class="num"><b>{figures["rho"]:.2f}</b></td><td class="num">{_p(figures["p_spin"])}</td>'
        f'<td class="num">{_p(figures["p_parcel"])}</td></tr>'
        for name, figures in found["overall"].items()
    )
    head = '<tr><th>ρ over</th><th class="num">ρ</th><th class="num">spins</th><th class="num">parcels shuffled</th></tr>'
    st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>')
    st.caption(f"{found['n']:,} draws, seed {found['seed']}; mean over subjects. A spin turns both hemispheres alike and keeps how smooth maps are.")


def _subcategories(study: Study, found: dict[str, Any]) -> None:
    codebook = study_codebook(study)
    body = ""
    for row in found["by_subcategory"]:
        top, overlap = row["overlap"], f"{row['overlap']['found']} of {row['overlap']['k']}"
        rho = "–" if row["rho"] is None else f"{row['rho']:.2f}"
        body += (
            f"<tr><td><b>{escaped(codebook[row['path']].name)}</b><br>"
            f'<span class="faint">{escaped(", ".join(row["top"]))}</span></td>'
            f'<td class="num">{rho}</td><td class="num">{_bare(row["p_spin"])}</td>'
            f'<td class="num">{overlap}<br><span class="faint">chance {top["expected"]:.1f}</span></td><td class="num">{_bare(top["p"])}</td></tr>'
        )
    head = (
        '<tr><th>Subcategory, with its top parcels</th><th class="num">ρ</th><th class="num">p, spins</th><th class="num">top predicted</th>'
        '<th class="num">p, hypergeom.</th></tr>'
    )
    st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>')
    st.caption("Mean over subjects; ρ over all parcels. Top parcels: as many as are predicted, hemispheres averaged.")


def _winners(study: Study, found: dict[str, Any], figures: dict[str, Any], of: str) -> None:
    atlas, paths = study_atlas(study), found["subcategories"]
    number = {(row["hemisphere"], row["parcel"]): -1 if row["winner"] is None else paths.index(row["winner"]) for row in figures["winners"]}
    index = np.append([number.get(place, -1) for place in atlas.parcels], -1)[atlas.labels]
    names = [study_codebook(study)[path].name for path in paths]
    shown = cortex.Categories(index.astype(np.int16), QUALITATIVE[: len(names)], names, "none contributes", atlas.labels >= 0)
    alt = f"Subcategory that contributes most to each parcel, {whose(of)}"
    cortex.show_categories(study_space(study), shown, cortex.Look(outlines=True), alt=alt)
    st.caption(
        f"Shown: {plain(whose(of))}. The largest of {len(paths)} is chosen in every parcel: where none contributes much, the winner is chance."
    )


def _subjects(found: dict[str, Any]) -> None:
    body = "".join(
        f'<tr><td>{escaped(subject)}</td><td class="num"><b>{figures["rho"]:.2f}</b></td><td class="num">{figures["rank_biserial"]:.2f}</td>'
        f'<td class="num">{_p(figures["p_spin"])}</td><td class="num">{_p(figures["p_hypergeom"])}</td>'
        f'<td class="num">{figures["hits"]["right"]} of {figures["hits"]["of"]}</td></tr>'
        for subject, figures in {"mean over subjects": found, **found["by_subject"]}.items()
    )
    titles = ("ρ", "rank-biserial", "spins", "hypergeometric", "winner as predicted")
    head = "<tr><th>Subject</th>" + "".join(f'<th class="num">{title}</th>' for title in titles) + "</tr>"
    st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>')


def _bare(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _p(value: float | None) -> str:
    return "no p" if value is None else f"p = {value:.2g}"
