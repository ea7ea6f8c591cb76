"""Measured responses as models are fitted to them: of vertices, and means of parcels."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Float

from saebrain.encoding.layout import Layout
from saebrain.pipeline.array_cache import ArrayCache
from saebrain.pipeline.steps import digest, read_record
from saebrain.pipeline.timing import study_responses
from saebrain.study import Study
from saebrain.surface.atlas import Atlas, parcel_means


class Measured:
    """The responses of all subjects, read when they are first asked for. Columns without data are 0 in some segment, or in all."""

    def __init__(self, study: Study, layout: Layout, atlas: Atlas, cache: ArrayCache) -> None:
        self._responses = study_responses(study)  # checked by the responses step: not read again in full here
        self._layout, self._atlas, self._cache = layout, atlas, cache
        kept = [len(layout.kept), int(layout.kept[0])]
        content = [read_record(study, "responses").get("key"), layout.run_lengths, kept, layout.segments, atlas.name]
        self._key = f"parcels-{digest(content)}"

    @property
    def subjects(self) -> list[str]:
        return self._responses.subjects

    @cached_property
    def vertices(self) -> dict[str, Float[np.ndarray, "samples vertices"]]:
        """Every vertex, standardised within segments."""
        return {subject: self._read(subject) for subject in self.subjects}

    @cached_property
    def parcels(self) -> dict[str, Float[np.ndarray, "samples parcels"]]:
        """Mean over each parcel's vertices with data, standardised again; the second time from the disk."""
        means = self._cache.get(self._key)
        if means is None:
            means = np.stack([self._parcels_of(subject) for subject in self.subjects])
            self._cache.put(self._key, means)
        return dict(zip(self.subjects, means, strict=True))

    def _read(self, subject: str) -> Float[np.ndarray, "samples vertices"]:
        return self._layout.standardise(np.concatenate([self._responses.read(subject, run) for run in self._responses.runs]))

    def _parcels_of(self, subject: str) -> Float[np.ndarray, "samples parcels"]:
        y = self.vertices[subject] if "vertices" in self.__dict__ else self._read(subject)
        with_data = np.logical_and.reduce([y[segment].any(axis=0) for segment in self._layout.segments])
        return self._layout.standardise_kept(parcel_means(np.where(with_data, y, np.float32(np.nan)), self._atlas))
