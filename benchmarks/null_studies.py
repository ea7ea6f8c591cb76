"""Small studies in which nothing is to be found: real resting-state BOLD, invented stimuli, one test each.

Every function takes a generator and the noise, makes one study and returns the share of its targets (vertices, subcategories) with
p <= .05, by the name of the test. Names that begin with "not:" are for contrast: shortcuts that saebrain does not take, and tests
where more than the hypothesis is at stake.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import signal

from saebrain.design import delayed
from saebrain.encoding.kernels import Fir, finished, linear_kernel
from saebrain.encoding.layout import Layout
from saebrain.encoding.scorer import Scorer, TargetScores
from saebrain.inference import matched
from saebrain.inference.autocorrelation import block_length, decorrelation_length
from saebrain.inference.multiple import p_values
from saebrain.inference.orders import block_permutations, circular_shifts
from saebrain.inference.permutation import ScoreMany, held_out_test, least_squares_fit, shift_responses
from saebrain.inference.prediction_error import prediction_error
from saebrain.inference.runs import mean_correlation, run_slices, unit
from saebrain.inference.spin import parcel_permutations, partners, spin_parcels
from saebrain.inference.topography import bilateral, overlap, topography_test
from saebrain.maps import haemodynamic, normal_p, significant, standardised
from saebrain.pipeline.spun import Grid, grid, spin_test
from saebrain.pipeline.topography import OVERALL, Figures, rhos
from saebrain.simulate import BAND_HZ, RESTING_TR_S, resting_bold
from saebrain.surface.atlas import Atlas, desikan_killiany, parcel_means
from saebrain.surface.sphere import fsaverage5_sphere

LEVEL = 0.05
DRAWS = 99
RUNS = [150, 150, 150]
LAYOUT = Layout.by_run(RUNS)
VERTICES = 12
DELAYS = [2, 3, 4, 5]
ALPHAS = [0.1, 1.0, 10.0, 100.0]
WORDS_PER_SAMPLE = 3
CATEGORIES = 5
POOL, SELECTED = 240, 12
MAP_VERTICES, MAP_DRAWS = 4000, 200


@dataclass(frozen=True)
class Noise:
    """The recording: ``bold`` (samples, vertices with data), ``parcels`` (samples, parcels), unit variance;
    ``points`` (samples, points of ``grid``), of unit norm, NaN without data."""

    bold: np.ndarray
    parcels: np.ndarray
    points: np.ndarray
    grid: Grid
    atlas: Atlas

    @classmethod
    def load(cls) -> Noise:
        bold, atlas = resting_bold(), desikan_killiany()
        data = np.asarray(bold.any(axis=0))
        parcels = parcel_means(np.where(data, bold, np.float32(np.nan)), atlas).astype(float)
        points = np.where(data[grid()], unit(bold[:, grid()], [len(bold)]), np.nan)
        return cls(bold[:, data], (parcels - parcels.mean(axis=0)) / parcels.std(axis=0), points, Grid.of(fsaverage5_sphere(), atlas), atlas)

    def runs(self, rng: np.random.Generator, vertices: int = VERTICES) -> np.ndarray:
        """Stretches of the recording as runs, at random places in their order, at random vertices; standardised within runs."""
        slack = len(self.bold) - sum(RUNS)
        before = np.sort(rng.integers(slack + 1, size=len(RUNS)))  # samples left out before each run, all told
        rows = np.concatenate([np.arange(run.start, run.stop) + skip for run, skip in zip(run_slices(RUNS), before, strict=True)])
        y = self.bold[np.ix_(rows, rng.choice(self.bold.shape[1], vertices, replace=False))]
        return (unit(y, RUNS) * np.sqrt(np.repeat(RUNS, RUNS))[:, None]).astype(np.float32)


Experiment = Callable[[np.random.Generator, Noise], dict[str, float]]


def encoding(rng: np.random.Generator, noise: Noise) -> dict[str, float]:
    """Features of a stimulus that nobody listened to, kernel ridge with one alpha for the vertices, as for those of a parcel."""
    y, features = noise.runs(rng), _words(rng, 20)
    score = _features_score(_kernel(features), _kernel(np.ones_like(features[:, :1]) + rng.normal(size=(len(y), 1))))
    shifts = _shifts(rng, RUNS)
    blocks = block_permutations(RUNS, DRAWS, length=block_length(y, RUNS), seed=_seed(rng))
    test = shift_responses(score, y, shifts, batch=DRAWS)
    return {
        "encoding": _rate(test.p),
        "encoding, familywise": float(np.min(test.familywise()) <= LEVEL),
        "encoding, blocks": _rate(shift_responses(score, y, blocks, batch=DRAWS).p),
    }


def kept_predictions(rng: np.random.Generator, noise: Noise) -> dict[str, float]:
    """Predictions that stay while responses shift: for one test run, and (wrongly) over folds. Plain ridge, one penalty."""
    y, x = noise.runs(rng), _design(_words(rng, 10))
    prediction, last = _ridge(x, y), run_slices(RUNS)[-1]
    far = decorrelation_length(y, RUNS) + max(DELAYS)

    def of_last(orders: np.ndarray) -> float:
        return _rate(held_out_test(prediction[last], y[last], RUNS[-1:], orders).p)

    def of_all(orders: np.ndarray) -> float:
        return _rate(held_out_test(prediction, y, RUNS, orders).p)

    return {
        "held-out run": of_last(_shifts(rng, RUNS[-1:])),
        "not: held-out run, near shifts left out": of_last(_shifts(rng, RUNS[-1:], far)),
        "not: predictions kept in cross-validation": of_all(_shifts(rng, RUNS)),
        "not: samples shuffled": of_all(_shuffled(rng)),
    }


def beside_nuisance(rng: np.random.Generator, noise: Noise) -> dict[str, float]:
    """Responses follow a nuisance regressor that the features go with; the features add nothing to it."""
    rate = _words(rng, 1)
    features, design = _words(rng, 20) + 2 * rate, _design(rate)
    y = _planted(noise.runs(rng), design.sum(axis=1, keepdims=True))
    kernels, shifts = (_kernel(features), _kernel(rate)), _shifts(rng, RUNS)
    fitted = least_squares_fit(design, y, RUNS)
    part = _features_score(*kernels)
    return {
        "features beside nuisance": _rate(shift_responses(_gain_score(*kernels), y, shifts, fitted=fitted, batch=DRAWS).p),
        "not: r of the features' part, nuisance kept in place": _rate(shift_responses(part, y, shifts, fitted=fitted, batch=DRAWS).p),
        "not: r of the features' part, nuisance shifted too": _rate(shift_responses(part, y, shifts, batch=DRAWS).p),
    }


def expectation(rng: np.random.Generator, noise: Noise) -> dict[str, float]:
    """What the prediction error of words adds to the words' own features: the gain in held-out r."""
    words = np.concatenate([_drifting(rng, WORDS_PER_SAMPLE * run, CATEGORIES, WORDS_PER_SAMPLE * 15) for run in RUNS])
    error = prediction_error(words, [WORDS_PER_SAMPLE * run for run in RUNS]).mismatch
    own, band = (_per_sample(x) for x in (words, error))
    score, shifts, y = _gain_score(_kernel(band), _kernel(own)), _shifts(rng, RUNS), noise.runs(rng)
    design = _design(unit(own, RUNS))
    moved = _planted(y, design @ rng.normal(size=(design.shape[1], y.shape[1])))
    fitted = least_squares_fit(design, moved, RUNS)
    return {
        "prediction error": _rate(shift_responses(score, y, shifts, batch=DRAWS).p),
        "not: prediction error, where own features have signal": _rate(shift_responses(score, moved, shifts, batch=DRAWS).p),
        "not: the same, 20 columns kept in place": _rate(shift_responses(score, moved, shifts, fitted=fitted, batch=DRAWS).p),
    }


