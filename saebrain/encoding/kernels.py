"""Kernels of features, from undelayed courses to what ridge regression works on.

With X the courses of some features (samples x features, standardised within run) the undelayed kernel is K0 = X X^T. What
the haemodynamic response does to X it does to K0 from both sides: X becomes B X, K0 becomes B K0 B^T with B acting within
runs. A finite impulse response has several B, one a delay, whose kernels add up. So a kernel is made once a category, and
delays, sums and changes of single features work on kernels alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import lapack

from saebrain.encoding.layout import Layout, slices
from saebrain.errors import InputError

Kernel = Float[np.ndarray, "samples samples"]

RANK = 1e-5
"""What is left of a kernel's diagonal below this share of its largest entry is rounding."""


@dataclass(frozen=True)
class Fir:
    """Finite impulse response: a copy of every feature at each delay, in samples."""

    delays: tuple[int, ...]

    @property
    def longest(self) -> int:
        return max(self.delays)


@dataclass(frozen=True)
class Hrf:
    """Canonical response: every feature convolved with fixed weights, one a lag in samples."""

    weights: tuple[float, ...]

    @property
    def longest(self) -> int:
        return len(self.weights) - 1


Response = Fir | Hrf


def linear_kernel(x: Float[np.ndarray, "samples columns"]) -> Kernel:
    """Undelayed kernel K0 = X X^T of courses that are centred within runs."""
    return np.asarray(x @ x.T, np.float32)


def moved(source: Kernel, target: Kernel, courses: Float[np.ndarray, "samples moved"]) -> tuple[Kernel, Kernel]:
    """Undelayed kernels of two categories after features went from the first to the second: K0 -+ x x^T, of rank 1 for one feature."""
    change = linear_kernel(courses)
    return source - change, target + change


def respond(kernel: Kernel, run_lengths: tuple[int, ...], response: Response) -> Kernel:
    """What the haemodynamic response makes of an undelayed kernel; nothing crosses a run, and before its start there is 0.

    Fir: K[t, t'] = sum_d K0[t - d, t' - d]. Hrf with weights h: K[t, t'] = sum_ij h_i h_j K0[t - i, t' - j].
    """
    runs = slices(run_lengths)
    out = np.zeros_like(kernel)
    if isinstance(response, Hrf):
        for run in runs:
            out[run] = _convolution(run.stop - run.start, response.weights).astype(kernel.dtype) @ kernel[run]
        for run in runs:
            out[:, run] = out[:, run] @ _convolution(run.stop - run.start, response.weights).astype(kernel.dtype).T
        return out
    for a in runs:
        for b in runs:
            for d in response.delays:
                earlier = kernel[a.start : max(a.stop - d, a.start), b.start : max(b.stop - d, b.start)]
                out[a.start + d : a.stop, b.start + d : b.stop] += earlier
    return out


def centre(kernel: Kernel, segments: tuple[slice, ...]) -> Kernel:
    """The kernel of the same columns, centred within every segment; in place."""
    for segment in segments:
        kernel[segment] -= kernel[segment].mean(axis=0, keepdims=True)
    for segment in segments:
        kernel[:, segment] -= kernel[:, segment].mean(axis=1, keepdims=True)
    return kernel


def finished(kernel: Kernel, layout: Layout, response: Response) -> Kernel:
    """Undelayed kernel of all recorded samples -> kernel that a model is fitted with.

    The haemodynamic response works on the whole of every run, then samples are cut off, then what is left is centred within
    segments, as if each column of the design had been, and scaled to a mean diagonal of 1.

    Raises
    ------
    InputError
        If the kernel is zero: no feature of the selection is active.
    """
    full = respond(kernel, layout.run_lengths, response)
    if layout.samples < len(full):
        full = full[np.ix_(layout.kept, layout.kept)]
    centre(full, layout.segments)
    scale = float(np.trace(full)) / len(full)
    if not scale > 0:
        raise InputError("the selection has no feature that is active in the stimulus; choose more categories or features")
    full /= np.float32(scale)
    return full


def factor(kernel: Kernel) -> Float[np.ndarray, "samples rank"]:
    """Z with Z Z^T = K, as many columns as the kernel has dimensions (Cholesky with pivoting)."""
    lower, pivots, rank, _ = lapack.dpstrf(kernel.astype(np.float64), tol=RANK * float(kernel.diagonal().max()), lower=1)
    Z = np.empty((len(kernel), rank))
    Z[pivots - 1] = np.tril(lower[:, :rank])
    return Z


def _convolution(samples: int, weights: tuple[float, ...]) -> Float[np.ndarray, "samples samples"]:
    """The matrix that convolves a run with weights, the first of them at lag 0."""
    out = np.zeros((samples, samples), np.float32)
    for lag, weight in enumerate(weights[:samples]):
        out += np.float32(weight) * np.eye(samples, k=-lag, dtype=np.float32)
    return out
