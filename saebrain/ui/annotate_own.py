"""What an annotator sees of their own work: time, what has been settled since, labels by an older codebook, suggestions afterwards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from saebrain.annotation.log import read_events, reveal
from saebrain.annotation.people import Person
from saebrain.annotation.queues import Desk, time_spent
from saebrain.annotation.state import settled, stale, standing
from saebrain.study import Study
from saebrain.ui import data
from saebrain.ui.annotate_bench import Bench, local
from saebrain.ui.text import category, escaped


def show(at: Desk, person: Person) -> None:
    """Draw, on demand, the decisions about features that the annotator labelled."""
    events = read_events(at.database, at.layer)
    own = standing(events)
    _decisions(at, person, own[(own["annotator"] == person.name) & (own["codebook"] == at.codebook)], settled(events))


def spent(at: Desk, person: Person) -> None:
    """How much the annotator has done, and how fast; nobody else is shown that."""
    seconds = time_spent(at, person.name)
    if seconds:
        each, total = np.median(seconds), sum(seconds) / 60
        st.caption(f"{len(seconds):,} labels, {each:.0f} s each (median), {total:.0f} min in all. Only you see these times.")


def _decisions(at: Desk, person: Person, own: pd.DataFrame, decisions: pd.DataFrame) -> None:
    """Final labels of features that the person labelled; looking at them is logged, as it ends their blindness to these features."""
    both = own.merge(decisions, on="feature", suffixes=("", "_final"))
    if both.empty:
        return
    if st.toggle(f"Show the {len(both):,} decisions about features that you labelled", key=f"decisions {at.layer}"):
        for feature in both["feature"]:
            reveal(at.database, person.name, at.layer, int(feature), at.codebook, "decision")
        rows = "".join(
            f'<tr><td class="num">{row.feature}</td><td>{escaped(category(row.label))}</td><td><b>{escaped(category(row.label_final))}</b></td>'
            f"<td>{escaped(row.note_final or '')}</td><td>{escaped(row.annotator_final)}, {local(row.time_final):%d %b %Y}</td></tr>"
            for row in both.itertuples()
        )
        head = '<tr><th class="num">Feature</th><th>Yours</th><th>Final</th><th>Why</th><th>Settled by</th></tr>'
        st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>')


def stale_count(at: Desk, name: str) -> int:
    """How many of a person's labels that stand are of another version of the codebook."""
    rows = stale(read_events(at.database, at.layer), at.codebook)
    return int((rows["annotator"] == name).sum())


def suggestion(study: Study, at: Desk, person: Person, state: Bench) -> None:
    """What the machine annotators say of the feature just labelled, if the study shows that; logged before it is shown."""
    receipt = state.answered
    if at.settings.suggestions == "off" or receipt is None or receipt.kind != "label":
        return
    reveal(at.database, person.name, at.layer, receipt.feature, at.codebook, "suggestion")
    labels = data.store(study).labels(receipt.feature)
    said = "; ".join(
        f"{escaped(row.annotator)} {escaped(category(row.label))}" for row in labels.itertuples() if row.annotator.startswith("machine:")
    )
    st.html(f'<div class="sb sb-receipts faint">Feature {receipt.feature}, by machine: {said}</div>')