def matched_baseline(rng: np.random.Generator, noise: Noise) -> dict[str, float]:
    """A selection at random against matched sets; score: held-out r averaged over vertices."""
    spread = np.exp(0.5 * rng.normal(size=POOL))
    features = _words(rng, POOL) * spread
    y, x = noise.runs(rng, 40), signal.lfilter(np.ones(4) / 4, 1, features, axis=0)
    selection = rng.choice(POOL, SELECTED, replace=False)
    sets = matched.matched_sets(features.var(axis=0), selection, n=DRAWS, seed=_seed(rng))
    test = matched.matched_test(lambda chosen: np.array([mean_correlation(_ridge(x[:, chosen], y), y, RUNS).mean()]), sets)
    return {"matched baseline": _rate(test.p), "not: matched baseline, draws not moved apart": _rate(p_values(test.observed, test.null))}


def vertex_spin(rng: np.random.Generator, noise: Noise) -> dict[str, float]:
    """The topography of a study: maps of vertices turned, rho over the parcels predicted for any subcategory."""
    maps, predicted = _courses(rng, noise).T @ noise.points, _predicted(noise.atlas)
    observed, null = spin_test(maps, noise.grid, lambda means: rhos(predicted, means), n=DRAWS, seed=_seed(rng))
    p = p_values(observed, null)
    found = Figures([str(number) for number in range(CATEGORIES)], noise.atlas, predicted, noise.grid.means(maps)[0])
    return {
        "topography": _rate(p[:1]),
        "topography, a subcategory's own": _rate(p[len(OVERALL) :]),
        "topography, hypergeometric": _rate(np.array([found.p_hypergeom])),
    }


