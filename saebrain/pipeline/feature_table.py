"""The table of all features as a person reads it, and how it is filtered."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from saebrain.labels import UNCLEAR, agreed
from saebrain.lexicon import normalise
from saebrain.store import FeatureStore, read_table
from saebrain.study import Study

TOP_WORDS = 5
SEARCHED = ["peak", "top_words", "promoted_text", "label", "parcel"]


@dataclass(frozen=True)
class FeatureTable:
    """A row a feature, its number the index.

    Columns: active, density, mean, max, peak (word at the strongest activation), top_words (the first few different ones),
    promoted_text and suppressed_text (tokens, as one string), label (what all annotators say), agree (bool), a column per
    annotator, and, once the encode step has run, parcel and parcel_r.
    """

    rows: pd.DataFrame
    annotators: list[str]
    kinds: set[str]
    """Of the annotators: "machine" or "human"."""

    def filtered(
        self,
        *,
        text: str = "",
        label: str | None = None,
        agree: bool | None = None,
        density: tuple[float, float] = (0.0, 1.0),
        parcel: str | None = None,
    ) -> pd.DataFrame:
        """The rows that meet every condition.

        Parameters
        ----------
        text : str
            Every word of it stands somewhere in the searched columns, in upper or lower case.
        label : str, optional
            A label, which stands for those below it too.
        agree : bool, optional
            Whether all annotators give the same label.
        density : (low, high)
            Share of tokens at which the feature is active, both ends included.
        parcel : str, optional
            Best parcel, in either hemisphere.
        """
        rows = self.rows
        keep = rows["density"].between(*density)
        for word in text.casefold().split():
            keep &= rows["searched"].str.contains(word, regex=False)
        if label is not None:
            keep &= (rows["label"] == label) | rows["label"].str.startswith(f"{label}/")
        if agree is not None:
            keep &= rows["agree"] == agree
        if parcel is not None and "parcel" in rows:
            keep &= rows["parcel"].str.partition(" ")[2] == parcel
        return rows[keep]


def feature_table(study: Study, store: FeatureStore) -> FeatureTable:
    """Gather the table of a study.

    Raises
    ------
    MissingStepError
        If a step before the labels has not run.
    """
    rows = store.features().set_index("feature")
    labels = read_table(study.labels, "python -m saebrain labels", ["feature", "annotator", "kind", "label"])
    annotators = sorted(labels["annotator"].unique())
    said = pd.Series(list(zip(*(rows[name].fillna(UNCLEAR) for name in annotators), strict=True)), index=rows.index)
    rows["label"] = said.map(_agreed_label(labels, said))
    rows["agree"] = said.map(lambda given: len(set(given)) == 1)
    rows["top_words"] = _top_words(study).reindex(rows.index).fillna("")
    for name in ("promoted_text", "suppressed_text"):
        rows[name] = rows[name].map(lambda tokens: " ".join(token.strip() for token in tokens))
    searched = [name for name in SEARCHED if name in rows]
    rows["searched"] = [" ".join(row).casefold() for row in zip(*(rows[name].fillna("") for name in searched), strict=True)]
    return FeatureTable(rows, annotators, set(labels["kind"]))


def _agreed_label(labels: pd.DataFrame, said: pd.Series) -> dict[tuple[str, ...], str]:
    """What the annotators agree on, for every combination of labels that occurs: far fewer than features."""
    examples = said.drop_duplicates()
    common = agreed(labels[labels["feature"].isin(examples.index)])
    return {given: str(common[feature]) for feature, given in examples.items()}


def _top_words(study: Study) -> pd.Series:
    """The first different words, strongest first, at which each feature is active."""
    contexts = read_table(study.features / "contexts.parquet", "python -m saebrain features", ["feature", "rank", "token"])
    tokens = read_table(study.tokens, "python -m saebrain activations", ["run", "word"])
    words = read_table(study.words, "python -m saebrain stimulus", ["run", "index", "word"])
    forms = pd.Series({word: normalise(word) for word in words["word"].unique()})
    words = words.assign(form=words["word"].map(forms))
    at = tokens.assign(token=range(len(tokens))).merge(words, left_on=["run", "word"], right_on=["run", "index"])[["token", "form"]]
    peaks = contexts.merge(at, on="token").sort_values(["feature", "rank"]).drop_duplicates(["feature", "form"])
    first = peaks[peaks.groupby("feature").cumcount() < TOP_WORDS]
    listed: dict[int, list[str]] = {}
    for feature, form in zip(first["feature"], first["form"], strict=True):  # a groupby would take longer than all the rest
        listed.setdefault(feature, []).append(form)
    return pd.Series({feature: ", ".join(words) for feature, words in listed.items()}, dtype=str)
