"""The agreement page: the headline, its sureness, every other figure of agreement, the confusion matrix, progress and power."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from saebrain.agreement import GOAL
from saebrain.annotation.database import Database, open_database
from saebrain.annotation.log import read_events, reveal
from saebrain.annotation.people import Person
from saebrain.annotation.queues import Desk, progress
from saebrain.annotation.reliability import by_version, cell, label_table, over_time, report, still_needed, versions
from saebrain.annotation.state import headline
from saebrain.pipeline.annotating import desk
from saebrain.study import Study
from saebrain.ui import agreement_plots as plots
from saebrain.ui import login, people_panel
from saebrain.ui.agreement_table import margins_table, pairs_table, within_table
from saebrain.ui.annotate_page import QUEUE_NAMES
from saebrain.ui.frame import export_name, link
from saebrain.ui.selection import View
from saebrain.ui.text import category, plain

BETWEEN = " and "
LEVELS = {"leaf": "Full label", "top": "Top level"}


def show(view: View, study: Study) -> None:
    """Draw the page."""
    database = open_database(study, create=False)
    events = None if database is None else read_events(database, study.layer)
    if database is None or events is None or not (events["kind"] == "label").any():
        st.info("Nobody has labelled a feature of this layer yet.", icon=":material/label_off:")
        link("annotate", "Label features", icon=":material/label:")
        return
    at = desk(study, database)
    known = versions(events)
    version = view.choice("codebook", known, at.codebook if at.codebook in known else known[-1])
    if len(known) > 1:
        st.segmented_control("Codebook", known, required=True, **view.widget("codebook", version, at.codebook if at.codebook in known else known[-1]))
    found = report(events, version, goal=GOAL)
    pair = _choose_pair(view, found["headline"])
    if pair is None:
        st.info(
            "No feature of the random sample has been labelled by two people yet, so no agreement is defined. "
            "The annotate page gives out the features that several people label first.",
            icon=":material/hourglass_empty:",
        )
    else:
        _headline(pair)
        _figures(found, pair)
        _matrix(view, study, database, at, events, version, pair, found["headline"])
        _courses(events, version, pair)
    _beside(found)
    _progress(at)
    _download(study, events, version)
    person = login.known(view, study, database)
    if person is not None and person.may("manage"):
        people_panel.show(database, person)


def _choose_pair(view: View, found: dict[str, Any]) -> dict[str, Any] | None:
    """The pair to look at; by default the one with most features in common."""
    pairs = {f"{pair['a']}{BETWEEN}{pair['b']}": pair for pair in sorted(found["pairs"], key=lambda pair: -pair["n"]) if pair["n"]}
    if not pairs:
        return None
    first = next(iter(pairs))
    chosen = view.choice("pair", list(pairs), first)
    if len(pairs) > 1:
        st.selectbox("Annotators", list(pairs), width=360, **view.widget("pair", chosen, first))
    return pairs[chosen]


def _headline(pair: dict[str, Any]) -> None:
    """Kappa with its interval, and what is missing until it is shown to pass the goal."""
    st.subheader(f"{plain(pair['a'])} and {plain(pair['b'])}", anchor=False)
    one, two, three = st.columns(3, border=True)
    with one:
        value = "undefined" if pair["kappa"] is None else f"{pair['kappa']:.2f}"
        st.metric("Cohen's κ, full label", value, help="Blind, first submissions, before adjudication, random sample only.")
    with two:
        between = "undefined" if pair["log_low"] is None else f"{pair['log_low']:.2f} to {pair['log_high']:.2f}"
        st.metric("95% interval", between, help="Symmetric on the scale of log(1 − κ), with the standard error of Fleiss, Cohen and Everitt.")
    with three:
        missing = still_needed(np.array(pair["confusion"]), GOAL)
        said = "–" if missing is None else ("passed" if missing == 0 else f"{missing:,} more")
        about = "Features that both have to label still, if all shares stay as they are; – if κ does not exceed the goal."
        st.metric(f"Until the lower bound passes {GOAL:g}", said, help=about)
    st.caption(
        f"{pair['n']:,} features of the random sample that both labelled, blind: first submissions, before adjudication. "
        "If one category is very common, κ can be low although two people hardly ever differ, since they would often agree by chance: "
        "so percent agreement, PABAK, AC1 and the margins stand beside it."
    )


def _figures(found: dict[str, Any], pair: dict[str, Any]) -> None:
    st.subheader("All pairs", anchor=False)
    main, levels = found["headline"], found["headline"].get("levels")
    st.html(pairs_table({"Full label": main["pairs"], **({"Top level": levels["top"]["pairs"]} if levels else {})}))
    several = [f"Krippendorff's α {_with_interval(main, 'alpha')}, Fleiss' κ {_with_interval(main, 'fleiss')}"]
    if levels:
        several.append(f"at the top level α {_with_interval(levels['top'], 'alpha')}, Fleiss' κ {_with_interval(levels['top'], 'fleiss')}")
    st.caption(f"All annotators, gaps allowed: {'; '.join(several)}. SE: Fleiss, Cohen and Everitt (1969). Bootstrap: 2,000 resamples of features.")
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Each category against the rest**")
        defined = {label: kappa for label, kappa in main["per_category"].items() if kappa is not None}
        if defined:
            st.vega_lite_chart(
                plots.category_chart(main["per_category"], main["per_category_interval"]), alt="Kappa of every category against the rest"
            )
        if undefined := [category(label) for label, kappa in main["per_category"].items() if kappa is None]:
            st.caption(f"Undefined: {plain(', '.join(undefined))}.")
    with right:
        if levels and levels["within"]:
            st.markdown("**The kind, where both chose the same top level**")
            st.html(within_table(levels["within"]))
        st.markdown("**Margins: how often each used each label**")
        st.html(margins_table(pair, main["categories"]))


def _matrix(
    view: View, study: Study, database: Database, at: Desk, events: pd.DataFrame, version: str, pair: dict[str, Any], found: dict[str, Any]
) -> None:
    st.subheader("Who said what", anchor=False)
    level = view.choice("level", list(LEVELS), "leaf")
    if "levels" in found:
        st.segmented_control("Level", list(LEVELS), format_func=LEVELS.__getitem__, required=True, **view.widget("level", level, "leaf"))
    part = found["levels"]["top"] if level == "top" and "levels" in found else found
    same = next(other for other in part["pairs"] if (other["a"], other["b"]) == (pair["a"], pair["b"]))
    labels: list[str] = part["categories"]
    raw = view.text("cell").split(" | ")
    chosen = (raw[0], raw[1]) if len(raw) == 2 and set(raw) <= set(labels) else None
    left, right = st.columns([3, 2], gap="large")
    with left:
        key = f"matrix {level} {pair['a']} {pair['b']}"

        def clicked() -> None:
            points = st.session_state[key]["selection"].get(plots.CELL_SELECTION) or []
            view.set("cell", f"{points[0]['a']} | {points[0]['b']}" if points else None)

        spec = plots.confusion_chart(same["confusion"], labels, pair["a"], pair["b"], chosen)
        st.vega_lite_chart(spec, key=key, on_select=clicked, alt="Confusion matrix; the features of a cell are listed beside it once it is clicked")
        st.caption("Features by the two labels; stronger: a larger share of the row. Blue: they agree. Click a cell to see its features.")
    with right:
        if chosen is None:
            return
        person = login.person(view, study, database)
        if person is not None:
            _cell(at, events, version, pair, chosen, level, person)


def _cell(at: Desk, events: pd.DataFrame, version: str, pair: dict[str, Any], chosen: tuple[str, str], level: str, person: Person) -> None:
    """Features of a cell. Who labels sees only those they have answered for good, as the others' labels are blind to them."""
    features = cell(events, version, pair["a"], pair["b"], *chosen, top=level == "top")
    st.markdown(f"**{plain(pair['a'])}: {plain(category(chosen[0]))}; {plain(pair['b'])}: {plain(category(chosen[1]))}**")
    if not person.may("adjudicate"):
        st.info(f"{len(features):,} features. Which they are is for adjudicators to see: labels are blind.", icon=":material/visibility_off:")
        return
    for feature in features:
        reveal(at.database, person.name, at.layer, feature, version, "labels")
    notes = headline(events, version).set_index(["feature", "annotator"])["note"]
    rows = pd.DataFrame(
        {"feature": features, **{name: [notes.get((feature, name)) or "" for feature in features] for name in (pair["a"], pair["b"])}}
    )
    st.dataframe(rows, hide_index=True, height=min(420, 38 + 35 * max(len(rows), 1)), alt="Features of this cell with the notes of both")
    with st.container(horizontal=True):
        for feature in features[:12]:
            link("adjudicate", f"{feature}", icon=":material/gavel:", feature=str(feature))


