"""What the encoding models of a study share, and the scores of any selection: of vertices, or, within a second, of parcels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Int

from saebrain.encoding.categories import CategoryKernels
from saebrain.encoding.kernels import Kernel, Response, finished, linear_kernel
from saebrain.encoding.layout import Layout
from saebrain.encoding.score import leave_one_run_out
from saebrain.encoding.scorer import Scorer
from saebrain.errors import InputError
from saebrain.labels import agreed
from saebrain.pipeline.array_cache import ArrayCache
from saebrain.pipeline.measured import Measured
from saebrain.pipeline.selection import EmptySelection, Known, by_layer, canonical, select, study_codebook
from saebrain.pipeline.space import study_atlas
from saebrain.pipeline.steps import digest, read_record
from saebrain.pipeline.stimulus import Stimulus, load_stimulus
from saebrain.pipeline.timing import layout, response_model
from saebrain.progress import Report, silent
from saebrain.scores import Scores
from saebrain.store import read_codes, read_table
from saebrain.study import Study
from saebrain.surface.atlas import Atlas
from saebrain.taxonomy import Codebook


@dataclass(frozen=True, eq=False)
class Problem:
    """All that is shared between the selections of one study at one layer.

    known : labels and what else selections refer to.
    layout, response : which samples count and are held out together; the haemodynamic response.
    nuisance : kernel of the nuisance bands.
    categories : undelayed kernels of the features, one a label.
    measured : responses; read when scores are asked for.
    """

    study: Study
    codebook: Codebook
    atlas: Atlas
    stimulus: Stimulus
    known: Known
    layout: Layout
    response: Response
    nuisance: Kernel
    categories: CategoryKernels
    measured: Measured
    _others: dict[int, Problem] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, study: Study) -> Problem:
        """Read the stimulus and the labels, and build the nuisance kernel.

        Raises
        ------
        MissingStepError, InputError
            If something is missing, or runs are too few or too short.
        """
        section, codebook, atlas = study.config.encoding, study_codebook(study), study_atlas(study)
        arrangement, response = layout(study), response_model(study)
        labels = agreed(read_table(study.labels, "python -m saebrain labels"))
        stimulus = load_stimulus(study, read_codes(study.features / "codes.parquet", len(labels)))
        courses = partial(stimulus.courses, unit=section.scaling == "unit")
        made_from = [read_record(study, "codes").get("key"), stimulus.run_lengths, study.config.responses.tr_s]
        made_how = [section.pooling, section.downsampling, section.scaling]
        cache = ArrayCache(study.folder / "cache")
        return cls(
            study=study,
            codebook=codebook,
            atlas=atlas,
            stimulus=stimulus,
            known=Known.of(study, labels, codebook),
            layout=arrangement,
            response=response,
            nuisance=finished(linear_kernel(stimulus.nuisance), arrangement, response),
            categories=CategoryKernels(courses, labels, cache, content=digest([made_from, made_how])),
            measured=Measured(study, arrangement, atlas, cache),
        )

    @property
    def labels(self) -> pd.Series:
        """The one label of every feature."""
        return self.known.labels

    def select(self, selection: str) -> Int[np.ndarray, " features"]:
        """Features of a selection at this layer.

        Raises
        ------
        InputError
            If it is not understood, or takes features from another layer; EmptySelection if there are none.
        """
        terms = by_layer(canonical(selection, self.codebook), self.study.layer)
        if list(terms) != [self.study.layer]:
            raise InputError(f"selection {selection[:80]!r} takes features from other layers than {self.study.layer}; name those of one layer")
        return select(terms[self.study.layer], self.known)

    def count(self, selection: str) -> int:
        """How many features a selection has, at all its layers (errors as for `kernel`)."""
        return sum(map(len, self._selected(selection).values()))

    def at(self, layer: int) -> Problem:
        """The same at another layer of the study; kept.

        Raises
        ------
        MissingStepError, InputError
            If there is no such layer, or something of it is missing.
        """
        if layer == self.study.layer:
            return self
        if layer not in self._others:
            self._others[layer] = Problem.load(self.study.at(layer))
        return self._others[layer]

    def forget(self, layer: int) -> None:
        """Read another layer anew when it is asked for again."""
        self._others.pop(layer, None)

    def kernel(self, selection: str) -> Kernel | None:
        """Kernel of a selection; None for the nuisance bands alone.

        Raises
        ------
        InputError
            If the selection is not understood.
        EmptySelection
            If it has no feature, or none that is active in the stimulus.
        """
        selected = {layer: features for layer, features in self._selected(selection).items() if len(features)}
        if not selected:
            return None
        undelayed, *others = (self.at(layer).categories.of(features) for layer, features in selected.items())
        for other in others:
            undelayed += other
        if not np.trace(undelayed) > 0:
            name, count = canonical(selection, self.codebook), sum(map(len, selected.values()))
            raise EmptySelection(f"selection {name!r}: none of its {count:,} feature(s) is active in the stimulus; choose another selection")
        return finished(undelayed, self.layout, self.response)

    def _selected(self, selection: str) -> dict[int, Int[np.ndarray, " features"]]:
        """Features of a selection by layer."""
        terms = by_layer(canonical(selection, self.codebook), self.study.layer)
        return {layer: select(own, self.at(layer).known) for layer, own in terms.items()}

    def relabelled(self, labels: Mapping[int, str]) -> Problem:
        """The same with other labels of some features; kernels are updated, not made anew."""
        categories = self.categories.relabelled(labels)
        return replace(self, categories=categories, known=replace(self.known, labels=categories.labels))

    def score(self, selection: str, report: Report = silent) -> dict[str, Scores]:
        """Every vertex of every subject."""
        section = self.study.config.encoding
        responses = self.measured.vertices
        scores = leave_one_run_out(
            self.kernel(selection),
            self.nuisance,
            list(responses.values()),
            self.layout.folds,
            self.atlas.labels,
            section.alphas,
            shared=section.alpha,
            device=section.device,
            report=report,
        )
        return dict(zip(responses, scores, strict=True))

    def score_parcels(self, selection: str) -> pd.DataFrame:
        """Mean responses of parcels, each with an alpha of its own: a first answer while the map is on its way.

        Not the mean of the map's r: averaging vertices takes noise away, so a parcel's own r is higher.

        Returns
        -------
        DataFrame
            subject, hemisphere, parcel, r, r_features; NaN where a parcel has no data.
        """
        section, responses = self.study.config.encoding, self.measured.parcels
        y = np.concatenate(list(responses.values()), axis=1)
        scorer = Scorer(self.kernel(selection), self.nuisance, self.layout.folds, section.alphas, n_targets=y.shape[1], device=section.device)
        found = scorer.score(y)
        return pd.DataFrame(
            {
                "subject": np.repeat(list(responses), len(self.atlas)),
                "hemisphere": [hemisphere for hemisphere, _ in self.atlas.parcels] * len(responses),
                "parcel": [name for _, name in self.atlas.parcels] * len(responses),
                "r": found.r.mean(axis=0),
                "r_features": found.r_features.mean(axis=0),
            }
        )
