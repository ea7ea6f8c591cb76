"""Do categories contribute where they were predicted to? Maps of parcels against the codebook."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from saebrain.errors import InputError
from saebrain.inference.permutation import NullTest


@dataclass(frozen=True)
class Overlap:
    """How many of the strongest parcels were predicted ones.

    found : predicted parcels among the top ``k``.
    k, predicted, parcels : how many were taken, predicted, and had a value.
    p : P(X >= found), X hypergeometric.
    expected : k predicted / parcels.
    """

    found: int
    k: int
    predicted: int
    parcels: int
    p: float
    expected: float


def bilateral(values: Float[np.ndarray, "*axes parcels"], partner: Int[np.ndarray, " parcels"]) -> Float[np.ndarray, "*axes pairs"]:
    """Mean of each parcel and its namesake (:func:`saebrain.inference.spin.partners`), in the order of the first of the two.

    Where one has no value (NaN), that of the other.
    """
    values = np.asarray(values, float)
    first = np.flatnonzero(np.arange(len(partner)) < partner)
    both = np.stack([values[..., first], values[..., partner[first]]])
    known = ~np.isnan(both)
    count = known.sum(axis=0)
    return np.divide(both.sum(axis=0, where=known), count, out=np.full(count.shape, np.nan), where=count > 0)


def specific(observed: Float[np.ndarray, "subcategories parcels"]) -> Float[np.ndarray, "subcategories parcels"]:
    """Each parcel's contributions less their mean: what a subcategory has there beyond what all have (good signal, hubs)."""
    return observed - observed.mean(axis=0)


def spearman(predicted: Float[np.ndarray, "*axes parcels"], observed: Float[np.ndarray, "*axes parcels"]) -> Float[np.ndarray, "*axes"]:
    """Spearman's rho along the last axis, ties at their mean rank, over the parcels where both have a value.

    NaN where either does not vary.
    """
    known = ~(np.isnan(predicted) | np.isnan(observed))
    x, y = _ranks(predicted, known), _ranks(observed, known)
    norm = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    return np.divide((x * y).sum(axis=-1), norm, out=np.full(norm.shape, np.nan), where=norm > 0)


def topography_test(
    predicted: Bool[np.ndarray, "subcategories parcels"],
    observed: Float[np.ndarray, "subcategories parcels"],
    index: Int[np.ndarray, "draws parcels"],
) -> NullTest:
    """rho of predicted with observed contributions against moved maps: one target a subcategory, the last one their mean.

    Parameters
    ----------
    predicted : bool array
        True where the codebook predicts a parcel for a subcategory.
    observed : array
        Contribution of a subcategory to a parcel, in any unit (only ranks within a subcategory count); NaN for no value.
    index : int array
        From :func:`saebrain.inference.spin.spin_parcels`, or ``parcel_permutations``. All rows of ``observed`` move
        together; parcels that get -1 or NaN are left out of that draw.

    Returns
    -------
    NullTest
        One-sided (greater): rho of each subcategory, then the mean over subcategories.

    Raises
    ------
    InputError
        If a subcategory predicts all parcels or none.
    """
    predicted = np.asarray(predicted, bool)
    if predicted.shape != observed.shape or index.shape[1:] != observed.shape[1:]:
        raise InputError(
            f"predicted {predicted.shape}, observed {observed.shape}, spins {index.shape}: give subcategories x parcels twice and draws x parcels"
        )
    if not (predicted.any(axis=1) & ~predicted.all(axis=1)).all():
        raise InputError("a subcategory predicts no parcel, or all of them: nothing to rank; leave it out")
    prior = predicted.astype(float)
    padded = np.column_stack([observed, np.full(len(observed), np.nan)])  # index -1 is the last column
    moved = padded[:, index]  # subcategories x draws x parcels
    null = spearman(np.broadcast_to(prior[:, None], moved.shape), moved).T
    rho = spearman(prior, observed)
    return NullTest.of(np.append(rho, rho.mean()), np.column_stack([null, null.mean(axis=1)]), "greater")


def overlap(predicted: Bool[np.ndarray, " parcels"], observed: Float[np.ndarray, " parcels"], k: int | None = None) -> Overlap:
    """Predicted parcels among the ``k`` with the largest contribution (as many as are predicted, unless told otherwise).

    P(X >= x), X ~ Hypergeometric(parcels, predicted, k). X is a whole number: p takes few values, and the test rejects less
    often than its level says. It takes parcels for exchangeable, which two hemispheres are not: average them first
    (:func:`bilateral`). Parcels without a value are left out; of equal contributions the first in order comes first.
    """
    known = ~np.isnan(observed)
    hits, values = np.asarray(predicted, bool)[known], observed[known]
    size, m = len(values), int(hits.sum())
    k = m if k is None else k
    if not 0 < k <= size:
        raise InputError(f"top {k} of {size} parcels that have a value: ask for 1 to {size}")
    top = np.argsort(-values, kind="stable")[:k]
    found = int(hits[top].sum())
    return Overlap(found, k, m, size, float(stats.hypergeom.sf(found - 1, size, m, k)), k * m / size)


def winners(
    observed: Float[np.ndarray, "subcategories parcels"], *, floor: float = 0.0
) -> tuple[Int[np.ndarray, " parcels"], Float[np.ndarray, " parcels"]]:
    """Which subcategory contributes most to each parcel, and its lead over the second.

    -1 and NaN where no contribution exceeds ``floor`` (in the unit of ``observed``) or the first two are equal.
    """
    filled = np.where(np.isnan(observed), -np.inf, observed)
    order = np.sort(filled, axis=0)
    lead = order[-1] - np.maximum(order[-2], floor) if len(order) > 1 else order[-1] - floor
    won = (order[-1] > floor) & (lead > 0)
    return np.where(won, filled.argmax(axis=0), -1), np.where(won, lead, np.nan)


def _ranks(x: Float[np.ndarray, "*axes parcels"], known: Bool[np.ndarray, "*axes parcels"]) -> Float[np.ndarray, "*axes parcels"]:
    """Ranks among the known, centred; 0 for the others. Those rank behind all, where they change no other rank."""
    rank = stats.rankdata(np.where(known, x, np.inf), axis=-1)
    mean = np.divide(rank.sum(axis=-1, where=known), known.sum(axis=-1), out=np.zeros(known.shape[:-1]), where=known.any(axis=-1))
    return np.where(known, rank - mean[..., None], 0.0)
