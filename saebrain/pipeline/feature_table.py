"""The table of all features as a person reads it, and how it is filtered and sorted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jaxtyping import Bool, Int

from saebrain.errors import InputError
from saebrain.labels import UNCLEAR, agreed, by_machine
from saebrain.lexicon import normalise
from saebrain.pipeline.feature_filter import ExpertFilter
from saebrain.store import FeatureStore, read_table
from saebrain.study import Study

TOP_WORDS = 5
SEARCHED = ["peak", "top_words", "promoted_text", "label", "parcel"]
FILTERED = [
    *("active", "density", "mean", "max", "peak", "top_words", "promoted_text", "suppressed_text"),
    *("label", "provenance", "agree", "parcel", "parcel_r"),
]
"""Columns that the filter for experts may name."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which features to list; every condition that is given has to be met.

    text : every word of it stands somewhere in the searched columns or the notes, in upper or lower case.
    label : a label, which stands for those below it too.
    agree : whether all annotators give the same label.
    density, largest, r : both ends included; the share of tokens, the greatest activation, and r of the best parcel (``None``: any, or none).
    parcel : best parcel, in either hemisphere.
    among : only these features.
    without : none of these.
    expert : see `ExpertFilter`.
    """

    text: str = ""
    label: str | None = None
    agree: bool | None = None
    density: tuple[float, float] = (0.0, 1.0)
    largest: tuple[float, float] = (0.0, np.inf)
    r: tuple[float, float] | None = None
    parcel: str | None = None
    among: Collection[int] | None = None
    without: Collection[int] = ()
    expert: str = ""


@dataclass(frozen=True)
class FeatureTable:
    """A row a feature, its number the index.

    Columns: active, density, mean, max, peak (word at the strongest activation), top_words (the first few different ones),
    promoted_text and suppressed_text (tokens, as one string), label (what people say, else what all machine annotators say),
    provenance ("human", "adjudicated" or "machine"), agree (bool: the machine annotators), a column per machine annotator, and,
    once the encode step has run, parcel and parcel_r.
    """

    rows: pd.DataFrame
    annotators: list[str]
    kinds: set[str]
    """Of the annotators: "machine" or "human"."""

    @cached_property
    def expert(self) -> ExpertFilter:
        """The table as the filter for experts sees it."""
        return ExpertFilter(self.rows, [name for name in FILTERED if name in self.rows])

    def filtered(self, wanted: Filter, notes: pd.Series | None = None) -> pd.DataFrame:
        """The rows that meet every condition.

        Parameters
        ----------
        notes : Series, optional
            What people wrote, in lower case, by feature; it is searched too.

        Raises
        ------
        InputError
            If the filter for experts is not understood.
        """
        rows = self.rows
        keep = rows["density"].between(*wanted.density) & rows["max"].between(*wanted.largest)
        for word in wanted.text.casefold().split():
            found = rows["searched"].str.contains(word, regex=False)
            if notes is not None and len(notes):
                found |= rows.index.isin(notes.index[notes.str.contains(word, regex=False)])
            keep &= found
        if wanted.label is not None:
            keep &= (rows["label"] == wanted.label) | rows["label"].str.startswith(f"{wanted.label}/")
        if wanted.agree is not None:
            keep &= rows["agree"] == wanted.agree
        if "parcel" in rows:
            if wanted.parcel is not None:
                keep &= rows["parcel"].str.partition(" ")[2] == wanted.parcel
            if wanted.r is not None:
                keep &= rows["parcel_r"].between(*wanted.r)
        if wanted.among is not None:
            keep &= rows.index.isin(np.fromiter(wanted.among, np.int64))
        if len(wanted.without):
            keep &= ~rows.index.isin(np.fromiter(wanted.without, np.int64))
        if wanted.expert.strip():
            keep &= rows.index.isin(self.expert.run(wanted.expert))
        return rows[keep]


class ContextSearch:
    """Finds the features in whose strongest contexts something is written; upper and lower case are the same.

    The text is searched once, and the contexts that hold what was found are looked up, so contexts are never copied.
    """

    def __init__(self, study: Study) -> None:
        """Read the text and where the contexts are: 9 bytes a token and 20 a context stay in memory.

        Raises
        ------
        MissingStepError
            If they are not there.
        """
        contexts = read_table(study.features / "contexts.parquet", f"python -m saebrain features {study.folder}", ["feature", "start", "stop"])
        self._feature, self._start, self._stop = (contexts[name].to_numpy() for name in ("feature", "start", "stop"))
        parts, sizes = [], []
        for batch in pq.ParquetFile(study.tokens).iter_batches(1 << 18, columns=["text"]):
            texts = [text.casefold().encode() for text in batch.column(0).to_pylist()]
            parts.append(b"".join(texts))
            sizes.append(np.fromiter(map(len, texts), np.int32, len(texts)))
        self._text = b"".join(parts)
        self._ends = np.cumsum(np.concatenate([*sizes, np.empty(0, np.int32)]), dtype=np.int64)

    def features(self, text: str) -> Int[np.ndarray, " features"]:
        """Features with a context in which all of ``text`` stands, ascending.

        Raises
        ------
        InputError
            If the text is too short to mean anything.
        """
        wanted = " ".join(text.casefold().split()).encode()
        if len(wanted) < 2:
            raise InputError(f"search for {text!r} in the contexts: type at least two characters")
        found, at = [], self._text.find(wanted)
        while at >= 0:
            found.append(at)
            at = self._text.find(wanted, at + len(wanted))
        first = np.searchsorted(self._ends, np.array(found, np.int64), side="right")
        last = np.searchsorted(self._ends, np.array(found, np.int64) + len(wanted) - 1, side="right")
        return np.unique(self._feature[self._hold(first, last)])

    def _hold(self, first: Int[np.ndarray, " found"], last: Int[np.ndarray, " found"]) -> Bool[np.ndarray, " contexts"]:
        """Which contexts hold some stretch from a first to a last token: the next stretch from the context's start on has to end inside."""
        place = np.searchsorted(first, self._start)
        return np.append(last, np.iinfo(np.int64).max)[place] < self._stop


