"""Examples of one feature beyond its strongest: at every level of activation, and where it might be active but is not.

Chosen when a page asks, from the feature's own codes, which the page reads anyway; nothing of it is stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from saebrain.store import FeatureStore

INTERVALS, EACH = 5, 5
CONTROLS, NEIGHBOURS = 10, 8
APART = 4
"""Examples are at least so many tokens apart."""
DRAWN_FROM = 1 << 12
"""Activations of an interval to choose from."""


@dataclass(frozen=True)
class Interval:
    """Some activations between ``low`` and ``high`` (included), out of ``count``."""

    low: float
    high: float
    count: int
    tokens: Int[np.ndarray, " tokens"]


def by_interval(
    token: Int[np.ndarray, " codes"], value: Float[np.ndarray, " codes"], *, seed: int, intervals: int = INTERVALS, each: int = EACH
) -> list[Interval]:
    """Random examples from equal intervals between 0 and the feature's greatest activation, the highest first.

    Parameters
    ----------
    token, value
        The feature's codes.
    seed : int
        The same seed gives the same examples.
    """
    rng = np.random.default_rng(seed)
    edges = np.linspace(0, float(value.max(initial=0)), intervals + 1)
    place = np.minimum(np.searchsorted(edges[1:-1], value, side="left"), intervals - 1)
    found = []
    for number in reversed(range(intervals)):
        inside = np.flatnonzero(place == number)
        some = inside if len(inside) <= DRAWN_FROM else inside[np.sort(rng.choice(len(inside), DRAWN_FROM, replace=False))]
        chosen = _apart(rng.permutation(token[some]), each)
        found.append(Interval(float(edges[number]), float(edges[number + 1]), len(inside), chosen))
    return found


def near_misses(store: FeatureStore, feature: int, *, before: int, after: int, count: int = CONTROLS) -> pd.DataFrame:
    """Contexts in which a feature is never active although one with a similar decoder direction is: non-activating controls.

    Contexts of neighbours are the hard negatives of automatic interpretation (Paulo et al. 2024, arXiv:2410.13928): random
    ones would be told apart by any explanation at all.

    Parameters
    ----------
    before, after : int
        Tokens around the neighbour's peak in which the feature has to be silent.

    Returns
    -------
    DataFrame
        token (the neighbour's peak), other (the neighbour), similarity (cosine of the decoder directions), value (the
        neighbour's activation); nearest neighbours first, in turn.

    Raises
    ------
    MissingStepError
        If the neighbours have not been found yet.
    """
    near = store.neighbours(feature)
    near = near[(near["kind"] == "decoder") & (near["similarity"] > 0)].head(NEIGHBOURS)
    if near.empty:
        return pd.DataFrame({"token": np.empty(0, np.int64), "other": np.empty(0, int), "similarity": np.empty(0), "value": np.empty(0)})
    active, _ = store.codes(feature)
    theirs = store.strongest(near["other"].tolist()).rename(columns={"feature": "other"})
    peak = theirs["token"].to_numpy()
    silent = np.searchsorted(active, peak - before) == np.searchsorted(active, peak + after, side="right")
    theirs = theirs[silent].merge(near[["other", "similarity"]], on="other")
    theirs = theirs.drop_duplicates("token").sort_values(["rank", "similarity"], ascending=[True, False], kind="stable")
    chosen = _apart(theirs["token"].to_numpy(), count)
    return theirs.set_index("token").loc[chosen, ["other", "similarity", "value"]].reset_index()


def _apart(tokens: Int[np.ndarray, " some"], count: int) -> Int[np.ndarray, " few"]:
    """The first few that are not next to one another, in the order given."""
    chosen: list[int] = []
    for token in tokens.tolist():
        if all(abs(token - other) >= APART for other in chosen):
            chosen.append(token)
        if len(chosen) == count:
            break
    return np.array(chosen, np.int64)
