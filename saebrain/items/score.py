"""How well held-out items are predicted, and how sure that is.

The score is Pearson's r within each held-out fold, averaged over folds: as in the encoding model of time series. It is not r
over all folds at once. There the prediction contains the mean of the training folds, which is low where the held-out fold's
own mean is high: with a target that nothing predicts, 40 items and 5 folds, that r has a mean of -0.19 instead of 0 (200
items: -0.08), and even with every fold centred -0.10 (-0.04), because folds differ in how much is shrunk. The mean over
folds has -0.002 (+0.02, standard error 0.01).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

DRAWS_AT_ONCE = 250


def fold_correlations(
    prediction: Float[np.ndarray, " items"],
    y: Float[np.ndarray, " items"],
    folds: Int[np.ndarray, " items"],
    weights: Float[np.ndarray, "draws items"] | None = None,
) -> Float[np.ndarray, "draws folds"]:
    """Pearson's r within each fold, items counted ``weights`` times (once each if left out).

    It is 0 where the prediction does not vary, as it explains nothing, and NaN where the target does not.
    """
    w = np.ones((1, len(y))) if weights is None else weights
    r = np.empty((len(w), folds.max() + 1))
    for fold in range(r.shape[1]):
        inside = folds == fold
        r[:, fold] = _weighted(prediction[inside], y[inside], w[:, inside])
    return r


def _weighted(x: Float[np.ndarray, " items"], y: Float[np.ndarray, " items"], w: Float[np.ndarray, "draws items"]) -> Float[np.ndarray, " draws"]:
    x, y = x - x.mean(), y - y.mean()  # so that the differences below lose no digits
    n = np.maximum(w.sum(axis=1), 1)
    mx, my = w @ x / n, w @ y / n
    xx, yy, xy = w @ (x * x) / n - mx**2, w @ (y * y) / n - my**2, w @ (x * y) / n - mx * my
    varies_x, varies_y = xx > 1e-12 * np.square(x).mean(), yy > 1e-12 * np.square(y).mean()
    size = np.sqrt(np.maximum(xx, 0) * np.maximum(yy, 0))
    r = np.divide(xy, size, out=np.zeros_like(xy), where=varies_x & varies_y)
    return np.where(varies_y, r, np.nan)


def mean_correlation(
    r: Float[np.ndarray, "draws folds"], folds: Int[np.ndarray, " items"], weights: Float[np.ndarray, "draws items"] | None = None
) -> Float[np.ndarray, " draws"]:
    """Mean over folds; in a resample a fold counts by how many of its items are in it, and one without r not at all."""
    w = np.ones((1, len(folds))) if weights is None else weights
    size = np.bincount(folds)
    share = np.stack([w[:, folds == fold].sum(axis=1) / size[fold] for fold in range(len(size))], axis=1)
    share = np.where(np.isnan(r), 0, share)
    total = share.sum(axis=1)
    return np.divide((share * np.nan_to_num(r)).sum(axis=1), total, out=np.full(len(r), np.nan), where=total > 0)


def resamples(groups: Int[np.ndarray, " items"], draws: int, seed: int) -> Iterator[Float[np.ndarray, "some items"]]:
    """Bootstrap weights: as many groups as there are, drawn with replacement; an item counts as often as its group."""
    group = np.unique(groups, return_inverse=True)[1]
    n = int(group.max()) + 1
    rng = np.random.default_rng(seed)
    for first in range(0, draws, DRAWS_AT_ONCE):
        counts = rng.multinomial(n, np.full(n, 1 / n), size=min(DRAWS_AT_ONCE, draws - first))
        yield counts[:, group].astype(float)


def interval(values: Float[np.ndarray, " draws"], level: float = 0.95) -> list[float] | None:
    """Percentile interval; none where it would reach resamples that have no value (NaN)."""
    tail = (1 - level) / 2
    if np.isnan(values).mean() > tail:
        return None
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return [float(low), float(high)]


def fraction(part: Float[np.ndarray, " draws"], whole: Float[np.ndarray, " draws"]) -> Float[np.ndarray, " draws"]:
    """part / whole; NaN where the whole is not above 0, as a share of nothing means nothing."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
