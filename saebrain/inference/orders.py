"""Orders of samples that break the tie between stimulus and response and keep the response's own memory.

An order is an index: the response of a draw is ``y[order]``. It moves whole time points, the same for every vertex, so
that correlations between vertices stay; it never leaves a run.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int

from saebrain.errors import InputError
from saebrain.inference.runs import run_slices


def n_shifts(run_lengths: list[int], minimum: int) -> int:
    """Number of distinct combinations of one shift per run, each from ``minimum`` to the run's length less ``minimum``.

    With a minimum of 0 every shift is in it but the one that leaves all runs as they are. No test on shifts can give a p
    below 1 / (1 + this number).
    """
    if minimum == 0:
        return math.prod(run_lengths) - 1
    return math.prod(max(length - 2 * minimum + 1, 0) for length in run_lengths)


def circular_shifts(run_lengths: list[int], n: int, *, minimum: int = 0, seed: int) -> Int[np.ndarray, "draws samples"]:
    """Orders that turn every run round by its own random shift: y*[t] = y[(t - shift) mod length].

    A run that is stationary and has no end (or whose memory is short against its length) is as likely as any of its turned
    versions, whatever its autocorrelation: this is what makes the null right where shuffled samples make it far too narrow.

    Parameters
    ----------
    n : int
        Draws. If there are no more distinct combinations of shifts than that, each comes once and there are fewer draws.
    minimum : int
        Least shift from the true position, in samples, either way. Leave it at 0, where the test is exact. Shifts nearer than
        the responses' memory do look like the true order and keep p from becoming very small (with one run of 652 samples and
        a statistic that stays high over 3 samples each way, from falling below .01); but leaving them out takes the neighbours of
        a chance peak out of the count, and the test rejects too often: with AR(1) noise of .9 and one run of 240, .08 instead of .05
        where a sixth of all shifts was left out, .09 for a third. With three runs or more there is nothing to be gained.

    Raises
    ------
    InputError
        If a run is shorter than twice the minimum, or has one sample only.
    """
    count = n_shifts(run_lengths, minimum)
    if count < 1:
        raise InputError(
            f"run of {min(run_lengths)} samples: no shift is {minimum} samples away from 0 both ways; bring longer runs, or ask for a smaller minimum"
        )
    rng = np.random.default_rng(seed)
    return np.stack([_turned(run_lengths, shift) for shift in _draw(run_lengths, min(n, count), minimum, rng)])


def block_permutations(run_lengths: list[int], n: int, *, length: int, seed: int) -> Int[np.ndarray, "draws samples"]:
    """Orders that cut every run into blocks of at least ``length`` samples, permute them, and turn the run by a random offset before and after.

    The offset keeps the cuts from falling on the same samples in every draw. For runs that change over time, or too short
    for shifts; see :func:`saebrain.inference.autocorrelation.block_length` for the length.

    Raises
    ------
    InputError
        If a run has fewer than three blocks.
    """
    if length < 1 or min(run_lengths) < 3 * length:
        raise InputError(
            f"blocks of {length} samples in a run of {min(run_lengths)}: 3 or more must fit; ask for shorter blocks, or shift circularly"
        )
    rng = np.random.default_rng(seed)
    return np.stack([_permuted(run_lengths, length, rng) for _ in range(n)])


def _draw(run_lengths: list[int], n: int, minimum: int, rng: np.random.Generator) -> Int[np.ndarray, "draws runs"]:
    """Distinct combinations of shifts."""
    sizes = [length - 2 * minimum + 1 if minimum else length for length in run_lengths]
    count = math.prod(sizes)
    if count > 2**62:  # too many to number; that two draws agree has a chance of n^2 / 2^63
        return np.stack([rng.integers(minimum, minimum + size, n) for size in sizes], axis=1)
    first = 0 if minimum else 1  # number 0 would leave all runs as they are
    number = first + rng.choice(count - first, n, replace=False)
    return minimum + np.stack(np.unravel_index(number, sizes), axis=1)


def _turned(run_lengths: list[int], shift: Int[np.ndarray, " runs"]) -> Int[np.ndarray, " samples"]:
    parts = [run.start + (np.arange(length) - by) % length for run, length, by in zip(run_slices(run_lengths), run_lengths, shift, strict=True)]
    return np.concatenate(parts).astype(np.int32)


def _permuted(run_lengths: list[int], length: int, rng: np.random.Generator) -> Int[np.ndarray, " samples"]:
    parts = []
    for run, samples in zip(run_slices(run_lengths), run_lengths, strict=True):
        blocks = np.array_split(np.arange(samples), samples // length)
        order = np.concatenate([blocks[block] for block in rng.permutation(len(blocks))])
        parts.append(run.start + np.roll((order + rng.integers(samples)) % samples, rng.integers(samples)))
    return np.concatenate(parts).astype(np.int32)
