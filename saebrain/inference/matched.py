"""Baselines for a selection of features: sets of as many others, with as much variance.

A category with more features, or with livelier ones, predicts better whatever it means. So its score is set against those
of sets of features from outside it, matched in number and, feature by feature, in activation variance. Variance is that of the
feature's course as the model gets it: pooled to words, brought to samples, before any scaling.

**What is tested.** That the selection is such a set as the matched draws are. Draws share features with each other, as the
features outside are finite, and the selection shares none with them. If scores add up over features, a share rho of common
features makes draws scatter with variance 1 - rho about their mean, and the selection with 1 + rho; so the draws are moved apart
by sqrt((1 + rho) / (1 - rho)) before p is counted. Without that the test rejects too often when the pool is small (at rho = .2, .09
instead of .05).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from saebrain.errors import InputError
from saebrain.inference.multiple import Sided, p_values
from saebrain.progress import Report, silent

CANDIDATES = 20
TOLERANCE = 0.05
ROUNDS = 3


@dataclass(frozen=True)
class MatchedSets:
    """Sets of features that match a selection.

    selection : the selection's features that vary; only they are matched and scored.
    sets : feature numbers, one row a set; column i is matched to the selection's i-th feature.
    deviation : total variance of each set over that of the selection, less 1.
    overlap : mean share of features that two sets have in common, rho.
    dropped : features of the selection that never vary.
    seed : of the draws.
    """

    selection: Int[np.ndarray, " size"]
    sets: Int[np.ndarray, "draws size"]
    deviation: Float[np.ndarray, " draws"]
    overlap: float
    dropped: int
    seed: int

    @property
    def max_deviation(self) -> float:
        """Largest relative difference in total variance between a set and the selection."""
        return float(np.abs(self.deviation).max())


@dataclass(frozen=True)
class MatchedTest:
    """A selection's score beside those of matched sets; arrays over targets (vertices, parcels).

    p : (1 + b) / (1 + n) with the draws moved apart by ``widening`` (see the head of this module).
    d : (observed - mean of the draws) / standard deviation of the draws (n - 1), as they are: Cohen's d for one value against a
        reference distribution (Glass' delta). NaN where the draws do not vary.
    widening : sqrt((1 + overlap) / (1 - overlap)).
    """

    observed: Float[np.ndarray, " targets"]
    null: Float[np.ndarray, "draws targets"]
    p: Float[np.ndarray, " targets"]
    d: Float[np.ndarray, " targets"]
    widening: float


def matched_sets(
    variance: Float[np.ndarray, " features"],
    selection: Int[np.ndarray, " selected"],
    *,
    n: int,
    seed: int,
    pool: Bool[np.ndarray, " features"] | None = None,
    candidates: int = CANDIDATES,
) -> MatchedSets:
    """Draw n sets of features that match a selection, none of them in it.

    Each feature of the selection, in random order, gets one at random of the ``candidates`` features nearest to it in log
    variance that the set does not have yet. While a set's total variance is off by more than 5%, its members are exchanged,
    again in random order and at random, for other candidates that bring the total nearer. What is left is reported, not
    hidden: a selection with the liveliest features of all has no like, and ``deviation`` says so.

    Parameters
    ----------
    variance : array
        Of each feature's course at the samples, in squared units of activation; 0 for one that is never active.
    selection : int array
        Numbers of the selected features.
    pool : bool array, optional
        Features that may be drawn; the selection and those without variance never are. None: all.
    candidates : int
        More make sets more different from each other (less ``overlap``), fewer match each feature better.

    Raises
    ------
    InputError
        If no selected feature varies, or the pool has fewer than twice as many as are selected (or than ``candidates``).
    """
    variance = np.asarray(variance, float)
    chosen = np.unique(np.asarray(selection))
    varying = chosen[variance[chosen] > 0]
    allowed = (variance > 0) if pool is None else (np.asarray(pool, bool) & (variance > 0))
    allowed[chosen] = False
    free = np.flatnonzero(allowed)
    if not len(varying):
        raise InputError(f"none of the {len(chosen)} selected features varies in this stimulus: nothing to match; select others")
    if len(free) < max(2 * len(varying), candidates):
        raise InputError(
            f"matched baseline: {len(free)} features outside the selection for {len(varying)} in it; {max(2 * len(varying), candidates)} or more "
            "are needed; select fewer features or allow more in the pool"
        )
    near = _nearest(np.log(variance[varying]), np.log(variance[free]), candidates)
    rng = np.random.default_rng(seed)
    places = [_exchanged(_draw(near, len(free), candidates, rng), near, variance[free], variance[varying].sum(), candidates, rng) for _ in range(n)]
    sets = free[np.stack(places)]
    deviation = variance[sets].sum(axis=1) / variance[varying].sum() - 1
    return MatchedSets(varying, sets, deviation, _overlap(sets), len(chosen) - len(varying), seed)


def matched_test(
    score: Callable[[Int[np.ndarray, " size"]], Float[np.ndarray, " targets"]],
    matched: MatchedSets,
    *,
    sided: Sided = "greater",
    report: Report = silent,
) -> MatchedTest:
    """Score the selection and each of its matched sets with the same function of feature numbers.

    ``score`` does all that depends on the features anew (penalty, weights, held-out prediction); responses are the same
    throughout, so that p is about the features, given this recording.
    """
    observed = np.atleast_1d(score(matched.selection))
    null = np.empty((len(matched.sets), len(observed)))
    for row, features in enumerate(matched.sets):
        null[row] = score(features)
        report(row + 1, len(null))
    return compare(observed, null, overlap=matched.overlap, sided=sided)


def compare(
    observed: Float[np.ndarray, " targets"], null: Float[np.ndarray, "draws targets"], *, overlap: float, sided: Sided = "greater"
) -> MatchedTest:
    """p and d of a selection's score from the scores of its matched sets, which may have been found before."""
    widening = float(np.sqrt((1 + overlap) / max(1 - overlap, 1e-9)))
    mean, deviation = null.mean(axis=0), null.std(axis=0, ddof=1)
    p = p_values(observed, mean + widening * (null - mean), sided)
    d = np.divide(observed - mean, deviation, out=np.full(observed.shape, np.nan), where=deviation > 0)
    return MatchedTest(observed, null, p, d, widening)


def _nearest(own: Float[np.ndarray, " selected"], free: Float[np.ndarray, " free"], candidates: int) -> Int[np.ndarray, "selected near"]:
    """Free features by distance to each selected one: as many as are sure to hold ``candidates`` that a set does not have yet."""
    enough = min(candidates + len(own), len(free))
    return np.stack([np.argsort(np.abs(free - value), kind="stable")[:enough] for value in own])


def _draw(near: Int[np.ndarray, "selected near"], n_free: int, candidates: int, rng: np.random.Generator) -> Int[np.ndarray, " size"]:
    """One set: places among the free features, each once."""
    taken = np.zeros(n_free, bool)
    drawn = np.empty(len(near), np.int64)
    for own in rng.permutation(len(near)):
        left = near[own][~taken[near[own]]][:candidates]
        drawn[own] = left[rng.integers(len(left))]
        taken[drawn[own]] = True
    return drawn


def _exchanged(
    drawn: Int[np.ndarray, " size"],
    near: Int[np.ndarray, "selected near"],
    variance: Float[np.ndarray, " free"],
    total: float,
    candidates: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, " size"]:
    """The set with members exchanged until its total variance is right to within ``TOLERANCE``, or all have had ``ROUNDS`` turns."""
    drawn = drawn.copy()
    taken = np.zeros(len(variance), bool)
    taken[drawn] = True
    excess = variance[drawn].sum() - total
    for own in np.concatenate([rng.permutation(len(drawn)) for _ in range(ROUNDS)]):
        if abs(excess) <= TOLERANCE * total:
            break
        others = near[own][~taken[near[own]]][:candidates]
        better = others[np.abs(excess + variance[others] - variance[drawn[own]]) < abs(excess)]
        if len(better):
            chosen = rng.choice(better)
            excess += variance[chosen] - variance[drawn[own]]
            taken[drawn[own]], taken[chosen] = False, True
            drawn[own] = chosen
    return drawn


def _overlap(sets: Int[np.ndarray, "draws size"]) -> float:
    """Mean over pairs of sets of the share of features in both: from how often each feature was drawn."""
    n, size = sets.shape
    if n < 2:
        return 0.0
    count = np.bincount(sets.ravel()).astype(float)
    return float((count * (count - 1)).sum() / (n * (n - 1) * size))
