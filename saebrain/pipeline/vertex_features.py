"""The features whose courses go best with one vertex."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float

from saebrain.maps import haemodynamic, standardised
from saebrain.pipeline.array_cache import ArrayCache
from saebrain.pipeline.feature_map import FeatureMapper
from saebrain.pipeline.steps import digest, read_record
from saebrain.pipeline.stimulus import load_stimulus
from saebrain.store import read_codes, read_table
from saebrain.study import Study

VERSION = 1


class VertexFeatures:
    """The courses of all features, made once (and kept in the study's cache), to hold against any vertex within milliseconds."""

    def __init__(self, study: Study, mapper: FeatureMapper) -> None:
        self._mapper = mapper
        section = study.config.encoding
        settings = [section.pooling, section.downsampling, study.config.responses.tr_s, mapper.responses.samples, VERSION]
        key = f"courses-{digest([read_record(study, 'codes').get('key'), settings])}"
        cache = ArrayCache(study.folder / "cache")
        found = cache.get(key)
        if found is None:
            found = self._made(study)
            cache.put(key, found)
        self._courses: Float[np.ndarray, "all_samples features"] = found
        varies = [found[a:b].any(axis=0) for a, b in pairwise(np.cumsum([0, *mapper.responses.samples]))]
        self._runs = np.sum(varies, axis=0)

    def best(self, vertex: int, subject: str | None, count: int = 5) -> pd.DataFrame:
        """Features whose r with a vertex (mean over runs in which they vary, and over subjects if None) is furthest from 0: feature, r."""
        mapper = self._mapper
        subjects = mapper.subjects if subject is None else [subject]
        total = np.zeros(self._courses.shape[1], np.float32)
        samples = mapper.responses.samples
        for each in subjects:
            for run, (a, b) in zip(mapper.responses.runs, pairwise(np.cumsum([0, *samples])), strict=True):
                y = np.asarray(mapper.responses.read(each, run)[:, vertex], np.float32)
                total += ((y - y.mean()) @ self._courses[a:b]) / ((b - a) * mapper.deviation(each, run)[vertex])
        r = total / (np.maximum(self._runs, 1) * len(subjects))
        order = np.argsort(-np.abs(np.nan_to_num(r)), kind="stable")[:count]
        return pd.DataFrame({"feature": order, "r": r[order]})

    def _made(self, study: Study) -> Float[np.ndarray, "all_samples features"]:
        features = read_table(study.features / "features.parquet", "python -m saebrain features", ["feature"])
        stimulus = load_stimulus(study, read_codes(study.features / "codes.parquet", len(features)))
        courses, lengths = stimulus.courses(None, unit=False), stimulus.run_lengths
        convolved = haemodynamic(courses, lengths, study.config.responses.tr_s)
        for a, b in pairwise(np.cumsum([0, *lengths])):
            convolved[a:b] = standardised(convolved[a:b])
        return convolved
