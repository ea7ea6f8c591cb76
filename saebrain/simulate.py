"""Responses with a known truth: signals planted on real resting-state BOLD.

The noise is one real resting-state run on fsaverage5 (Mendes et al. 2019, sub-010188, in the package ``brainspace``). Further runs
and subjects come from phase randomisation: every vertex's spectrum is turned by the same random phases, which keeps all
variances, autocovariances and covariances between vertices exactly and gives a new course in time (Prichard and Theiler 1994).

A vertex's response is ``noise + strength * sum_s weight_s signal_s``. The signals are: for each semantic subcategory the
words of a lexicon, for auditory cortex the rate of words, for frontal language areas their surprisal. None of them
comes from SAE features. Each is convolved with a haemodynamic response, and filtered to the band that the recording kept.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import fft, signal

from saebrain.design import haemodynamic_response, sample_times
from saebrain.errors import InputError

RESTING_TR_S = 1.4
BAND_HZ = (0.01, 0.08)
AUDITORY = ("transversetemporal", "superiortemporal")
FRONTAL_LANGUAGE = ("parstriangularis", "parsopercularis")
GRID_S = 0.1


@dataclass(frozen=True)
class Truth:
    """What was planted: the weight of every signal at every vertex, per subject."""

    signals: list[str]
    parcels: dict[str, list[str]]
    weights: dict[str, Float[np.ndarray, "signals vertices"]]


def resting_bold() -> Float[np.ndarray, "samples vertices"]:
    """The resting-state run: 652 samples (TR 1.4 s) x 20,484 vertices, each of unit variance, 0 where there is no data.

    Raises
    ------
    InputError
        If the package with the recording is not installed.
    """
    spec = importlib.util.find_spec("brainspace")
    if spec is None or spec.origin is None:
        raise InputError("resting-state BOLD: Python package 'brainspace' is not installed; run: pip install --no-deps -r requirements-demo.txt")
    folder = Path(spec.origin).parent / "datasets" / "preprocessing"
    halves = []
    for hemisphere in ("lh", "rh"):
        files = sorted(folder.glob(f"*.fsa5.{hemisphere}.mgz"))
        if not files:
            raise InputError(f"resting-state BOLD: no *.fsa5.{hemisphere}.mgz in {folder}; reinstall the package 'brainspace'")
        values = np.asarray(nibabel.load(files[0]).get_fdata(dtype=np.float32))
        halves.append(values.reshape(values.shape[0], values.shape[-1]))
    bold = np.concatenate(halves).T
    bold = bold - bold.mean(axis=0)
    deviation = bold.std(axis=0)
    return np.divide(bold, deviation, out=np.zeros_like(bold), where=deviation > 0)


def phase_randomised(bold: Float[np.ndarray, "samples vertices"], rng: np.random.Generator) -> Float[np.ndarray, "samples vertices"]:
    """A surrogate with the same spectra and cross-spectra: one random phase per frequency, the same at every vertex."""
    spectrum = fft.rfft(bold, axis=0, workers=-1)
    phase = np.exp(2j * np.pi * rng.random(len(spectrum))).astype(np.complex64)
    phase[0] = 1
    if len(bold) % 2 == 0:
        phase[-1] = 1  # the Nyquist bin of a real series is real
    spectrum *= phase[:, None]
    return fft.irfft(spectrum, n=len(bold), axis=0, workers=-1).astype(np.float32)


def convolved(
    onset_s: Float[np.ndarray, " words"], value: Float[np.ndarray, " words"], *, samples: int, tr_s: float
) -> Float[np.ndarray, " samples"]:
    """Impulses at word onsets, convolved with the haemodynamic response, filtered to ``BAND_HZ`` and standardised.

    All zero if the values do not vary in time.
    """
    grid = np.zeros(int(np.ceil(samples * tr_s / GRID_S)))
    index = (onset_s / GRID_S).astype(int)
    inside = index < len(grid)
    np.add.at(grid, index[inside], value[inside])
    course = np.convolve(grid, haemodynamic_response(np.arange(0, 32, GRID_S)))[: len(grid)]
    sampled = np.interp(sample_times(samples, tr_s), np.arange(len(grid)) * GRID_S, course)
    filtered = signal.sosfiltfilt(signal.butter(2, BAND_HZ, "bandpass", fs=1 / tr_s, output="sos"), sampled)
    deviation = filtered.std()
    return (filtered - filtered.mean()) / deviation if deviation > 1e-12 else np.zeros(samples)


def plant(
    subjects: list[str],
    labels: Int[np.ndarray, " vertices"],
    parcels: list[tuple[str, str]],
    predicted: dict[str, list[str]],
    rng: np.random.Generator,
) -> Truth:
    """Draw the weights: 0 outside a signal's parcels, inside positive, varying between subjects, parcels and vertices.

    Parameters
    ----------
    labels : int array
        Parcel of each vertex, -1 for none.
    parcels : list of (hemisphere, name)
        The parcels that ``labels`` counts.
    predicted : dict
        Parcel names of each semantic subcategory; both hemispheres respond.
    """
    regions = {**predicted, "word rate": list(AUDITORY), "surprisal": list(FRONTAL_LANGUAGE)}
    weights = {}
    for subject in subjects:
        weight = np.zeros((len(regions), len(labels)), np.float32)
        for row, names in enumerate(regions.values()):
            for index, (_, name) in enumerate(parcels):
                if name in names:
                    inside = labels == index
                    gain = rng.lognormal(0, 0.15) * rng.lognormal(0, 0.25, int(inside.sum()))
                    weight[row, inside] = gain
        weights[subject] = weight
    return Truth(list(regions), regions, weights)


def respond(
    noise: Float[np.ndarray, "samples vertices"],
    signals: Float[np.ndarray, "samples signals"],
    weights: Float[np.ndarray, "signals vertices"],
    strength: float,
) -> Float[np.ndarray, "samples vertices"]:
    """Noise plus planted signals; vertices without data stay 0."""
    data: Bool[np.ndarray, " vertices"] = np.asarray(noise.any(axis=0))
    planted = (signals.astype(np.float32) @ weights) * np.float32(strength)
    return np.where(data, noise + planted, np.float32(0))
