"""The statistics of a mapped selection: ceiling, matched baselines, permutation of parcels, the test over subjects."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from saebrain.pipeline import live
from saebrain.pipeline.results import result_folder
from saebrain.pipeline.runs import Run
from saebrain.study import Study
from saebrain.ui import encoding_data as data
from saebrain.ui import encoding_jobs
from saebrain.ui.encoding_data import Shown
from saebrain.ui.encoding_jobs import Work
from saebrain.ui.encoding_plots import beside_ceiling, null_histogram
from saebrain.ui.frame import export_name
from saebrain.ui.selection import View
from saebrain.ui.text import MEAN, escaped, plain, signed

DRAWS = 1000
LEVEL = 0.05


def work(selection: str) -> Work:
    """Computing them."""
    return Work(
        "saebrain.pipeline.statistics:compute",
        {"selection": selection, "n": DRAWS, "seed": 0},
        f"Statistics of {data.named(selection)[:60]}",
        "Compute the statistics",
        f"{DRAWS:,} draws of matched features and of shifted responses: takes minutes, and goes on if you close this page.",
        unit="draws",
    )


def show(view: View, study: Study, found: Shown | None, run: Run | None) -> None:
    """Draw the section."""
    assert found is not None
    if run is not None and run.result != result_folder(study, found.selection).name:
        st.info("This run belongs to labels or settings of before: statistics are computed for the study as it is now.", icon=":material/history:")
        return
    statistics = live.read_statistics(study, found.selection)
    if not found.by_vertex:
        st.info("Statistics belong to a map of vertices: map every vertex of this selection first.", icon=":material/neurology:")
        return
    if statistics is None:
        st.markdown("Noise ceiling, matched baselines and permutation tests of this selection are not computed yet.")
        encoding_jobs.offer(study, work(found.selection), place="statistics")
        return
    _figures(statistics)
    left, right = st.columns(2, gap="large")
    with left:
        _matched(statistics["matched"])
    with right:
        _subjects(statistics)
    _parcels(view, study, found, statistics["permutation"])


def _figures(statistics: dict[str, Any]) -> None:
    ceiling, matched, group = statistics["ceiling"], statistics["matched"], statistics["group"]
    shown = [
        ("r", _number(statistics["r"]), f"all features {_number(statistics['r_all'])}, nuisance {_number(statistics['r_nuisance'])}"),
        ("Fraction of the peak", _share(statistics["fraction_of_peak"]), "of the r of all features"),
        ("r / noise ceiling", _share(statistics["r_normalised"]), _ceiling(ceiling)),
        ("Matched baselines", _p(matched["p"]), _beside_matched(matched)),
        ("Over subjects", _p(group["p"]), f"{group['n_subjects']} subjects, smallest p possible {group['smallest_p']:.3g}"),
    ]
    for column, (title, value, note) in zip(st.columns(len(shown), border=True), shown, strict=True):
        with column:
            st.html(
                f'<div class="sb"><div class="faint">{escaped(title)}</div><div style="font-size:1.5rem">{escaped(value)}</div>'
                f'<div class="faint">{escaped(note)}</div></div>'
            )
    st.caption(" ".join(_sentence(note) for note in (statistics["region"], ceiling.get("note"), group.get("note")) if note))


def _matched(matched: dict[str, Any]) -> None:
    st.markdown("**Against matched feature sets**")
    if matched.get("absent"):
        st.info(plain(matched["absent"]), icon=":material/hide_source:")
        return
    chart = null_histogram(matched["null"], matched["observed"], "r of nuisance and features, predicted parcels", "Matched sets")
    st.vega_lite_chart(chart, alt=f"r of {matched['n']} matched sets; observed {matched['observed']:.3f}")
    st.caption(f"{_p(matched['p'])}, d {signed(matched['d'])}; {matched['n']:,} {plain(matched['definition'])}. Seed {matched['seed']}.")
    if own := matched.get("own"):
        st.caption(
            f"In the parcels that the codebook predicts for this category alone: r {_number(own['observed'])}, {_p(own['p'])}, d {signed(own['d'])}."
        )


def _subjects(statistics: dict[str, Any]) -> None:
    st.markdown("**Each subject**")
    by_subject = statistics["by_subject"]
    series = {"r": "this selection", "r_all": "all features", "r_nuisance": "nuisance alone"}
    rows = [{"subject": subject, "series": title, "r": values[key]} for subject, values in by_subject.items() for key, title in series.items()]
    ceilings = {subject: values["ceiling"] for subject, values in by_subject.items() if values["ceiling"] is not None}
    st.vega_lite_chart(beside_ceiling(rows, ceilings), alt="r of every subject, with the noise ceiling")
    table = "".join(
        f'<tr><td>{escaped(subject)}</td><td class="num">{_number(values["r"])}</td><td class="num">{_number(values["gain"])}</td>'
        f'<td class="num">{_number(values["ceiling"])}</td><td class="num">{_share(values["r_normalised"])}</td></tr>'
        for subject, values in by_subject.items()
    )
    titles = "".join(f'<th class="num">{title}</th>' for title in ("r", "over nuisance", "ceiling", "r / ceiling"))
    head = f"<tr><th>Subject</th>{titles}</tr>"
    st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{table}</tbody></table></div>')
    st.caption("Upright bars: noise ceilings, where there are any.")


def _parcels(view: View, study: Study, found: Shown, permutation: dict[str, Any] | None) -> None:
    st.markdown("**What the selection adds to the nuisance bands, parcel by parcel**")
    if permutation is None:
        st.info("Nuisance alone adds nothing to itself.", icon=":material/hide_source:")
        return
    subject = view.choice("subject", [MEAN, *found.subjects], MEAN)
    every = pd.DataFrame(permutation["parcels"])
    table = pd.DataFrame(permutation["mean"]) if subject == MEAN else every[every["subject"] == subject]
    passed, strict = int((table["q"] < LEVEL).sum()), int((table["p_max"] < LEVEL).sum())
    st.caption(
        f"{_sentence(permutation['statistic'])} {_sentence(permutation['kind'])} n = {permutation['n']:,}, so that p is never below "
        f"{permutation['smallest_p']:.2g}. **{passed}** of {len(table)} parcels have q < {LEVEL} (Benjamini-Hochberg), **{strict}** have "
        f"p < {LEVEL} by the largest of all parcels. Mean gain over predicted parcels {_number(permutation['gain'])}, {_p(permutation['p'])}."
    )
    names = {"p": "p", "q": "q (FDR)", "p_max": "p (max)"}
    st.dataframe(
        table.sort_values("gain", ascending=False, na_position="last"),
        hide_index=True,
        height=420,
        column_order=["hemisphere", "parcel", "r", "gain", *names],
        column_config={
            "hemisphere": st.column_config.TextColumn("Side", width=60),
            "parcel": "Parcel",
            "r": st.column_config.NumberColumn("r", format="%.3f"),
            "gain": st.column_config.NumberColumn("Gain over nuisance", format="%.3f"),
            **{name: st.column_config.NumberColumn(title, format="%.4f") for name, title in names.items()},
        },
        alt="Permutation test of every parcel",
    )
    st.download_button(
        "Tests of all subjects' parcels (CSV)",
        lambda: every.to_csv(index=False).encode(),
        f"{export_name(study, found.selection.replace('/', '-')[:60], 'permutation')}.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
    )


def _beside_matched(matched: dict[str, Any]) -> str:
    if matched["d"] is None:
        return "no set can be drawn"
    own = matched.get("own")
    return f"Cohen's d {signed(matched['d'])}" + (f"; in its own parcels {_p(own['p'])}" if own else "")


def _ceiling(ceiling: dict[str, Any]) -> str:
    return "no ceiling" if ceiling["r"] is None else f"ceiling {ceiling['r']:.3f}, {ceiling['kind']}"


def _sentence(text: str) -> str:
    return plain(f"{text if text.startswith('r ') else text[:1].upper() + text[1:]}.")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "−")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _p(value: float | None) -> str:
    return "no p" if value is None else f"p = {value:.3g}"
