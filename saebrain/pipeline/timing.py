"""Samples of a study: how many each run has, which of them count, what is held out together, and the haemodynamic response."""

from __future__ import annotations

from functools import partial

import pandas as pd

from saebrain import design
from saebrain.encoding.kernels import Fir, Hrf, Response
from saebrain.encoding.layout import Layout
from saebrain.errors import InputError
from saebrain.pipeline.space import n_vertices
from saebrain.progress import Report
from saebrain.responses import Responses, find_responses, open_responses
from saebrain.study import Study


def study_responses(study: Study, *, check: Report | None = None) -> Responses:
    """The responses of a study; with ``check``, all of their values are looked at, and it is told how many files have been.

    Raises
    ------
    MissingStepError
        If there are none.
    InputError
        If a file is not as it should be.
    """
    section = study.config.responses
    find = partial(open_responses, report=check) if check else find_responses
    return find(study.responses, study.run_names, vertices=n_vertices(study), tr_s=section.tr_s, samples=stated_samples(study))


def stated_samples(study: Study) -> list[int] | None:
    """Samples of each run as study.toml says; None if it leaves that to the files."""
    samples = study.config.responses.samples
    return [samples] * len(study.run_names) if isinstance(samples, int) else samples


def run_samples(study: Study) -> list[int]:
    """Samples of each run, by study.toml or else by the files of the first subject."""
    return stated_samples(study) or study_responses(study).samples


def check_length(words: pd.DataFrame, samples: int, tr_s: float) -> None:
    """Make sure that a run's words are over before its responses are.

    Raises
    ------
    InputError
        Naming the run.
    """
    last, end = float(words["onset_s"].iloc[-1]), samples * tr_s
    if last >= end:
        run = words["run"].iloc[0]
        raise InputError(f"run {run!r}: last word at {last:.1f} s, but its responses end at {end:.1f} s; check word times, `tr_s` and `samples`")


def response_model(study: Study) -> Response:
    """What the haemodynamic response makes of features."""
    section, tr_s = study.config.encoding, study.config.responses.tr_s
    if section.response == "hrf":
        return Hrf(tuple(design.haemodynamic_weights(tr_s).tolist()))
    return Fir(tuple(design.delay_samples(section.delays_s, tr_s)))


def layout(study: Study) -> Layout:
    """Which samples count, and what is held out together.

    Raises
    ------
    InputError
        If there are too few runs, or they are too short.
    """
    section, tr_s = study.config.encoding, study.config.responses.tr_s
    trim = (round(section.trim_start_s / tr_s), round(section.trim_end_s / tr_s))
    if section.folds == "runs":
        return Layout.by_run(run_samples(study), trim=trim)
    return Layout.contiguous(run_samples(study), section.folds, gap=response_model(study).longest, trim=trim)
