"""A text of one's own, read by the model in a process of its own, with the activations of chosen features token by token."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from saebrain.errors import InputError
from saebrain.pipeline.feature_table import FeatureTable
from saebrain.pipeline.feature_worker import ENDED, MOST_CHARACTERS, MOST_TOKENS, Answer, Worker
from saebrain.study import Study
from saebrain.ui import feature
from saebrain.ui.selection import View
from saebrain.ui.text import category, escaped, plain

EXAMPLE = "The harbour lay quiet. My sister counted eleven boats, and none of them was ours."
TOP, MOST_SHOWN = 12, 8
POLL_S = 0.4
_REQUEST, _TEXT = "text request", "text typed"
_WORDS = {"waiting": "Waiting for its turn", "loading": "Loading the model (some seconds, the first time)", "reading": "Reading"}


@st.cache_resource(show_spinner=False)
def worker(folder: Path) -> Worker:
    """The study's process; it is shared by all who use this server, and ends with it."""
    return Worker(folder)


def show(view: View, study: Study, table: FeatureTable) -> None:
    """The text, what is being done with it, and what came out."""
    reader = worker(study.folder.resolve())
    st.session_state.setdefault(_TEXT, EXAMPLE)
    with st.form("text", border=False):
        st.text_area("Text", key=_TEXT, height=140, max_chars=MOST_CHARACTERS, help=f"At most {MOST_TOKENS} tokens. Any language the model reads.")
        sent = st.form_submit_button("Read", icon=":material/play_arrow:", type="primary", shortcut="Ctrl+Enter")
    if sent:
        try:
            st.session_state[_REQUEST] = (reader.ask(study.layer, st.session_state[_TEXT]), study.layer)
        except InputError as error:
            st.error(plain(error), icon=":material/error:")
    number, layer = st.session_state.get(_REQUEST, (None, None))
    if number is None:
        st.caption("The text is read by the study's model on this machine and kept nowhere.")
        return
    if layer != study.layer:
        st.info(f"What was read stands for layer {layer}. Press Read to see layer {study.layer}.", icon=":material/layers:")
        return
    answer = reader.answer(number)
    if answer.state not in ENDED:
        _waiting(reader, number)
    elif answer.state == "cancelled":
        st.info("Cancelled.", icon=":material/cancel:")
    elif answer.state == "failed":
        st.error(plain(answer.message), icon=":material/error:")
    else:
        _result(view, table, answer)


@st.fragment(run_every=POLL_S)
def _waiting(reader: Worker, number: int) -> None:
    """What is going on, and a way out; once it is over the whole page is drawn again."""
    answer = reader.answer(number)
    if answer.state in ENDED:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/hourglass_top: {_WORDS[answer.state]} …", width="content")
        st.button("Cancel", icon=":material/cancel:", on_click=reader.cancel, args=(number,))


def _result(view: View, table: FeatureTable, answer: Answer) -> None:
    codes = pd.DataFrame({"feature": answer.feature, "token": answer.token, "value": answer.value})
    greatest = table.rows["max"].reindex(codes["feature"]).to_numpy()
    # Features differ in scale: what counts is how near one comes to the strongest it ever is in the study.
    codes["share"] = (codes["value"] / greatest).where(greatest > 0, 1.0)
    strongest = codes.groupby("feature").agg(value=("value", "max"), share=("share", "max"), tokens=("token", "nunique"))
    strongest = strongest.sort_values("share", ascending=False)
    chosen = _choose(view, table, strongest)
    st.subheader("Token by token", anchor=False)
    if not chosen:
        st.caption("Choose features above.")
    st.html(f'<div class="sb">{"".join(_heat(table, answer, codes, number) for number in chosen)}</div>')
    st.caption("Full colour: the feature's greatest activation, here or in the study. Point at a token for its value.")
    st.subheader("Strongest features of every token", anchor=False)
    _per_token(table, answer, codes)


def _choose(view: View, table: FeatureTable, strongest: pd.DataFrame) -> list[int]:
    """The top features as a list to tick, and any others by their number; the chosen ones are kept in the address."""
    named = [int(number) for number in view.text("pick").split(",") if number.isdecimal() and int(number) in table.rows.index]
    top = strongest.index[:TOP].tolist()
    options = [*dict.fromkeys([*named, *strongest.index.tolist()])]
    chosen = named[:MOST_SHOWN] or top[:3]
    if st.session_state.get("widget pick") != chosen:
        st.session_state["widget pick"] = chosen

    def picked() -> None:
        view.set("pick", ",".join(map(str, st.session_state["widget pick"])) or None)

    st.multiselect(
        "Features",
        options,
        format_func=lambda number: _name(table, number),
        max_selections=MOST_SHOWN,
        help="Sorted by their activation here as a share of their greatest in the study.",
        key="widget pick",
        on_change=picked,
    )
    with st.expander(f"Top {len(top)} of {len(strongest):,} active features"):
        rows = strongest.loc[top].reset_index()
        rows["top words"] = table.rows["top_words"].reindex(top).to_numpy()
        rows["label"] = table.rows["label"].reindex(top).to_numpy()
        columns = {"share": st.column_config.NumberColumn("of its greatest", format="percent"), "feature": st.column_config.NumberColumn(format="%d")}
        st.dataframe(rows, hide_index=True, column_config=columns, alt="Strongest features of this text")
    return [int(number) for number in st.session_state["widget pick"]]


def _heat(table: FeatureTable, answer: Answer, codes: pd.DataFrame, number: int) -> str:
    """The text with one feature's activations, as HTML."""
    own = codes[codes["feature"] == number]
    values = [0.0] * len(answer.tokens)
    for token, value in zip(own["token"], own["value"], strict=True):
        values[token] = float(value)
    largest = max([float(table.rows.loc[number, "max"]), *values])
    title = f"feature {number}: {escaped(category(str(table.rows.loc[number, 'label'])))}, {escaped(table.rows.loc[number, 'top_words'])}"
    return (
        f'<div class="sb-context"><div class="where num"><span>{title}</span><span class="value">greatest here {max(values):.1f}</span></div>'
        f'<div class="text" dir="auto" tabindex="0">{feature.heat(answer.tokens, values, largest)}</div></div>'
    )


def _per_token(table: FeatureTable, answer: Answer, codes: pd.DataFrame) -> None:
    top = codes.sort_values("share", ascending=False).groupby("token").head(3)
    listed = top.groupby("token").agg(features=("feature", list), values=("value", list)).reindex(range(len(answer.tokens)))
    words = [
        "; ".join(f"{number} ({_first_words(table, number)}) {value:.1f}" for number, value in zip(numbers, values, strict=True))
        if isinstance(numbers, list)
        else ""
        for numbers, values in zip(listed["features"], listed["values"], strict=True)
    ]
    shown = pd.DataFrame({"token": answer.tokens, "strongest features": words})
    st.dataframe(shown, hide_index=True, height=260, alt="The three strongest features of every token")


def _name(table: FeatureTable, number: int) -> str:
    return f"{number}: {_first_words(table, number)}"


def _first_words(table: FeatureTable, number: int) -> str:
    return ", ".join(str(table.rows.loc[number, "top_words"]).split(", ")[:2])
