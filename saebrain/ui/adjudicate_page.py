"""The adjudication page: what each person said of a feature side by side, its evidence, and the final label with its reason."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from saebrain.annotation import answers
from saebrain.annotation.answers import CONFIDENCES
from saebrain.annotation.database import the_database
from saebrain.annotation.log import read_events, reveal
from saebrain.annotation.people import Person
from saebrain.annotation.queues import Desk
from saebrain.annotation.state import disagreements, settled, standing
from saebrain.errors import SaebrainError
from saebrain.pipeline import human_labels
from saebrain.pipeline.annotating import desk
from saebrain.pipeline.selection import study_codebook
from saebrain.study import Study
from saebrain.taxonomy import Codebook
from saebrain.ui import annotate_evidence, login
from saebrain.ui.annotate_bench import local, written
from saebrain.ui.annotate_guidelines import guidelines
from saebrain.ui.annotate_page import STYLE
from saebrain.ui.selection import View
from saebrain.ui.text import category, escaped, plain

HEIGHT = 240
_DONE = "adjudicated"


def show(view: View, study: Study) -> None:
    """Draw the page."""
    st.html(STYLE)
    database = the_database(study)
    person = login.person(view, study, database)
    if person is None:
        return
    if not person.may("adjudicate"):
        st.info(f"{plain(person.name)} is {person.role}: settling disagreements takes the role adjudicator or admin.", icon=":material/gavel:")
        return
    at = desk(study, database)
    events = read_events(database, at.layer)
    open_ = disagreements(events, at.codebook)
    publishing(study)
    feature = _list(view, open_, events, at)
    if feature is None:
        st.info("No feature is left on which people differ.", icon=":material/done_all:")
        return
    reveal(database, person.name, at.layer, feature, at.codebook, "labels")
    _feature(view, study, at, person, events, feature, list(dict.fromkeys(open_["feature"])))


def publishing(study: Study) -> None:
    """What people have said since labels were last taken over into selections and models, and the button that does."""
    count = human_labels.unpublished(study)
    if count:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{count:,}** features have a label of people that selections and encoding models do not use yet.")
            st.button(
                "Use them",
                icon=":material/publish:",
                on_click=_publish,
                args=(study,),
                help="The encoding page follows at once; the standard results of categories that change are computed by `python -m saebrain encode`.",
            )


def _publish(study: Study) -> None:
    human_labels.publish(study)


def _list(view: View, open_: pd.DataFrame, events: pd.DataFrame, at: Desk) -> int | None:
    """The features that are open; returns the chosen one. A link may name one that is settled, to settle it anew."""
    features = [int(feature) for feature in dict.fromkeys(open_["feature"])]
    labelled = standing(events)
    known = set(labelled.loc[labelled["codebook"] == at.codebook, "feature"])
    raw = view.text("feature")
    chosen = int(raw) if raw.isdigit() and int(raw) in known else None
    if features:
        wide = open_.pivot(index="feature", columns="annotator", values="label").reindex(features)
        clicked = st.dataframe(
            wide.map(lambda label: "" if pd.isna(label) else category(label)),
            height=min(HEIGHT, 38 + 35 * len(wide)),
            on_select="rerun",
            selection_mode="single-row",
            key=f"open {len(features)} {features[0]}",
            alt="Features on which people differ, and what each said",
        )["selection"]["rows"]
        st.caption(f"{len(features):,} features on which people differ. Click at the left of a row to choose one.")
        if clicked and int(features[clicked[0]]) != chosen and st.session_state.get("adjudicate row") != clicked:
            chosen = features[clicked[0]]
            view.set("feature", chosen)
        st.session_state["adjudicate row"] = clicked
    return chosen if chosen is not None else (features[0] if features else None)


def _feature(view: View, study: Study, at: Desk, person: Person, events: pd.DataFrame, feature: int, open_: list[int]) -> None:
    codebook = study_codebook(study)
    st.header(f"Feature {feature}", anchor=False)
    said = standing(events)
    said = said[(said["feature"] == feature) & (said["codebook"] == at.codebook)].sort_values("annotator")
    for column, (_, row) in zip(st.columns(max(len(said), 2), border=True), said.iterrows(), strict=False):
        with column:
            st.html(_opinion(row))
    decided = settled(events)
    for row in decided[decided["feature"] == feature].itertuples():
        st.info(f"Settled as **{plain(category(row.label))}** by {plain(row.annotator)}: {plain(row.note)}", icon=":material/gavel:")
    left, right = st.columns([3, 2], gap="large")
    with right, st.container(key="answer"):
        _decision(view, at, person, codebook, feature, said, events, open_)
        st.html(guidelines(codebook, tuple(dict.fromkeys(said["label"]))))
    with left:
        annotate_evidence.draw(study, annotate_evidence.gathered(study, feature))


def _opinion(row: pd.Series) -> str:
    """What one person said, as HTML."""
    grade = "" if pd.isna(row["confidence"]) else f"{CONFIDENCES[int(row['confidence'])]}, "
    swayed = ' <span class="faint">after seeing a suggestion or others</span>' if row["suggestion_visible"] else ""
    words = f'<div dir="auto">“{escaped(row["note"])}”</div>' if row["note"] else '<div class="faint">no note</div>'
    return (
        f'<div class="sb"><b>{escaped(row["annotator"])}</b>{swayed}<div style="font-size:1.15rem">{escaped(category(row["label"]))}</div>'
        f'<div class="faint">{grade}{local(row["time"]):%d %b %Y, %H:%M}</div>{words}</div>'
    )


def _decision(
    view: View, at: Desk, person: Person, codebook: Codebook, feature: int, said: pd.DataFrame, events: pd.DataFrame, open_: list[int]
) -> None:
    """The form of the final label."""
    if done := st.session_state.pop(_DONE, None):
        (st.success if done[0] else st.warning)(plain(done[1]), icon=":material/gavel:")
    relevant = events[(events["feature"] == feature) & events["kind"].isin(["label", "undo", "adjudicate"])]
    seen = int(relevant["id"].max())
    given = list(dict.fromkeys(said["label"]))
    paths = [*(path for path in given if path in codebook.paths), *(path for path in codebook.paths if path not in given)]
    final, why = f"final {feature} {seen}", f"why {feature} {seen}"
    st.selectbox("Final label", paths, format_func=category, key=final, help="What people said comes first.")
    st.text_area("Why", key=why, placeholder="One sentence; the annotators read it.", height=90)

    def settle() -> None:
        label, rationale = st.session_state[final], st.session_state[why]  # as they are now, not as they were when this was drawn
        try:
            receipt = answers.adjudicate(at, codebook, person.name, feature, label, rationale, seen=seen)
        except SaebrainError as error:
            st.session_state[_DONE] = (False, str(error))
            return
        if receipt.repeated:
            st.session_state[_DONE] = (False, f"Settled before you, as {category(receipt.label or '')}, #{receipt.number}. Yours was not saved.")
        else:
            st.session_state[_DONE] = (True, written(receipt))
            rest = [other for other in open_ if other != feature]
            later = [other for other in rest if other > feature] or rest
            view.set("feature", later[0] if later else None)

    st.button("Settle", type="primary", icon=":material/gavel:", on_click=settle, key=f"settle {feature} {seen}", width="stretch")