def feature_table(study: Study, store: FeatureStore) -> FeatureTable:
    """Gather the table of a study.

    Raises
    ------
    MissingStepError
        If a step before the labels has not run.
    """
    rows = store.features().set_index("feature")
    labels = read_table(study.labels, "python -m saebrain labels", ["feature", "annotator", "kind", "label"])
    machine, people = labels[by_machine(labels)], labels[~by_machine(labels)]
    annotators = sorted(machine["annotator"].unique())
    said = pd.Series(list(zip(*(rows[name].fillna(UNCLEAR) for name in annotators), strict=True)), index=rows.index)
    rows["label"] = said.map(_agreed_label(machine, said))
    rows.loc[people["feature"], "label"] = people["label"].to_numpy()
    rows["provenance"] = "machine"
    rows.loc[people["feature"], "provenance"] = people["kind"].to_numpy()
    rows["agree"] = said.map(lambda given: len(set(given)) == 1)
    if "top_words" not in rows:  # of a study whose features step was run before it noted them
        contexts = read_table(study.features / "contexts.parquet", "python -m saebrain features", ["feature", "rank", "token"])
        tokens = read_table(study.tokens, "python -m saebrain activations", ["run", "word"])
        words = read_table(study.words, "python -m saebrain stimulus", ["run", "index", "word"])
        rows["top_words"] = top_words(contexts, tokens, words).reindex(rows.index)
    rows["top_words"] = rows["top_words"].fillna("")
    for name in ("promoted_text", "suppressed_text"):
        rows[name] = rows[name].map(lambda tokens: " ".join(token.strip() for token in tokens))
    searched = [name for name in SEARCHED if name in rows]
    rows["searched"] = [" ".join(row).casefold() for row in zip(*(rows[name].fillna("") for name in searched), strict=True)]
    return FeatureTable(rows, annotators, set(labels["kind"]))


def top_words(contexts: pd.DataFrame, tokens: pd.DataFrame, words: pd.DataFrame) -> pd.Series:
    """The first different words, strongest first, at which each feature is active, as one string by feature.

    Parameters
    ----------
    contexts, tokens, words : DataFrame
        Columns feature, rank and token; run and word, row number is token number; run, index and word.
    """
    at = tokens.iloc[contexts["token"].unique()][["run", "word"]]
    spoken = words.set_index(["run", "index"])["word"].reindex(pd.MultiIndex.from_frame(at)).set_axis(at.index).dropna()
    forms = spoken.map({word: normalise(word) for word in spoken.unique()})
    peaks = contexts.assign(form=contexts["token"].map(forms)).dropna().sort_values(["feature", "rank"]).drop_duplicates(["feature", "form"])
    first = peaks[peaks.groupby("feature").cumcount() < TOP_WORDS]
    listed: dict[int, list[str]] = {}
    for feature, form in zip(first["feature"], first["form"], strict=True):  # a groupby would take longer than all the rest
        listed.setdefault(feature, []).append(form)
    return pd.Series({feature: ", ".join(words) for feature, words in listed.items()}, dtype=str)


def _agreed_label(labels: pd.DataFrame, said: pd.Series) -> dict[tuple[str, ...], str]:
    """What the annotators agree on, for every combination of labels that occurs: far fewer than features."""
    examples = said.drop_duplicates()
    common = agreed(labels[labels["feature"].isin(examples.index)])
    return {given: str(common[feature]) for feature, given in examples.items()}