def topography(rng: np.random.Generator, noise: Noise) -> dict[str, float]:
    """Maps of random courses' correlations with parcels against the codebook's kind of prediction (both hemispheres, blobs)."""
    observed = _courses(rng, noise).T @ unit(noise.parcels, [len(noise.parcels)])
    partner = partners(noise.atlas.parcels)
    sphere, labels, n_left, seed = fsaverage5_sphere(), noise.atlas.labels, len(noise.atlas.labels) // 2, _seed(rng)
    predicted = _predicted(noise.atlas)
    pairs = bilateral(predicted, partner) > 0
    spun = topography_test(predicted, observed, spin_parcels(sphere, labels, n_left, DRAWS, partner=partner, seed=seed))
    dropped = topography_test(predicted, observed, spin_parcels(sphere, labels, n_left, DRAWS, partner=None, method="drop", seed=seed))
    apart = topography_test(predicted, observed, spin_parcels(sphere, labels, n_left, DRAWS, partner=None, seed=seed))
    shuffled = topography_test(predicted, observed, parcel_permutations(partner, DRAWS, seed=seed))
    loose = topography_test(predicted, observed, np.stack([rng.permutation(len(partner)) for _ in range(DRAWS)]))
    return {
        "spin": _rate(spun.p[:-1]),
        "spin, mean of subcategories": _rate(spun.p[-1:]),
        "spin, medial wall dropped": _rate(dropped.p[:-1]),
        "hypergeometric": _rate(np.array([overlap(a, b).p for a, b in zip(pairs, bilateral(observed, partner), strict=True)])),
        "not: spin, hemispheres assigned apart": _rate(apart.p[:-1]),
        "not: parcels permuted, namesakes together": _rate(shuffled.p[:-1]),
        "not: parcels permuted": _rate(loose.p[:-1]),
        "not: hypergeometric, hemispheres counted as two": _rate(np.array([overlap(a, b).p for a, b in zip(predicted, observed, strict=True)])),
    }


def feature_map(rng: np.random.Generator, noise: Noise) -> dict[str, float]:
    """The map of one feature, p from the deviation of r over turned courses, taken as normal; and whether any vertex is left after FDR."""
    y, course = noise.runs(rng, MAP_VERTICES), haemodynamic(_words(rng, 1).astype(np.float32), RUNS, RESTING_TR_S)
    runs = run_slices(RUNS)
    course = np.concatenate([standardised(course[run]) for run in runs])[:, 0]
    orders = np.concatenate([np.arange(len(course))[None], circular_shifts(RUNS, MAP_DRAWS, seed=int(rng.integers(1 << 31)))])
    turned = course[orders]
    observed, *null = sum(turned[:, run] @ y[run] / (run.stop - run.start) for run in runs) / len(runs)
    spread = np.sqrt(np.mean(np.square(null), axis=0))
    return {"feature map": _rate(normal_p(observed, spread)), "feature map, any vertex after FDR": float(significant(observed, spread, LEVEL).any())}


_ALL: tuple[Experiment, ...] = (encoding, kept_predictions, beside_nuisance, expectation, matched_baseline, topography, vertex_spin, feature_map)
EXPERIMENTS = {experiment.__name__: experiment for experiment in _ALL}


def _courses(rng: np.random.Generator, noise: Noise) -> np.ndarray:
    """A random course a subcategory, of the band that BOLD lives in, of unit norm. (samples, subcategories)."""
    course = rng.normal(size=(len(noise.parcels), CATEGORIES))
    course = signal.sosfiltfilt(signal.butter(2, BAND_HZ, "bandpass", fs=1 / RESTING_TR_S, output="sos"), course, axis=0)
    return np.asarray(unit(course, [len(course)]))


def _features_score(features: np.ndarray, nuisance: np.ndarray) -> ScoreMany:
    """r of the features' part of the held-out prediction."""
    scorer = _scorer(features, nuisance)
    return lambda versions: _scores(scorer, versions).r_features.mean(axis=0).reshape(len(versions), -1)


