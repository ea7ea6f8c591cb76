"""What pages read, kept between reruns. A study that has been rebuilt is noticed: its step records are part of every key."""

from __future__ import annotations

import hashlib
import json
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st
from jaxtyping import Float

from saebrain.pipeline import cortical, state
from saebrain.pipeline.feature_table import FeatureTable, feature_table
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.space import Space
from saebrain.pipeline.state import State
from saebrain.pipeline.steps import read_record
from saebrain.store import FeatureStore, read_table
from saebrain.study import Study
from saebrain.surface.marks import png_url
from saebrain.surface.render import categories_strip, strip
from saebrain.ui.style import PICTURE_WIDTH

if TYPE_CHECKING:
    from saebrain.pipeline.feature_map import FeatureMapper
    from saebrain.pipeline.feature_weights import FeatureWeights
    from saebrain.pipeline.vertex_features import VertexFeatures


def stamp(study: Study) -> str:
    """Changes when the study's config or any of its steps' results change."""
    records = [read_record(study, name) for name in STEPS]
    published = study.labels.stat().st_mtime_ns if study.labels.is_file() else None  # people's labels come without a step
    steps = [(r.get("key"), r.get("finished")) for r in records]
    return json.dumps([str(study.folder.resolve()), study.config.model_dump(mode="json"), steps, published])


def short_stamp(study: Study) -> str:
    """The same in a few letters, with the layer: to tell this study's maps from others in a browser."""
    return hashlib.sha256(f"{stamp(study)} {study.layer}".encode()).hexdigest()[:10]


_KEYED: dict[Any, Any] = {Study: stamp}


@st.cache_resource(hash_funcs=_KEYED, max_entries=4, show_spinner=False)
def store(study: Study) -> FeatureStore:
    """The feature tables, opened."""
    return FeatureStore(study.features, study.tokens, study.labels)


@st.cache_resource(hash_funcs=_KEYED, max_entries=2, show_spinner="Reading the features")
def table(study: Study) -> FeatureTable:
    """The table of all features; shared between sessions, so never changed."""
    return feature_table(study, store(study))


@st.cache_resource(hash_funcs=_KEYED, max_entries=2, show_spinner="Reading the responses")
def mapper(study: Study) -> FeatureMapper:
    """What maps of single features are made from."""
    from saebrain.pipeline.feature_map import FeatureMapper  # slow to load (scipy), and only maps of single features need it

    return FeatureMapper(study)


@st.cache_data(hash_funcs=_KEYED, max_entries=64, show_spinner=False)
def feature_map(study: Study, feature: int) -> Float[np.ndarray, "subjects vertices"]:
    """A feature's map in every subject."""
    return mapper(study).map(*store(study).codes(feature))


@st.cache_data(hash_funcs=_KEYED, max_entries=64, show_spinner=False)
def feature_null(study: Study, feature: int) -> tuple[Float[np.ndarray, "subjects vertices"], Float[np.ndarray, " vertices"]]:
    """How far a feature's map strays from 0 by chance, in every subject and in their mean."""
    from saebrain.pipeline.feature_test import null_deviations  # slow to load (scipy)

    return null_deviations(mapper(study), *store(study).codes(feature))


@st.cache_resource(hash_funcs=_KEYED, max_entries=1, show_spinner="Reading the features' courses")
def vertex_features(study: Study) -> VertexFeatures:
    """What finds the best features at a vertex."""
    from saebrain.pipeline.vertex_features import VertexFeatures  # slow to load (scipy)

    return VertexFeatures(study, mapper(study))


@st.cache_resource(hash_funcs=_KEYED, max_entries=1, show_spinner="Fitting the model of all features")
def _weights(study: Study) -> FeatureWeights:
    from saebrain.pipeline.feature_weights import FeatureWeights  # slow to load (scipy)

    return FeatureWeights(study)


