"""How well any model could predict single responses: from repeated runs, or from what subjects have in common.

With y_i = s + n_i, s shared and of share c of the variance, two such responses correlate by c, and a perfect model of s correlates with one of
them by sqrt(c). c is averaged over vertices, runs and pairs *before* the root is taken: the root of a noisy value is biased
upwards (a vertex of resting BOLD without any signal gets .56 or more one time in twenty, docs/inference.md). As the root of a
mean is no less than the mean of roots, scores divided by this ceiling are rather too low than too high.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float
from scipy import fft

from saebrain.inference.multiple import p_values
from saebrain.pipeline.problem import Problem

SHIFTS = 999
LEVEL = 0.05
SHARED_NOTE = (
    "square root of the mean correlation between pairs of subjects who heard the same: what a perfect model of their common response would reach in "
    "one of them; a model with weights for each subject can go beyond it"
)
REPEATS_NOTE = "square root of the mean correlation between repeats of a run: what a perfect model would reach in a single one"


def noise_ceiling(problem: Problem, inside: Bool[np.ndarray, " vertices"], *, seed: int) -> dict[str, Any]:
    """Ceiling on the mean r over some vertices.

    Repeats are used if runs of the same words at the same times are there, otherwise other subjects. c is tested against responses turned
    round within runs, one against another (999 draws); where p > .05 the ceiling is not to be divided by (``usable``).

    Returns
    -------
    dict
        kind: "repeats", "between subjects" or None; r, None where c is not positive; chance: what r stays under in 95% of draws;
        note; reliability: c; p; usable; by_subject: r of each.
    """
    responses = problem.measured.vertices
    with_data = np.logical_and.reduce([y[segment].any(axis=0) for y in responses.values() for segment in problem.layout.segments])
    chosen = np.flatnonzero(inside & with_data)
    groups = repeated_runs(problem)
    if not len(chosen) or (len(responses) < 2 and not groups):
        return _none("one subject and no repeated run: nothing to compare responses with")
    segments = problem.layout.segments
    shared = Shared.of({subject: y[:, chosen] for subject, y in responses.items()}, segments)
    rng = np.random.default_rng(seed)
    return _repeats(shared, groups, rng) if groups else _between(shared, rng)


def repeated_runs(problem: Problem) -> list[list[int]]:
    """Numbers of runs in which the same words came at the same times, with as many samples; each group has two or more."""
    if len(problem.layout.segments) != len(problem.layout.run_lengths):
        return []  # blocks of runs
    runs = problem.stimulus.words.groupby("run", sort=False)
    content = [(tuple(run["word"]), tuple(run["onset_s"].round(3))) for _, run in runs]
    lengths = [segment.stop - segment.start for segment in problem.layout.segments]
    keys = list(zip(content, lengths, strict=True))
    groups = [[number for number, key in enumerate(keys) if key == first] for first in dict.fromkeys(keys)]
    return [group for group in groups if len(group) > 1]


@dataclass(frozen=True)
class Shared:
    """Responses as spectra, so that the mean correlation at every shift costs one transform.

    spectra : by subject, one a segment, in units in which a product is a mean over samples and vertices. lengths : samples of segments.
    """

    spectra: dict[str, list[Complex[np.ndarray, "frequencies vertices"]]]
    lengths: list[int]

    @classmethod
    def of(cls, responses: dict[str, Float[np.ndarray, "samples vertices"]], segments: tuple[slice, ...]) -> Shared:
        """Of responses that are standardised within segments."""
        lengths = [segment.stop - segment.start for segment in segments]
        spectra = {
            subject: [fft.rfft(y[segment], axis=0) / np.sqrt(length * y.shape[1]) for segment, length in zip(segments, lengths, strict=True)]
            for subject, y in responses.items()
        }
        return cls(spectra, lengths)

    def correlation(self, a: tuple[str, int], b: tuple[str, int]) -> Float[np.ndarray, " lags"]:
        """Mean over vertices of the correlation of two (subject, segment), the second turned by each lag."""
        first, second = (self.spectra[subject][segment] for subject, segment in (a, b))
        return np.asarray(fft.irfft(np.einsum("fv,fv->f", first.conj(), second), self.lengths[a[1]]))


def _between(shared: Shared, rng: np.random.Generator) -> dict[str, Any]:
    subjects = list(shared.spectra)
    pairs = list(combinations(range(len(subjects)), 2))
    c, null = np.zeros(len(pairs)), np.zeros((SHIFTS, len(pairs)))
    for segment, length in enumerate(shared.lengths):
        shift = rng.integers(length, size=(SHIFTS, len(subjects)))
        for column, (i, j) in enumerate(pairs):
            course = shared.correlation((subjects[i], segment), (subjects[j], segment)) / len(shared.lengths)
            c[column] += course[0]
            null[:, column] += course[(shift[:, j] - shift[:, i]) % length]
    by_subject = {subject: _of_subject(c, pairs, number) for number, subject in enumerate(subjects)}
    return _ceiling("between subjects", SHARED_NOTE, float(c.mean()), null.mean(axis=1), by_subject)


def _of_subject(c: Float[np.ndarray, " pairs"], pairs: list[tuple[int, int]], number: int) -> float | None:
    """Mean correlation with the others over the root of theirs with each other: sqrt(c) of this subject where c differs between them."""
    own = np.array([number in pair for pair in pairs])
    others = c[~own].mean() if (~own).any() else c.mean()
    return float(c[own].mean() / np.sqrt(others)) if others > 0 and c[own].mean() > 0 else None


def _repeats(shared: Shared, groups: list[list[int]], rng: np.random.Generator) -> dict[str, Any]:
    pairs = [pair for group in groups for pair in combinations(group, 2)]
    c, null = np.zeros(len(shared.spectra)), np.zeros(SHIFTS)
    for a, b in pairs:
        shift = rng.integers(shared.lengths[a], size=SHIFTS)
        for row, subject in enumerate(shared.spectra):
            course = shared.correlation((subject, a), (subject, b)) / len(pairs)
            c[row] += course[0]
            null += course[shift] / len(c)
    by_subject = {subject: float(np.sqrt(value)) if value > 0 else None for subject, value in zip(shared.spectra, c, strict=True)}
    return _ceiling("repeats", REPEATS_NOTE, float(c.mean()), null, by_subject)


def _ceiling(kind: str, note: str, c: float, null: Float[np.ndarray, " draws"], by_subject: dict[str, float | None]) -> dict[str, Any]:
    p, chance = float(p_values(np.asarray(c), null)), float(np.quantile(null, 1 - LEVEL))
    usable = p <= LEVEL
    if not usable:
        note += f"; responses do not agree beyond chance here (p = {p:.2g}), so nothing is divided by it"
    root = {"r": float(np.sqrt(c)) if c > 0 else None, "chance": float(np.sqrt(max(chance, 0.0)))}
    return {"kind": kind, **root, "note": note, "reliability": c, "p": p, "usable": usable, "by_subject": by_subject}


def _none(note: str) -> dict[str, Any]:
    return {"kind": None, "r": None, "chance": None, "note": note, "reliability": None, "p": None, "usable": False, "by_subject": {}}