def _gain_score(features: np.ndarray, nuisance: np.ndarray) -> ScoreMany:
    """What features add to the r of the nuisance bands."""
    both, alone = _scorer(features, nuisance), _scorer(None, nuisance)

    def score(versions: Sequence[np.ndarray]) -> np.ndarray:
        gain = _scores(both, versions).r - _scores(alone, versions).r
        return np.asarray(gain.mean(axis=0).reshape(len(versions), -1))

    return score


def _scorer(features: np.ndarray | None, nuisance: np.ndarray) -> Scorer:
    return Scorer(features, nuisance, LAYOUT.folds, ALPHAS, n_targets=DRAWS * VERTICES, keep=True, device="cpu")


def _scores(scorer: Scorer, versions: Sequence[np.ndarray]) -> TargetScores:
    """One alpha for the vertices of each version, chosen anew, as for those of a parcel."""
    y = np.concatenate(versions, axis=1)
    loss = scorer.losses([(y, np.arange(y.shape[1]))])
    shared = loss.reshape(len(LAYOUT.folds), len(ALPHAS), len(versions), -1).sum(axis=3).argmin(axis=1)
    return scorer.score(y, np.repeat(shared, y.shape[1] // len(versions), axis=1))


def _ridge(x: np.ndarray, y: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Held-out predictions of plain ridge, one run left out at a time; the penalty in units of the mean diagonal of X'X."""
    prediction = np.empty(y.shape)
    runs = run_slices(RUNS)
    centred = np.concatenate([x[run] - x[run].mean(axis=0) for run in runs])
    for test in runs:
        training = np.concatenate([np.arange(run.start, run.stop) for run in runs if run != test])
        gram = centred[training].T @ centred[training]
        weights = np.linalg.solve(gram + alpha * np.trace(gram) / len(gram) * np.eye(len(gram)), centred[training].T @ y[training])
        prediction[test] = centred[test] @ weights
    return prediction


def _planted(noise: np.ndarray, course: np.ndarray) -> np.ndarray:
    """Half as much variance of a course (of one for all vertices, or of one each) as of noise, standardised within runs."""
    norm = np.sqrt(np.repeat(RUNS, RUNS))[:, None]
    return (unit(noise + 0.7 * unit(course, RUNS) * norm, RUNS) * norm).astype(np.float32)


def _words(rng: np.random.Generator, features: int) -> np.ndarray:
    """Counts of features per sample, with topics that last: as clumped in time as text is. (samples, features)."""
    return np.concatenate([_drifting(rng, run, features, 15) for run in RUNS])


def _drifting(rng: np.random.Generator, rows: int, columns: int, memory: int) -> np.ndarray:
    topic = signal.lfilter(np.ones(memory) / np.sqrt(memory), 1, rng.normal(size=(rows + memory, columns)), axis=0)[memory:]
    return rng.poisson(np.exp(topic - 1)).astype(float)


def _per_sample(words: np.ndarray) -> np.ndarray:
    return words.reshape(sum(RUNS), WORDS_PER_SAMPLE, -1).sum(axis=1)


def _design(x: np.ndarray) -> np.ndarray:
    return np.concatenate([delayed(x[run] - x[run].mean(axis=0), DELAYS) for run in run_slices(RUNS)])


def _kernel(x: np.ndarray) -> np.ndarray:
    centred = unit(x, RUNS).astype(np.float32)
    return finished(linear_kernel(centred), LAYOUT, Fir(tuple(DELAYS)))


def _shifts(rng: np.random.Generator, runs: list[int], minimum: int = 0) -> np.ndarray:
    return circular_shifts(runs, DRAWS, minimum=minimum, seed=_seed(rng))


def _shuffled(rng: np.random.Generator) -> np.ndarray:
    return np.stack([np.concatenate([run.start + rng.permutation(run.stop - run.start) for run in run_slices(RUNS)]) for _ in range(DRAWS)])


def _predicted(atlas: Atlas) -> np.ndarray:
    """The shape of the codebook's prediction: for each subcategory the parcels named here, in both hemispheres."""
    named = (
        ("bankssts", "inferiorparietal", "temporalpole", "precuneus", "superiorfrontal", "medialorbitofrontal"),
        ("parahippocampal", "isthmuscingulate", "precuneus", "lateraloccipital"),
        ("precentral", "postcentral", "supramarginal", "middletemporal", "parsopercularis"),
        ("temporalpole", "medialorbitofrontal", "rostralanteriorcingulate", "insula", "lateralorbitofrontal"),
        ("superiorparietal", "supramarginal", "rostralmiddlefrontal", "caudalmiddlefrontal"),
    )
    return np.array([[name in row for _, name in atlas.parcels] for row in named])


def _rate(p: np.ndarray) -> float:
    return float(np.mean(p <= LEVEL))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