@st.cache_data(hash_funcs=_KEYED, max_entries=64, show_spinner="Fitting the model of all features")
def feature_weight(study: Study, feature: int, kind: str, subject: str) -> Float[np.ndarray, " vertices"]:
    """A feature's weights, summed over delays, or its share of variance; NaN where there is no data."""
    model = _weights(study)
    return model.contribution(feature, subject) if kind == "share" else model.weight(feature, subject)


@st.cache_data(hash_funcs=_KEYED, max_entries=32, show_spinner=False)
def selection_map(study: Study, selection: str, part: cortical.Part = "whole") -> cortical.CorticalMap:
    """A selection's map in every subject."""
    return cortical.selection_map(study, selection, part)


@st.cache_data(hash_funcs=_KEYED, max_entries=4, show_spinner=False)
def shared_reach(study: Study) -> float:
    """The colour range that maps of all selections share."""
    return cortical.shared_reach(study)


class OfWords:
    """Something about every word, by run and word: a series a run, as an index of all words of a long text would take hundreds of megabytes."""

    def __init__(self, table: pd.DataFrame, column: str) -> None:
        self._runs = {str(run): group.set_index("index")[column] for run, group in table.groupby("run", sort=False)}

    def get(self, place: tuple[str, int]) -> Any:
        """That of one word; None if there is no such word."""
        run, word = place
        return self._runs[run].get(word) if run in self._runs else None

    def __getitem__(self, run: str) -> pd.Series:
        return self._runs[run]


@st.cache_resource(hash_funcs=_KEYED, max_entries=2, show_spinner=False)
def word_onsets(study: Study) -> OfWords:
    """Onset of every word in seconds; shared between sessions, so never changed."""
    return OfWords(read_table(study.words, "python -m saebrain stimulus", ["run", "index", "onset_s"]), "onset_s")


@st.cache_resource(hash_funcs=_KEYED, max_entries=2, show_spinner=False)
def words(study: Study) -> OfWords:
    """Every word as written; shared between sessions, so never changed."""
    return OfWords(read_table(study.words, "python -m saebrain stimulus", ["run", "index", "word"]), "word")


@st.cache_data(hash_funcs={Space: attrgetter("key")}, max_entries=64, show_spinner=False)
def map_pictures(
    space: Space, values: Float[np.ndarray, " vertices"], surface: str, threshold: float, reach: float, outlines: bool, rows: int
) -> list[str]:
    """Four views of a map as PNG (data URLs), a picture a row. Without any text: it looks the same on a light and a dark page."""
    labels = space.atlas.labels if outlines else None
    picture = strip(values, surface=surface, threshold=threshold, vmax=reach, outlines=labels, width=PICTURE_WIDTH, surfaces=space.surfaces)
    return [png_url(np.ascontiguousarray(part)) for part in np.array_split(picture, rows, axis=1)]


@st.cache_data(hash_funcs={Space: attrgetter("key")}, max_entries=16, show_spinner=False)
def category_pictures(space: Space, index: np.ndarray, palette: np.ndarray, measured: np.ndarray, surface: str, outlines: bool) -> list[str]:
    """Four views of a map of categories as PNG (data URL), as one row, without any text."""
    picture = categories_strip(
        index,
        palette,
        measured=measured,
        surface=surface,
        outlines=space.atlas.labels if outlines else None,
        width=PICTURE_WIDTH,
        surfaces=space.surfaces,
    )
    return [png_url(picture)]


@st.cache_data(hash_funcs=_KEYED, ttl=10, max_entries=4, show_spinner=False)
def states(study: Study) -> list[State]:
    """Where every step stands; input files are looked at again after some seconds."""
    return state.states(study)


def outdated(study: Study) -> bool:
    """Whether something is shown that no longer belongs to study.toml and its input files."""
    return any(step.condition == "out of date" for step in states(study))


def summary(study: Study) -> dict[str, Any]:
    """The figures of the summary step.

    Raises
    ------
    MissingStepError
        If it has not run.
    """
    state.check(study, "summary")
    return dict(json.loads(study.summary.read_text(encoding="utf-8")))
