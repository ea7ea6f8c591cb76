"""Which features people are asked about.

The random sample is stratified with proportional shares, and nested: the n-th feature of a stratum of size m (in an order that a
seed fixes) stands at place (n + u) / m, u being uniform on [0, 1) for each stratum. Features in the order of their places have
every stratum in proportion wherever one stops, so a sample can be enlarged later, and agreement on what is labelled so far
estimates agreement on all.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

DENSITY_BANDS = ("rare", "medium", "frequent")


def strata(density: pd.Series, label: pd.Series) -> pd.Series:
    """A feature's stratum: how often it is active (thirds), and the top level of its machine label, such as "rare, semantic"."""
    band = pd.Series(np.minimum((density.rank(method="first") - 1) * 3 // max(len(density), 1), 2).astype(int), density.index)
    top = label.reindex(density.index).fillna("unlabelled").str.partition("/")[0]
    return band.map(dict(enumerate(DENSITY_BANDS))) + ", " + top


def stratified(stratum: pd.Series, *, seed: int) -> pd.Series:
    """The place of every feature (index) in the random order; ascending."""
    places = []
    for name, group in stratum.sort_index().groupby(stratum, sort=True):
        rng = np.random.default_rng([seed, *str(name).encode()])
        features = rng.permutation(group.index.to_numpy())
        places.append(pd.Series((np.arange(len(features)) + rng.random()) / len(features), features))
    return pd.concat(places).sort_values(kind="stable") if places else pd.Series(dtype=float)


def wanted(
    stratum: pd.Series, impact: pd.Series | None, *, random: int, overlap: int, annotators_each: int, most_impact: int, seed: int
) -> pd.DataFrame:
    """The slots to plan, as `saebrain.annotation.queues.plan` takes them.

    Parameters
    ----------
    stratum : Series
        Stratum of every feature that may be asked about.
    impact : Series, optional
        What each feature contributes to encoding; the highest are asked about besides the sample.
    """
    place = stratified(stratum, seed=seed).head(random)
    sample = pd.DataFrame({"feature": place.index, "place": place.to_numpy()})
    shared = np.arange(len(sample)) < overlap
    sample = sample.assign(queue=np.where(shared, "overlap", "random"), seats=np.where(shared, annotators_each, 1))
    if impact is not None:
        best = impact.drop(index=place.index, errors="ignore").dropna().sort_values(ascending=False, kind="stable").head(most_impact)
        best = best[best.index.isin(stratum.index)]
        more = pd.DataFrame({"feature": best.index, "place": np.arange(len(best), dtype=float), "queue": "impact", "seats": 1})
        sample = pd.concat([sample, more], ignore_index=True)
    return sample.assign(stratum=sample["feature"].map(stratum))
