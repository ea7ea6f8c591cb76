"""The cortical map of a single feature: how its haemodynamic course correlates with every vertex."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse

from saebrain import design
from saebrain.config import EncodingSection
from saebrain.maps import correlation_map, deviation, haemodynamic, standardised
from saebrain.pipeline.state import check
from saebrain.pipeline.timing import study_responses
from saebrain.responses import Responses
from saebrain.store import read_table
from saebrain.study import Study

MOST_READERS = 4
"""Runs of responses that are read at the same time; each takes its size in memory twice."""


@dataclass(frozen=True)
class _Run:
    """One run as tokens, words and samples."""

    first_token: int
    samples: int
    word_of_token: Int[np.ndarray, " tokens"]
    downsampling: sparse.csr_array

    @classmethod
    def of(cls, name: str, samples: int, words: pd.DataFrame, tokens: pd.DataFrame, tr_s: float, section: EncodingSection) -> _Run:
        rows = np.flatnonzero(tokens["run"] == name)
        onset = words.loc[words["run"] == name, "onset_s"].to_numpy()
        matrix = design.downsampling(onset, samples=samples, tr_s=tr_s, how=section.downsampling)
        return cls(int(rows[0]), samples, tokens["word"].to_numpy()[rows], sparse.csr_array(matrix.astype(np.float32)))


class FeatureMapper:
    """What the map of any feature needs, read once; the responses themselves stay on disk and are mapped into memory."""

    def __init__(self, study: Study) -> None:
        """Read words and tokens, and measure how much every vertex varies (one pass over the responses).

        Raises
        ------
        MissingStepError
            If the responses, or what they need, are not there.
        """
        check(study, "responses")
        words = read_table(study.words, f"python -m saebrain stimulus {study.folder}", ["run", "onset_s"])
        tokens = read_table(study.tokens, f"python -m saebrain activations {study.folder}", ["run", "word"])
        self._section = study.config.encoding
        self._responses = study_responses(study)  # checked by the responses step: not read again in full here
        self._runs = [
            _Run.of(name, samples, words, tokens, self._responses.tr_s, self._section)
            for name, samples in zip(study.run_names, self._responses.samples, strict=True)
        ]
        pairs = [(subject, run) for subject in self.subjects for run in study.run_names]
        with ThreadPoolExecutor(MOST_READERS) as readers:
            found = readers.map(lambda pair: deviation(self._responses.read(*pair)), pairs)
            self._deviation = dict(zip(pairs, found, strict=True))

    @property
    def subjects(self) -> list[str]:
        return self._responses.subjects

    @property
    def responses(self) -> Responses:
        """The responses behind the maps."""
        return self._responses

    def deviation(self, subject: str, run: str) -> Float[np.ndarray, " vertices"]:
        """How much every vertex varies in a run; NaN where there is no data."""
        return self._deviation[subject, run]

    def courses(self, token: Int[np.ndarray, " codes"], value: Float[np.ndarray, " codes"]) -> list[Float[np.ndarray, " samples"]]:
        """A feature's course in every run: pooled over words, downsampled, convolved with the haemodynamic response, standardised.

        Parameters
        ----------
        token, value
            Tokens (rows of tokens.parquet) at which the feature is active, and its activations there.
        """
        return [self._course(run, token, value) for run in self._runs]

    def map(self, token: Int[np.ndarray, " codes"], value: Float[np.ndarray, " codes"]) -> Float[np.ndarray, "subjects vertices"]:
        """Pearson's r of a feature's course with every vertex, mean over runs; NaN where a vertex has no data in some run.

        Runs in which the feature's course does not vary are left out; without any other run all of the map is NaN.
        """
        courses = [(run, course) for run, course in zip(self._responses.runs, self.courses(token, value), strict=True) if course.any()]
        maps = np.full((len(self.subjects), self._responses.vertices), np.nan, np.float32)
        for row, subject in enumerate(self.subjects):
            if courses:
                maps[row] = np.mean(
                    [correlation_map(course, self._responses.read(subject, run), self._deviation[subject, run]) for run, course in courses], axis=0
                )
        return maps

    def mean_maps(self, codes: Sequence[tuple[Int[np.ndarray, " codes"], Float[np.ndarray, " codes"]]]) -> Float[np.ndarray, "features vertices"]:
        """The mean over subjects of the maps of several features; the responses are read once for all of them."""
        courses = np.stack([np.concatenate(self.courses(token, value)) for token, value in codes])
        ends = np.cumsum([0, *self._responses.samples])
        total = np.zeros((len(codes), self._responses.vertices), np.float32)
        runs = np.zeros(len(codes))
        for run, (a, b) in zip(self._responses.runs, pairwise(ends), strict=True):
            own = courses[:, a:b]
            runs += own.any(axis=1)
            for subject in self.subjects:
                total += (own @ self._responses.read(subject, run)) / ((b - a) * self._deviation[subject, run])
        return np.where(runs[:, None] > 0, total / (len(self.subjects) * np.maximum(runs, 1)[:, None]), np.nan).astype(np.float32)

    def words(self, run: str, token: Int[np.ndarray, " codes"], value: Float[np.ndarray, " codes"]) -> pd.Series:
        """Activation of a feature at the words of a run, the sum over a word's tokens, by index of the word within the run."""
        own = self._runs[self._responses.runs.index(run)]
        inside = (token >= own.first_token) & (token < own.first_token + len(own.word_of_token))
        word = own.word_of_token[token[inside] - own.first_token]
        return pd.Series(value[inside], word).groupby(level=0).sum()

    def parcel_courses(self, run: str, vertices: Int[np.ndarray, " some"]) -> Float[np.ndarray, "subjects samples"]:
        """Mean response over some vertices with data in a run, standardised, in every subject."""
        rows = []
        for subject in self.subjects:
            kept = vertices[np.isfinite(self._deviation[subject, run][vertices])]
            rows.append(np.asarray(self._responses.read(subject, run)[:, kept], np.float32).mean(axis=1))
        return standardised(np.stack(rows, axis=1)).T

    @property
    def tr_s(self) -> float:
        """Time between samples, in seconds."""
        return self._responses.tr_s

    def _course(self, run: _Run, token: Int[np.ndarray, " codes"], value: Float[np.ndarray, " codes"]) -> Float[np.ndarray, " samples"]:
        inside = (token >= run.first_token) & (token < run.first_token + len(run.word_of_token))
        pooled = design.pool_tokens(
            np.zeros(int(inside.sum()), int),
            token[inside] - run.first_token,
            value[inside],
            run.word_of_token,
            n_words=run.downsampling.shape[1],
            n_features=1,
            how=self._section.pooling,
        )
        course = design.standardise((run.downsampling @ pooled).toarray().astype(np.float32), unit=False)
        return standardised(haemodynamic(course, [run.samples], self._responses.tr_s))[:, 0]
