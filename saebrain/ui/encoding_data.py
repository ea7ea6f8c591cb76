"""What the encoding page keeps between reruns, and one form for what it shows: parcels of a live answer, or vertices of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from jaxtyping import Bool, Float

from saebrain.pipeline import live
from saebrain.pipeline.cortical import Part
from saebrain.pipeline.live import Answer, Live
from saebrain.pipeline.results import Result
from saebrain.pipeline.selection import ALL, NUISANCE, canonical, sets_in, study_codebook
from saebrain.pipeline.space import study_atlas
from saebrain.pipeline.summary import predicted_cortex
from saebrain.study import Study
from saebrain.surface.atlas import Atlas
from saebrain.taxonomy import SEMANTIC

_KEYED: dict[Any, Any] = {Study: live.live_key}
LOADING = "Loading responses and kernels: only the first answer waits for this"


@dataclass(frozen=True, eq=False)
class Shown:
    """r of one selection, at every vertex; where only parcels were scored, all vertices of a parcel have its r."""

    selection: str
    r: Float[np.ndarray, "subjects vertices"]
    r_features: Float[np.ndarray, "subjects vertices"]
    parcels: pd.DataFrame
    by_vertex: bool
    n_features: int
    atlas: Atlas

    @property
    def subjects(self) -> list[str]:
        return list(dict.fromkeys(self.parcels["subject"]))

    def values(self, part: Part, subject: str | None) -> Float[np.ndarray, " vertices"]:
        """One subject's map, or the mean over subjects (None)."""
        r = self.r_features if part == "features" else self.r
        return np.asarray(r.mean(axis=0) if subject is None else r[self.subjects.index(subject)])

    def mean_r(self, cortex: Bool[np.ndarray, " vertices"], part: Part = "whole") -> dict[str, float]:
        """Mean over some cortex, by subject: over its vertices, or, where only parcels were scored, over its parcels."""
        if self.by_vertex:
            r = self.r_features if part == "features" else self.r
            return {subject: _mean(row[cortex]) for subject, row in zip(self.subjects, r, strict=True)}
        inside = np.isin(np.arange(len(self.atlas)), np.unique(self.atlas.labels[cortex]))
        column = "r_features" if part == "features" else "r"
        return {str(subject): _mean(rows[column].to_numpy()[inside]) for subject, rows in self.parcels.groupby("subject", sort=False)}


def of_answer(study: Study, selection: str, answer: Answer, n_features: int) -> Shown:
    """Parcels painted on vertices."""
    atlas, table = study_atlas(study), answer.table
    painted = {}
    for column in ("r", "r_features"):
        by_parcel = table[column].to_numpy(np.float32).reshape(-1, len(atlas))
        painted[column] = np.concatenate([by_parcel, np.full((len(by_parcel), 1), np.nan, np.float32)], axis=1)[:, atlas.labels]  # -1 is the last
    return Shown(selection, painted["r"], painted["r_features"], table, False, n_features, atlas)


def of_result(study: Study, selection: str, result: Result) -> Shown:
    """A map of vertices."""
    return Shown(selection, result.r, result.r_features, result.parcels, True, result.info["n_features"], study_atlas(study))


@st.cache_resource(hash_funcs=_KEYED, max_entries=2, show_spinner=LOADING)
def engine(study: Study) -> Live:
    """The study's encoding models, in memory; shared between sessions."""
    return Live(study)


@st.cache_data(hash_funcs=_KEYED, max_entries=64, show_spinner=False)
def _answer(_engine: Live, study: Study, selection: str, key: str) -> Answer:
    return _engine.answer(selection)


def answer(study: Study, selection: str) -> Answer:
    """Parcels of a selection, with the labels as they are now.

    Raises
    ------
    InputError
        If it is not understood, or has no active feature.
    """
    return _answer(engine(study), study, selection, live.answer_key(study, selection))


@st.cache_data(hash_funcs=_KEYED, max_entries=4, show_spinner=False)
def _labels(study: Study, stamp: str) -> pd.Series:
    return live.current_labels(study)


def labels(study: Study) -> pd.Series:
    """The one label of every feature, as the labels are now."""
    return _labels(study, live.labels_stamp(study))


def cortex(study: Study) -> Bool[np.ndarray, " vertices"]:
    """Predicted cortex."""
    return predicted_cortex(study)


def predicted_parcels(study: Study, selection: str) -> set[str]:
    """Parcels that the codebook predicts for the categories in a selection; for other features those of any subcategory."""
    codebook = study_codebook(study)
    sets = sets_in(canonical(selection, codebook))
    named = sets & set(codebook.paths)
    if sets == {NUISANCE}:
        return set()
    return {parcel for path in named or {SEMANTIC} for parcel in codebook.predicted(path)}


def named(selection: str) -> str:
    """A selection as people read it."""
    return {ALL: "all features", NUISANCE: "nuisance alone"}.get(selection, selection.replace("/", " / ").replace("+", " + ").replace("&", " & "))


def _mean(r: Float[np.ndarray, "*axes"]) -> float:
    return float(np.nanmean(r)) if np.isfinite(r).any() else float("nan")
