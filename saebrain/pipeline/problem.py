"""What the encoding models of a study share, and the scores of any selection: of vertices, or, within a second, of parcels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Int

from saebrain.encoding.categories import CategoryKernels
from saebrain.encoding.kernels import Kernel, Response, finished, linear_kernel
from saebrain.encoding.layout import Layout
from saebrain.encoding.score import leave_one_run_out
from saebrain.encoding.scorer import Scorer
from saebrain.labels import agreed
from saebrain.pipeline.array_cache import ArrayCache
from saebrain.pipeline.measured import Measured
from saebrain.pipeline.selection import EmptySelection, Known, canonical, select, study_codebook
from saebrain.pipeline.steps import digest, read_record
from saebrain.pipeline.stimulus import Stimulus, load_stimulus
from saebrain.pipeline.timing import layout, response_model
from saebrain.progress import Report, silent
from saebrain.scores import Scores
from saebrain.store import read_codes, read_table
from saebrain.study import Study
from saebrain.surface.atlas import Atlas, desikan_killiany
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

    @classmethod
    def load(cls, study: Study) -> Problem:
        """Read the stimulus and the labels, and build the nuisance kernel.

        Raises
        ------
        MissingStepError, InputError
            If something is missing, or runs are too few or too short.
        """
        section, codebook, atlas = study.config.encoding, study_codebook(study), desikan_killiany()
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
        """Features of a selection (InputError if it is not understood, EmptySelection if there are none)."""
        return select(selection, self.known)

    def kernel(self, selection: str) -> Kernel | None:
        """Kernel of a selection; None for the nuisance bands alone.

        Raises
        ------
        InputError
            If the selection is not understood.
        EmptySelection
            If it has no feature, or none that is active in the stimulus.
        """
        features = self.select(selection)
        if not len(features):
            return None
        undelayed = self.categories.of(features)
        if not np.trace(undelayed) > 0:
            name = canonical(selection, self.codebook)
            raise EmptySelection(f"selection {name!r}: none of its {len(features):,} feature(s) is active in the stimulus; choose another selection")
        return finished(undelayed, self.layout, self.response)

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
