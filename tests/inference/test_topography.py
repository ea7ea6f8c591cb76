"""Predicted against observed topography: scipy's rho and hypergeometric, calibration on smooth maps."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from saebrain.errors import InputError
from saebrain.inference.spin import centroids, parcel_permutations, partners, spin_parcels
from saebrain.inference.topography import bilateral, overlap, spearman, specific, topography_test, winners
from saebrain.surface.atlas import desikan_killiany
from saebrain.surface.sphere import fsaverage5_sphere

ATLAS = desikan_killiany()
PARTNER = partners(ATLAS.parcels)
MIDDLE = centroids(fsaverage5_sphere(), ATLAS.labels, len(ATLAS))
SIDE = np.array([-1.0 if hemisphere == "left" else 1.0 for hemisphere, _ in ATLAS.parcels])


def spins(n: int, seed: int = 0) -> np.ndarray:
    return spin_parcels(fsaverage5_sphere(), ATLAS.labels, len(ATLAS.labels) // 2, n, partner=PARTNER, seed=seed)


def strongest(maps: np.ndarray) -> np.ndarray:
    """The upper fifth of each map."""
    return maps > np.quantile(maps, 0.8, axis=1, keepdims=True)


def smooth(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Maps with long spatial correlations, alike in both hemispheres."""
    place = MIDDLE * np.column_stack([SIDE, np.ones((68, 2))])
    place = bilateral(place.T, PARTNER).T
    covariance = np.exp(-((place[:, None] - place[None]) ** 2).sum(axis=2) / 0.5)
    half = np.linalg.cholesky(covariance + 1e-9 * np.eye(34)) @ rng.normal(size=(34, rows))
    return np.concatenate([half, half]).T + 0.1 * rng.normal(size=(rows, 68))


def test_spearman_agrees_with_scipy_with_ties_and_gaps() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random((4, 68)) < 0.2).astype(float), rng.normal(size=(4, 68)).round(1)
    b[0, :5] = np.nan
    expected = [stats.spearmanr(x, y, nan_policy="omit").statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, b), expected)
    assert np.isnan(spearman(np.ones((1, 68)), b[:1])[0])


def test_null_is_the_rho_of_moved_maps() -> None:
    rng = np.random.default_rng(0)
    predicted, observed, index = rng.random((3, 68)) < 0.2, rng.normal(size=(3, 68)), spins(20)
    index[3, :4] = -1
    observed[1, 9] = np.nan
    test = topography_test(predicted, observed, index)
    for draw, null in zip(index, test.null, strict=True):
        kept = draw >= 0
        rho = [stats.spearmanr(p[kept], o[draw[kept]], nan_policy="omit").statistic for p, o in zip(predicted, observed, strict=True)]
        np.testing.assert_allclose(null, [*rho, np.mean(rho)])
    np.testing.assert_allclose(test.observed[-1], test.observed[:-1].mean())


def test_planted_topography_is_found() -> None:
    rng = np.random.default_rng(0)
    predicted = strongest(smooth(rng, 5))
    found = topography_test(predicted, predicted + 0.5 * rng.normal(size=(5, 68)), spins(199))
    assert found.p[-1] == 1 / 200
    assert (found.p[:-1] <= 0.05).all()
    assert topography_test(predicted, -1.0 * predicted, spins(199)).p[-1] > 0.9


def test_calibration_on_smooth_maps() -> None:
    """The spin test holds its level where shuffled parcels do not."""
    rng = np.random.default_rng(1)
    predicted = strongest(smooth(rng, 5))
    index, shuffled = spins(199), np.stack([rng.permutation(68) for _ in range(199)])
    spun, loose = [], []
    for seed in range(150):
        observed = smooth(np.random.default_rng([2, seed]), 5)
        spun.append(np.mean(topography_test(predicted, observed, index).p[:-1] <= 0.05))
        loose.append(np.mean(topography_test(predicted, observed, shuffled).p[:-1] <= 0.05))
    assert 0.02 < np.mean(spun) < 0.08
    assert np.mean(loose) > 0.12


