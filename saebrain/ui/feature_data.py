"""What the feature browser reads, kept between reruns; see `saebrain.ui.data`."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from jaxtyping import Float

from saebrain.errors import MissingStepError
from saebrain.pipeline.cortical import reach
from saebrain.pipeline.feature_notes import Note, notes_path, read_notes
from saebrain.pipeline.feature_table import ContextSearch, FeatureTable
from saebrain.pipeline.space import Space, study_atlas, study_space
from saebrain.store import read_table
from saebrain.study import Study
from saebrain.surface.marks import png_url
from saebrain.surface.render import strip
from saebrain.ui import data

THUMBNAIL_WIDTH = 240
MOST_THUMBNAILS = 4000
AT_ONCE = 25
"""Features whose maps are computed together: 20,484 numbers each."""
_KEYED: dict[Any, Any] = {Study: data.stamp}


def notes(study: Study) -> list[Note]:
    """Imported notes, as the file is now."""
    path = notes_path(study)
    return _notes(study, path.stat().st_mtime_ns) if path.is_file() else []


@st.cache_data(hash_funcs=_KEYED, max_entries=4, show_spinner=False)
def _notes(study: Study, changed: int) -> list[Note]:
    return read_notes(study)


def notes_text(study: Study) -> pd.Series:
    """All notes of a feature as one text in lower case, by feature."""
    found = notes(study)
    table = pd.Series([note.text.casefold() for note in found], [note.feature for note in found], dtype=str)
    return table.groupby(level=0).agg(" ".join) if len(table) else table


@st.cache_resource(hash_funcs=_KEYED, max_entries=2, show_spinner="Reading the text")
def context_search(study: Study) -> ContextSearch:
    """The text, ready to be searched."""
    return ContextSearch(study)


@st.cache_resource(hash_funcs=_KEYED, max_entries=4, show_spinner=False)
def _layout(study: Study, changed: int) -> pd.DataFrame:
    return read_table(study.features / "layout.parquet", f"python -m saebrain layout {study.folder}")


def layout(study: Study) -> pd.DataFrame | None:
    """Places of features on their map; None if it has not been made."""
    path = study.features / "layout.parquet"
    return _layout(study, path.stat().st_mtime_ns) if path.is_file() else None


def neighbours(study: Study, feature: int) -> pd.DataFrame | None:
    """What is near a feature; None if that has not been found."""
    try:
        return data.store(study).neighbours(feature)
    except MissingStepError:
        return None


@st.cache_resource(hash_funcs=_KEYED, max_entries=2, show_spinner=False)
def _thumbnails(study: Study) -> tuple[dict[int, str], Lock]:
    return {}, Lock()


def thumbnails(study: Study, features: Sequence[int], greatest: float) -> list[str]:
    """Small maps of features as pictures (data URLs), mean over subjects; those not seen before are made together. Empty without a map."""
    known, lock = _thumbnails(study)
    with lock:
        if len(known) > MOST_THUMBNAILS:
            known.clear()
        space, missing = study_space(study), [feature for feature in features if feature not in known]
        for first in range(0, len(missing), AT_ONCE):
            part = missing[first : first + AT_ONCE]
            maps = data.mapper(study).mean_maps([data.store(study).codes(feature) for feature in part])
            known.update({feature: _picture(space, values, greatest) for feature, values in zip(part, maps, strict=True)})
        return [known[feature] for feature in features]


def map_reach(table: FeatureTable) -> float:
    """One colour range for the maps of all features of a study."""
    return reach(table.rows["parcel_r"].to_numpy(float), percentile=98)


def _picture(space: Space, values: Float[np.ndarray, " vertices"], greatest: float) -> str:
    if np.isnan(values).all():
        return ""
    picture = strip(values, surface=space.surfaces.shown(), vmax=greatest, width=THUMBNAIL_WIDTH, surfaces=space.surfaces)
    return png_url(picture)


@st.cache_data(hash_funcs=_KEYED, max_entries=32, show_spinner=False)
def parcel_course(study: Study, run: str, parcel: str) -> Float[np.ndarray, "subjects samples"]:
    """Mean response of a parcel ("left bankssts") in a run, in every subject; mean 0 and standard deviation 1."""
    atlas = study_atlas(study)
    hemisphere, _, name = parcel.partition(" ")
    number = next(n for n, found in enumerate(atlas.parcels) if found == (hemisphere, name))
    return data.mapper(study).parcel_courses(run, np.flatnonzero(atlas.labels == number))
