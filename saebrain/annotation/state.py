"""What follows from the log: whose label stands, what was said first and blind, which label is final. Tables in, tables out.

Events are tables as from `saebrain.annotation.log.read_events`. A repeat never counts as its person's label.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import takewhile

import pandas as pd

from saebrain.annotation.queues import SAMPLED

UNCLEAR = "unclear"
HUMAN, ADJUDICATED = "human", "adjudicated"
"""Provenance of a label."""
FAIRLY_SURE, SURE = 2, 3
"""Confidence."""


def undone(events: pd.DataFrame) -> pd.Series:
    """Whether each event was taken back (bool, by row)."""
    return events["uuid"].isin(events.loc[events["kind"] == "undo", "supersedes"])


def standing(events: pd.DataFrame) -> pd.DataFrame:
    """Every person's label of every feature that stands: the last that was not taken back. Rows of ``events``."""
    labels = events[(events["kind"] == "label") & (events["queue"] != "repeat") & ~undone(events)]
    return labels.drop_duplicates(["annotator", "feature", "layer"], keep="last")


def first_blind(events: pd.DataFrame, codebook: str) -> pd.DataFrame:
    """What each person said of each feature by one version of the codebook before anything could sway them. Rows of ``events``.

    That is the first label; a slip that was taken back before anything was revealed does not count, one that was taken back
    later does. Nor does a label that was given after others' or the machine's labels were revealed to its person, or after
    the feature was adjudicated.
    """
    labels = events[(events["kind"] == "label") & (events["codebook"] == codebook) & (events["queue"] != "repeat") & ~events["suggestion_visible"]]
    slips = events[(events["kind"] == "undo") & ~events["suggestion_visible"]]
    labels = labels[~labels["uuid"].isin(slips["supersedes"])]
    settled = events[events["kind"] == "adjudicate"].groupby(["layer", "feature"])["id"].min().rename("settled")
    labels = labels.join(settled, on=["layer", "feature"])
    before = labels["settled"].isna() | (labels["id"] < labels["settled"])
    return labels[before].drop(columns="settled").drop_duplicates(["annotator", "feature", "layer"])


def headline(events: pd.DataFrame, codebook: str) -> pd.DataFrame:
    """What kappa is reported on: blind, first submission, before adjudication, random sample only. Rows of ``events``."""
    first = first_blind(events, codebook)
    return first[first["queue"].isin(SAMPLED)]


def repeats(events: pd.DataFrame, codebook: str) -> pd.DataFrame:
    """Features that a person labelled twice without being told: annotator, feature, first, again, time (of the second)."""
    own = events[(events["kind"] == "label") & (events["codebook"] == codebook) & ~undone(events)]
    first = own[own["queue"] != "repeat"].drop_duplicates(["annotator", "feature", "layer"])
    again = own[own["queue"] == "repeat"].drop_duplicates(["annotator", "feature", "layer"])
    both = first.merge(again, on=["annotator", "feature", "layer"], suffixes=("_first", "_again"))
    return both[["annotator", "feature", "label_first", "label_again", "time_again"]].set_axis(
        ["annotator", "feature", "first", "again", "time"], axis=1
    )


def stale(events: pd.DataFrame, codebook: str) -> pd.DataFrame:
    """Labels that stand, but were given by another version of the codebook. Rows of ``events``."""
    labels = standing(events)
    return labels[labels["codebook"] != codebook]


def settled(events: pd.DataFrame) -> pd.DataFrame:
    """The last adjudication of every feature, unless it was taken back. Rows of ``events``."""
    final = events[(events["kind"] == "adjudicate") & ~undone(events)]
    return final.drop_duplicates(["feature", "layer"], keep="last")


def disagreements(events: pd.DataFrame, codebook: str) -> pd.DataFrame:
    """Labels that stand, of features on which people differ and which are not settled since; by feature and annotator."""
    labels = standing(events)
    labels = labels[labels["codebook"] == codebook]
    differ = labels.groupby("feature")["label"].transform("nunique") > 1
    last_settled = settled(events).set_index("feature")["id"]
    open_ = ~(labels["id"] <= labels["feature"].map(last_settled).fillna(-1))
    newer = open_.groupby(labels["feature"]).transform("any")  # a label that came after the decision opens it again
    return labels[differ & newer].sort_values(["feature", "annotator"])


def final_labels(events: pd.DataFrame, paths: Collection[str]) -> pd.DataFrame:
    """The label of every feature that people have labelled.

    An adjudicated label counts before all; else what all who labelled it agree on, the longest common path, or "unclear".
    Labels that the codebook no longer has are left out.

    Returns
    -------
    DataFrame
        feature (int32, ascending), label, provenance ("human" or "adjudicated"), confidence (float32, 0 to 1: the annotators' mean, who
        says nothing being fairly sure; of adjudicated labels 1), annotators (how many), codebook (version).
    """
    labels = standing(events)
    labels = labels[labels["label"].isin(list(paths))]
    decided = settled(events)
    decided = decided[decided["label"].isin(list(paths))].set_index("feature")
    rows = []
    for feature, group in labels.groupby("feature", sort=True):
        if feature in decided.index:
            rows.append((feature, decided.at[feature, "label"], ADJUDICATED, 1.0, len(group), decided.at[feature, "codebook"]))
        else:
            sure = float(group["confidence"].fillna(FAIRLY_SURE).mean()) / SURE
            rows.append((feature, _common(group["label"]), HUMAN, sure, len(group), group["codebook"].iloc[-1]))
    table = pd.DataFrame(rows, columns=["feature", "label", "provenance", "confidence", "annotators", "codebook"])
    types = {"feature": "int32", "confidence": "float32", "annotators": "int32", "label": str, "provenance": str, "codebook": str}
    return table.astype(types)


def _common(paths: pd.Series) -> str:
    """The longest common path."""
    levels = zip(*(path.split("/") for path in paths), strict=False)
    return "/".join(level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)) or UNCLEAR