def test_shuffled_parcels_agree_with_scipy_if_space_plays_no_part() -> None:
    rng = np.random.default_rng(0)
    half = rng.random(34) < 0.3
    values = rng.normal(size=34) + 0.5 * half
    predicted, observed = np.tile(half, (1, 2)), np.tile(values, (1, 2))
    found = topography_test(predicted, observed, parcel_permutations(PARTNER, 2000, seed=0))
    expected = stats.permutation_test(
        (values,), lambda z: stats.spearmanr(half, z).statistic, permutation_type="pairings", alternative="greater", n_resamples=2000, rng=rng
    )
    assert found.p[0] == pytest.approx(expected.pvalue, abs=0.03)


def test_overlap_by_counting_all_sets() -> None:
    """Of all ways to choose 4 of 9 parcels, the share with as many predicted ones or more."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        predicted, observed = rng.permutation([True] * 3 + [False] * 6), rng.normal(size=9)
        found = overlap(predicted, observed, 4)
        top = set(np.argsort(-observed)[:4].tolist())
        assert found.found == sum(predicted[i] for i in top)
        counts = [sum(predicted[i] for i in chosen) for chosen in combinations(range(9), 4)]
        assert found.p == pytest.approx(np.mean(np.array(counts) >= found.found))
        assert found.expected == pytest.approx(np.mean(counts))


def test_overlap_leaves_out_parcels_without_a_value() -> None:
    observed = np.array([5.0, np.nan, 3.0, 1.0, np.nan, 0.0])
    found = overlap(np.array([True, True, False, True, False, False]), observed)
    assert (found.found, found.k, found.predicted, found.parcels) == (1, 2, 2, 4)
    with pytest.raises(InputError, match="top 5 of 4 parcels"):
        overlap(np.ones(6, bool), observed, 5)


def test_overlap_is_discrete() -> None:
    rng = np.random.default_rng(0)
    predicted = np.arange(34) < 5
    p = [overlap(predicted, rng.normal(size=34)).p for _ in range(500)]
    assert len(set(p)) <= 6
    assert np.mean(np.array(p) <= 0.05) < 0.05


def test_bilateral_means() -> None:
    values = np.arange(68.0)
    values[3] = np.nan
    values[[5, PARTNER[5]]] = np.nan
    found = bilateral(values, PARTNER)
    expected = (values[:34] + values[PARTNER[:34]]) / 2
    expected[3] = values[PARTNER[3]]
    np.testing.assert_array_equal(found, expected)
    assert np.isnan(found[5])


def test_specific_takes_off_what_all_have() -> None:
    observed = np.random.default_rng(0).normal(size=(5, 68))
    np.testing.assert_allclose(specific(observed + np.random.default_rng(1).normal(size=68)), specific(observed))
    np.testing.assert_allclose(specific(observed).sum(axis=0), 0, atol=1e-12)


def test_winners() -> None:
    observed = np.array([[0.3, 0.1, -0.2, np.nan, 0.2, 0.5], [0.1, 0.4, -0.1, np.nan, 0.2, np.nan]])
    who, lead = winners(observed)
    np.testing.assert_array_equal(who, [0, 1, -1, -1, -1, 0])
    np.testing.assert_allclose(lead, [0.2, 0.3, np.nan, np.nan, np.nan, 0.5])
    np.testing.assert_array_equal(winners(observed, floor=0.35)[0], [-1, 1, -1, -1, -1, 0])
    np.testing.assert_array_equal(winners(observed[:1])[0], [0, 0, -1, -1, 0, 0])


def test_bad_requests_say_so() -> None:
    observed = np.zeros((2, 68))
    with pytest.raises(InputError, match="predicts no parcel, or all of them"):
        topography_test(np.zeros((2, 68), bool), observed, spins(2))
    with pytest.raises(InputError, match=r"predicted \(1, 68\), observed \(2, 68\)"):
        topography_test(np.ones((1, 68), bool), observed, spins(2))
