"""The cortical map of a single feature: how its haemodynamic course correlates with every vertex."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse

from saebrain import design
from saebrain.maps import correlation_map, deviation, haemodynamic, standardised
from saebrain.pipeline.state import check
from saebrain.pipeline.timing import study_responses
from saebrain.store import read_table
from saebrain.study import EncodingSection, Study

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
