"""One feature's map of any kind, as the command line draws it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from saebrain.errors import InputError
from saebrain.maps import group_t, significant
from saebrain.pipeline.feature_map import FeatureMapper
from saebrain.pipeline.feature_test import null_deviations
from saebrain.store import FeatureStore
from saebrain.study import Study
from saebrain.surface.render import round_end


@dataclass(frozen=True, eq=False)
class FeaturePicture:
    """A map with the name of its colour bar, the value of the last colour, and the least value that a test left in it."""

    values: Float[np.ndarray, " vertices"]
    label: str
    reach: float
    floor: float = 0.0


def feature_picture(study: Study, feature: int, kind: str, subject: str | None, q: float | None = None) -> FeaturePicture:
    """Correlation, t over subjects, weight or share of variance of one feature.

    Parameters
    ----------
    subject : str, optional
        None: the mean over subjects.
    q : float, optional
        False discovery rate at which correlations are kept; others become 0.

    Raises
    ------
    InputError
        If the study has no such feature or subject.
    MissingStepError
        If something has not been computed.
    """
    mapper, store = FeatureMapper(study), FeatureStore(study.features, study.tokens, study.labels)
    subjects = mapper.subjects
    if subject is not None and subject not in subjects:
        raise InputError(f"subject {subject!r}: the study has {', '.join(subjects)}; choose one of them")
    codes = store.codes(feature)
    whose = subject or "mean over subjects"
    if kind in ("weight", "share"):
        return _of_model(study, feature, kind, [subject] if subject else subjects, whose)
    maps = mapper.map(*codes)
    if kind == "t":
        values = group_t(maps)
        return FeaturePicture(values, "t over subjects", round_end(values))
    row = None if subject is None else subjects.index(subject)
    values = maps.mean(axis=0) if row is None else maps[row]
    if q is None:
        return FeaturePicture(values, f"Pearson r, {whose}", round_end(values))
    each, mean = null_deviations(mapper, *codes)
    kept = significant(values, mean if row is None else each[row], q)
    least = float(np.abs(values[kept]).min(initial=np.inf))
    end = round_end(values)
    shown = np.where(kept | np.isnan(values), values, np.float32(0))
    return FeaturePicture(shown, f"Pearson r, {whose}, q ≤ {q:g}", end, least / 2 if np.isfinite(least) else end)


def _of_model(study: Study, feature: int, kind: str, subjects: list[str], whose: str) -> FeaturePicture:
    from saebrain.pipeline.feature_weights import FeatureWeights  # slow to load (scipy)

    model = FeatureWeights(study)
    if kind == "share":
        of, label = model.contribution, "Share of variance"
    else:
        of, label = model.weight, "Weight (s.d. of the response per unit of the course)"
    values = np.mean([of(feature, subject) for subject in subjects], axis=0)
    return FeaturePicture(values, f"{label}, {whose}", round_end(values))
