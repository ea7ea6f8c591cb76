"""Maps of what a fitted encoding model does with single features: weights and contributions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float

from saebrain.arrays import read_array, write_array
from saebrain.encoding.kernels import Hrf, finished, linear_kernel
from saebrain.encoding.layout import Layout
from saebrain.maps import contribution_map, dual_weights, weight_map
from saebrain.pipeline.array_cache import ArrayCache
from saebrain.pipeline.measured import Measured
from saebrain.pipeline.results import read_result, result_folder
from saebrain.pipeline.selection import ALL
from saebrain.pipeline.space import study_atlas
from saebrain.pipeline.stimulus import load_stimulus
from saebrain.pipeline.timing import layout, response_model
from saebrain.store import read_codes, read_table
from saebrain.study import Study


class FeatureWeights:
    """The model of all features with the nuisance bands, fitted to all runs of a subject when it is first asked for.

    Its penalty is the median of those that cross-validation chose. As nothing is held out, maps describe the fitted model;
    how well it predicts, the maps of r say. Dual weights (samples x vertices) are kept beside the result.
    """

    def __init__(self, study: Study) -> None:
        """Read the stimulus and build the kernel.

        Raises
        ------
        MissingStepError
            If the result of all features has not been computed.
        InputError
            If no feature is active.
        """
        self._study = study
        self._alphas = read_result(study, ALL).info["alphas"]
        features = read_table(study.features / "features.parquet", "python -m saebrain features", ["feature"])
        self._stimulus = load_stimulus(study, read_codes(study.features / "codes.parquet", len(features)))
        self._layout, self._response = layout(study), response_model(study)
        self._unit = study.config.encoding.scaling == "unit"
        undelayed = linear_kernel(self._stimulus.courses(None, unit=self._unit))
        nuisance = linear_kernel(self._stimulus.nuisance)
        self._kernel = finished(undelayed, self._layout, self._response) + finished(nuisance, self._layout, self._response)
        x = self._delayed(None)
        self._scale = float(np.sqrt(np.einsum("ij,ij->", x, x) / len(x)))  # kernels have a mean diagonal of 1
        self._delayed_of = lru_cache(maxsize=8)(lambda feature: self._delayed(np.array([feature])))  # for one subject after another
        self._power: dict[str, np.ndarray] = {}
        self._measured = Measured(study, self._layout, study_atlas(study), ArrayCache(study.folder / "cache"))

    def weight(self, feature: int, subject: str) -> Float[np.ndarray, " vertices"]:
        """Weight of one feature at every vertex, summed over delays, in standard deviations of the response per unit of the course.

        NaN where there is no data.
        """
        course = self._delayed_of(feature).sum(axis=1, keepdims=True)  # as weights are linear in it
        found = weight_map(course / self._scale**2, self._dual(subject))[0]
        return np.where(self._power_of(subject) > 0, found, np.float32(np.nan))

    def contribution(self, feature: int, subject: str) -> Float[np.ndarray, " vertices"]:
        """Share of every vertex' variance that the feature's part of the fitted prediction accounts for; NaN where there is no data."""
        delayed = self._delayed_of(feature)
        weights = weight_map(delayed / self._scale**2, self._dual(subject))
        return contribution_map(delayed, weights, self._measured.vertices[subject], self._power_of(subject))

    def _power_of(self, subject: str) -> Float[np.ndarray, " vertices"]:
        """Sum of squares of every vertex' responses."""
        if subject not in self._power:
            y = self._measured.vertices[subject]
            self._power[subject] = np.einsum("tv,tv->v", y, y)
        return self._power[subject]

    def _delayed(self, features: np.ndarray | None) -> Float[np.ndarray, "samples columns"]:
        """The courses of some features (all if None) as the model's design has them: delayed or convolved, cut, centred within segments."""
        courses, response = self._stimulus.courses(features, unit=self._unit), self._response
        kernels = [np.array(response.weights)] if isinstance(response, Hrf) else [np.eye(1, delay + 1, delay)[0] for delay in response.delays]
        return np.concatenate([_centred(_convolved(courses, kernel, self._layout), self._layout) for kernel in kernels], axis=1)

    def _dual(self, subject: str) -> Float[np.ndarray, "samples vertices"]:
        path = result_folder(self._study, ALL) / f"dual_{subject}.npy"
        if not path.is_file():
            alpha = float(np.median(self._alphas[subject]))
            write_array(path, dual_weights(self._kernel, self._measured.vertices[subject], alpha))
        return read_array(path, mapped=True)


def _convolved(courses: Float[np.ndarray, "recorded features"], kernel: np.ndarray, layout: Layout) -> Float[np.ndarray, "recorded features"]:
    out, start = np.zeros_like(courses), 0
    for length in layout.run_lengths:
        for lag, weight in enumerate(kernel[:length]):
            if weight:
                out[start + lag : start + length] += np.float32(weight) * courses[start : start + length - lag]
        start += length
    return out


def _centred(x: Float[np.ndarray, "recorded columns"], layout: Layout) -> Float[np.ndarray, "samples columns"]:
    x = x[layout.kept]
    for segment in layout.segments:
        x[segment] -= x[segment].mean(axis=0)
    return x
