"""How far a feature's map may stray from 0 by chance, as far as the memory of course and responses goes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from saebrain.inference.orders import circular_shifts
from saebrain.pipeline.feature_map import FeatureMapper

DRAWS = 200


def null_deviations(
    mapper: FeatureMapper, token: Int[np.ndarray, " codes"], value: Float[np.ndarray, " codes"], *, draws: int = DRAWS, seed: int = 0
) -> tuple[Float[np.ndarray, "subjects vertices"], Float[np.ndarray, " vertices"]]:
    """Deviation of r about 0 over circular shifts of the feature's course within its runs: per subject, and of the subjects' mean.

    All subjects of a draw have the same shift, as they heard the same stimulus: what they share by chance stays in the null.

    Parameters
    ----------
    token, value
        As for `FeatureMapper.map`, whose map this goes with.
    draws : int
        The deviation itself is exact to about 1 / sqrt(2 draws).
    """
    responses = mapper.responses
    courses = mapper.courses(token, value)
    lengths = [len(course) for course in courses]
    orders = circular_shifts(lengths, draws, seed=seed)
    turned = np.concatenate(courses).astype(np.float32)[orders]
    used = [
        (run, slice(a, b)) for run, (a, b), course in zip(responses.runs, pairwise(np.cumsum([0, *lengths])), courses, strict=True) if course.any()
    ]
    each = np.full((len(mapper.subjects), responses.vertices), np.nan, np.float32)
    mean = np.zeros((len(orders), responses.vertices), np.float32)
    for row, subject in enumerate(mapper.subjects):
        r = np.zeros_like(mean)
        for run, inside in used:
            r += (turned[:, inside] @ responses.read(subject, run)) / ((inside.stop - inside.start) * mapper.deviation(subject, run) * len(used))
        if used:
            each[row] = np.sqrt(np.mean(r**2, axis=0))
        mean += r / len(mapper.subjects)
    return each, np.sqrt(np.mean(mean**2, axis=0)) if used else np.full(responses.vertices, np.nan, np.float32)