def _courses(events: pd.DataFrame, version: str, pair: dict[str, Any]) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Over time", anchor=False)
        table = over_time(events, version, pair["a"], pair["b"])
        if table["kappa"].notna().any():
            st.vega_lite_chart(plots.kappa_over(table, "time", "Labelled by both", joined=True), alt="Kappa over time")
            st.caption(f"κ of the last {int(table['n'].max()):,} features that both had labelled by then, with its 95% interval.")
        else:
            st.caption("Undefined so far.")
    with right:
        st.subheader("By version of the codebook", anchor=False)
        table = by_version(events, pair["a"], pair["b"])
        if table["kappa"].notna().any():
            st.vega_lite_chart(plots.kappa_over(table, "codebook", "Codebook", joined=False), alt="Kappa by version of the codebook")
        undefined = ", ".join(table.loc[table["kappa"].isna(), "codebook"])
        st.caption("Versions are never pooled." + (f" Undefined: {plain(undefined)}." if undefined else ""))


def _beside(found: dict[str, Any]) -> None:
    """The same person twice, and labels that were not blind."""
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("The same person again", anchor=False)
        if found["intra"].empty:
            st.caption("Nobody has been asked twice yet.")
        for row in found["intra"].itertuples():
            kappa = "undefined" if np.isnan(row.kappa) else f"{row.kappa:.2f} ({row.low:.2f} to {row.high:.2f})".replace("-", "−")
            st.markdown(f"{plain(row.annotator)}: κ {kappa}, {row.n:,} features")
        st.caption("Features shown again, unannounced, after some time; a low value says that a person's use of the codebook drifts.")
    with right:
        st.subheader("After a suggestion was seen", anchor=False)
        exposed = [pair for pair in found["exposed"]["pairs"] if pair["n"]]
        if exposed:
            st.html(pairs_table({"Not blind": exposed}))
        else:
            st.caption("No feature was labelled by two people after they had seen suggestions or others' labels.")


def _progress(at: Desk) -> None:
    st.subheader("Progress", anchor=False)
    table = progress(at)
    if table.empty:
        st.caption("No queue is planned; opening the annotate page plans them.")
    for row in table.itertuples():
        st.progress(row.filled / row.slots, text=f"{QUEUE_NAMES[row.queue]}: {row.filled:,} of {row.slots:,} labels, by {row.people} people")


def _download(study: Study, events: pd.DataFrame, version: str) -> None:
    """How often each person used each label; whose label a feature bears is not in it."""
    table = label_table(headline(events, version))
    margins = table.groupby(["annotator", "label"]).size().rename("features").reset_index()
    st.download_button(
        "Margins (CSV)",
        lambda: margins.to_csv(index=False).encode(),
        f"{export_name(study, 'agreement-margins')}.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
    )


def _with_interval(found: dict[str, Any], name: str) -> str:
    """A figure of all annotators and its 95% interval."""
    low, high = found[f"{name}_interval"]
    return _figure(found[name]) + (f" ({_figure(low)} to {_figure(high)})" if low is not None else "")


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
