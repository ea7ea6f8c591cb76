"""The random sample: proportional, nested, reproducible."""

from __future__ import annotations

import numpy as np
import pandas as pd

from saebrain.annotation.sampling import strata, stratified, wanted

N = 3000
RNG = np.random.default_rng(0)
STRATUM = pd.Series(RNG.choice(["a", "b", "c"], N, p=[0.7, 0.25, 0.05]), index=np.arange(N) * 2)


def test_every_beginning_of_the_order_is_proportional() -> None:
    order = stratified(STRATUM, seed=1).index
    share = STRATUM.value_counts(normalize=True)
    for count in (40, 200, 1000):
        found = STRATUM[order[:count]].value_counts().reindex(share.index, fill_value=0)
        assert (np.abs(found - share * count) <= 1).all()


def test_every_feature_is_as_likely_as_another() -> None:
    chosen = np.concatenate([stratified(STRATUM, seed=seed).index[:300] for seed in range(200)])
    counts = pd.Series(chosen).value_counts().reindex(STRATUM.index, fill_value=0)
    assert abs(counts.mean() - 20) < 1e-9
    by_stratum = counts.groupby(STRATUM).mean()
    assert (np.abs(by_stratum - 20) < 0.6).all()
    assert 3.5 < counts.std() < 5.0  # binomial: sqrt(200 * .1 * .9) = 4.2


def test_same_seed_same_sample_and_a_larger_one_holds_it() -> None:
    kwargs = {"overlap": 20, "annotators_each": 3, "most_impact": 0, "seed": 7}
    small, large = (wanted(STRATUM, None, random=count, **kwargs) for count in (60, 120))
    pd.testing.assert_frame_equal(small.iloc[:60].reset_index(drop=True), large.iloc[:60].reset_index(drop=True))
    assert small["queue"].tolist() == ["overlap"] * 20 + ["random"] * 40
    assert small["seats"].tolist() == [3] * 20 + [1] * 40
    assert set(stratified(STRATUM, seed=8).index[:60]) != set(small["feature"])


def test_impact_is_what_the_sample_does_not_hold() -> None:
    impact = pd.Series(np.arange(N, dtype=float), STRATUM.index)
    table = wanted(STRATUM, impact, random=100, overlap=0, annotators_each=2, most_impact=50, seed=0)
    more = table[table["queue"] == "impact"]
    assert len(more) == 50 and table["feature"].is_unique and more["place"].is_monotonic_increasing
    assert impact[more["feature"]].is_monotonic_decreasing and impact[more["feature"]].min() > N - 60


def test_strata() -> None:
    density = pd.Series([0.1, 0.2, 0.3], index=[4, 5, 6])
    labels = pd.Series({4: "semantic/place", 5: "semantic"})
    assert strata(density, labels).to_dict() == {4: "rare, semantic", 5: "medium, semantic", 6: "frequent, unlabelled"}


def test_nothing_to_sample() -> None:
    assert wanted(STRATUM.iloc[:0], None, random=10, overlap=5, annotators_each=2, most_impact=5, seed=0).empty
