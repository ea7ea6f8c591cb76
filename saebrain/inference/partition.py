"""Whose variance is it? Unique and shared parts of up to a dozen feature sets, from the scores of all their subsets.

The score v(S) of a model with the feature sets in S should be a share of variance: **R^2 = 1 - SSE / SST of held-out
predictions** (:func:`r_squared`), which is what we use. It adds up, and it may be negative where a model predicts worse than
the mean. Signed squared correlation, r |r|, forgives a wrong scale of the predictions; published work has taken it too. Nothing
is assumed here but that differences of v mean something. v of the empty set is that of the nuisance regressors alone (0 without
any).

Shared parts may be negative. With held-out scores that is estimation noise, or suppression: two sets that predict more together
than apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from saebrain.errors import InputError
from saebrain.inference.runs import run_slices


@dataclass(frozen=True)
class Partition:
    """Parts of v(all) - v(none), in the unit of the scores; first axis: feature sets, or subsets as a bit mask.

    components : part that belongs to exactly the sets in the mask (mask 0: v(none)).
    unique : v(all) - v(all but i), the component of i alone.
    shared : what i has in common with one or more of the others, v(i) - v(none) - unique.
    shapley : mean of what i adds over all orders of adding; they sum to ``total``.
    total : v(all) - v(none).
    """

    components: Float[np.ndarray, "subsets ..."]
    unique: Float[np.ndarray, "sets ..."]
    shared: Float[np.ndarray, "sets ..."]
    shapley: Float[np.ndarray, "sets ..."]
    total: Float[np.ndarray, "*targets"]


def subsets(names: list[str]) -> list[tuple[str, ...]]:
    """All subsets in the order in which :func:`partition` takes their scores: bit i of the place says that names[i] is in."""
    return [tuple(name for i, name in enumerate(names) if mask >> i & 1) for mask in range(2 ** len(names))]


def partition(scores: Float[np.ndarray, "subsets ..."]) -> Partition:
    """Commonality analysis by Moebius inversion, and Shapley values (Mood 1971; Shapley 1953; Nimon and Oswald 2013).

    A set S explains all components that share a member with it, v(S) = v(none) + sum over T that meet S of c(T). Hence with
    w(T) = v(all) - v(all but T), which sums c over the nonempty subsets of T,
    c(T) = sum over U in T of (-1)^(|T| - |U|) w(U). Shapley's value shares each component out equally:
    phi_i = sum over T with i of c(T) / |T|.

    Parameters
    ----------
    scores : array
        v of all 2^k subsets (:func:`subsets`), then any axes, such as parcels.

    Raises
    ------
    InputError
        If the number of scores is no power of two.
    """
    scores = np.asarray(scores, float)
    k = len(scores).bit_length() - 1
    if len(scores) != 2**k or k == 0:
        raise InputError(f"{len(scores)} scores: variance partitioning needs those of all subsets, 2, 4, 8, 16, 32, ... of them")
    masks = np.arange(2**k)
    c = scores[-1] - scores[::-1]  # all but T is the complement of T's mask
    for bit in range(k):
        with_bit = masks[(masks >> bit & 1) == 1]
        c[with_bit] -= c[with_bit ^ (1 << bit)]
    c[0] = scores[0]
    size = np.array([mask.bit_count() for mask in masks.tolist()])
    member = [(masks >> i & 1) == 1 for i in range(k)]
    per_member = c / np.maximum(size, 1).reshape(-1, *[1] * (scores.ndim - 1))
    unique = c[1 << np.arange(k)]
    return Partition(
        components=c,
        unique=unique,
        shared=scores[1 << np.arange(k)] - scores[0] - unique,
        shapley=np.stack([per_member[has].sum(axis=0) for has in member]),
        total=scores[-1] - scores[0],
    )


def r_squared(
    prediction: Float[np.ndarray, "samples targets"], response: Float[np.ndarray, "samples targets"], run_lengths: list[int]
) -> Float[np.ndarray, " targets"]:
    """1 - SSE / SST of held-out predictions over all runs, SST about each run's own mean; NaN where the response does not vary.

    Predictions are taken as they are, off in scale or not; only their mean in a run is taken off, as the models have no intercept to
    tell them that of a run they have not seen.
    """
    error, total = np.zeros(response.shape[1]), np.zeros(response.shape[1])
    for run in run_slices(run_lengths):
        y = response[run] - response[run].mean(axis=0, dtype=float)
        e = y - (prediction[run] - prediction[run].mean(axis=0, dtype=float))
        error += np.einsum("ij,ij->j", e, e)
        total += np.einsum("ij,ij->j", y, y)
    return np.where(total > 0, 1 - np.divide(error, total, out=np.zeros_like(error), where=total > 0), np.nan)


def signed_square(r: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """r |r|: squared correlation that keeps the sign."""
    return r * np.abs(r)
