"""The encode step: kernels of selected features against the responses of every subject."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float

from saebrain import design
from saebrain.encoding import delayed_kernel, leave_one_run_out, linear_kernel
from saebrain.labels import agreed
from saebrain.maps import haemodynamic, standardised
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.responses import open_study_responses
from saebrain.pipeline.results import Result, read_result, result_folder, write_result
from saebrain.pipeline.selection import ALL, NUISANCE, select, standard_selections, study_codebook
from saebrain.pipeline.steps import require
from saebrain.pipeline.stimulus import Stimulus, load_stimulus
from saebrain.progress import Report
from saebrain.responses import Responses
from saebrain.store import read_codes, read_table, write_table
from saebrain.study import Study
from saebrain.surface.atlas import Atlas, desikan_killiany, parcel_means
from saebrain.taxonomy import Codebook


def encode(study: Study, report: Report) -> None:
    """Fit and score the standard selections, and find the best parcel of every feature."""
    codebook = study_codebook(study)
    names = standard_selections(codebook)
    problem = Problem.load(study)
    for number, name in enumerate(names):
        if not (result_folder(study, name) / "result.json").is_file():
            problem.run(name)
        report(number + 1, len(names) + 1)
    write_table(study.features / "parcels.parquet", problem.best_parcels())
    report(len(names) + 1, len(names) + 1)


def encode_one(study: Study, selection: str) -> Result:
    """Score one selection, or return the result that is already there.

    Raises
    ------
    MissingStepError
        If what the encode step needs is missing or out of date.
    InputError
        If the selection is unknown or has no features.
    """
    # The result is filed under the records of these steps, so what it is computed from must be theirs.
    require(study, STEPS["encode"], STEPS)
    if selection not in (ALL, NUISANCE):
        study_codebook(study).validate_label(selection)  # before the responses are read, which takes seconds
    if not (result_folder(study, selection) / "result.json").is_file():
        Problem.load(study).run(selection)
    return read_result(study, selection)


@dataclass
class Problem:
    """All that is shared between the selections of one study: responses, stimulus, labels, kernels of the nuisance bands."""

    study: Study
    codebook: Codebook
    atlas: Atlas
    responses: Responses
    stimulus: Stimulus
    labels: pd.Series
    delays: list[int]
    nuisance: Float[np.ndarray, "samples samples"]
    measured: dict[str, Float[np.ndarray, "samples vertices"]]

    @classmethod
    def load(cls, study: Study) -> Problem:
        """Read everything and build the nuisance kernel."""
        section, response = study.config.encoding, study.config.responses
        opened = open_study_responses(study)
        labels = agreed(read_table(study.labels, "python -m saebrain labels"))
        stimulus = load_stimulus(study, read_codes(study.features / "codes.parquet", len(labels)))
        delays = design.delay_samples(section.delays_s, response.tr_s)
        kernel = delayed_kernel(linear_kernel(stimulus.nuisance), stimulus.run_lengths, delays)
        measured = {subject: np.concatenate([standardised(opened.read(subject, run)) for run in opened.runs]) for subject in opened.subjects}
        return cls(study, study_codebook(study), desikan_killiany(), opened, stimulus, labels, delays, kernel, measured)

    def run(self, selection: str) -> None:
        """Score a selection in every subject and write the result folder."""
        chosen = select(selection, self.labels, self.codebook)
        kernel = None
        if selection != NUISANCE:
            courses = self.stimulus.courses(chosen, unit=self.study.config.encoding.scaling == "unit")
            kernel = delayed_kernel(linear_kernel(courses), self.stimulus.run_lengths, self.delays)
        scores = leave_one_run_out(
            kernel, self.nuisance, list(self.measured.values()), self.stimulus.run_lengths, self.atlas.labels, self.study.config.encoding.alphas
        )
        write_result(self.study, selection, len(chosen), dict(zip(self.measured, scores, strict=True)), self.codebook, self.atlas)

    def best_parcels(self) -> pd.DataFrame:
        """The parcel that each feature's haemodynamic course correlates with most: feature, parcel, parcel_r.

        Correlations are averaged over runs and subjects. The largest of many is chosen, so parcel_r is a description, no test.
        """
        starts = np.cumsum([0, *self.stimulus.run_lengths])
        courses = haemodynamic(self.stimulus.courses(None, unit=False), self.stimulus.run_lengths, self.study.config.responses.tr_s)
        r = np.zeros((courses.shape[1], len(self.atlas.parcels)))
        for measured in self.measured.values():
            means = parcel_means(measured, self.atlas)
            for a, b in pairwise(starts):
                x, y = standardised(courses[a:b]), standardised(means[a:b])
                r += (x.T @ y) / ((b - a) * len(self.measured) * len(self.stimulus.run_lengths))
        active = courses.any(axis=0)
        best = r.argmax(axis=1)
        names = np.array([f"{hemisphere} {name}" for hemisphere, name in self.atlas.parcels], dtype=object)
        return pd.DataFrame(
            {
                "feature": np.arange(len(r), dtype=np.int32),
                "parcel": np.where(active, names[best], None),
                "parcel_r": np.where(active, r[np.arange(len(r)), best], np.nan).astype(np.float32),
            }
        )
