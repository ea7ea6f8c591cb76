"""All that is to be said about one selection's result: beside all features, its ceiling, matched baselines, and chance.

``encoding/{hash}/statistics.json`` stands beside the result.json it belongs to. Figures r are means over the vertices of predicted
cortex, as in the summary; whatever is resampled works on mean responses of parcels (:mod:`saebrain.pipeline.parcelwise`), where a
version costs a hundredth, and noise is averaged out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from saebrain.inference.group import sign_flip
from saebrain.pipeline.baseline import matched_baseline
from saebrain.pipeline.ceilings import noise_ceiling
from saebrain.pipeline.encode import is_scored, require_for, score
from saebrain.pipeline.filed import opened, read_filed, write_filed
from saebrain.pipeline.parcelwise import Parcels, predicted_parcels
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.results import Result, read_result, result_folder
from saebrain.pipeline.selection import ALL, NUISANCE, EmptySelection, canonical, study_codebook
from saebrain.pipeline.shifted import gain_test, mean_rows, parcel_rows, region
from saebrain.pipeline.summary import predicted_cortex
from saebrain.progress import Report
from saebrain.study import Study

VERSION = 1
DRAWS = 1000
"""One more than 999, so that p can be less than .001."""
NAME = "statistics.json"


def compute(study: Study | Path, arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    """Statistics of one selection, as a job: ``selection``, and if not as usual ``n`` draws, ``seed`` and ``layer``.

    Those that are there already, with as many draws and the same seed, are returned.

    Raises
    ------
    MissingStepError
        If what encoding needs is missing or out of date.
    InputError
        If the selection is not understood, or has no active feature.
    """
    study = opened(study, arguments)
    selection, n, seed = str(arguments["selection"]), int(arguments.get("n", DRAWS)), int(arguments.get("seed", 0))
    name = canonical(selection, study_codebook(study))
    require_for(study, name)
    found = read_statistics(study, name)
    if found is not None and (found["n"], found["seed"]) == (n, seed):
        return found
    return run_statistics(Problem.load(study), name, n=n, seed=seed, report=report)


def read_statistics(study: Study, selection: str) -> dict[str, Any] | None:
    """What was computed for the study as it is now; None if nothing was."""
    found = read_filed(result_folder(study, selection) / NAME)
    return found if found is not None and found.get("version") == VERSION else None


def run_statistics(problem: Problem, selection: str, *, n: int, seed: int, report: Report) -> dict[str, Any]:
    """Compute the statistics of a selection and write them beside its result.

    Results that are needed (of the selection, all features and nuisance alone) are computed if they are not there.

    Raises
    ------
    EmptySelection
        If the selection has no active feature.
    """
    study, name = problem.study, canonical(selection, problem.codebook)
    kernel = problem.kernel(name)
    total, base = 2 * n + 3, 0
    for needed in dict.fromkeys((NUISANCE, ALL, name)):
        if not is_scored(study, needed):
            score(problem, needed)
        report(base := base + 1, total)
    cortex, inside = predicted_cortex(study), predicted_parcels(problem)
    ceiling = noise_ceiling(problem, cortex, seed=seed)
    parcels = Parcels.of(problem)
    test = None
    if kernel is not None:
        test = gain_test(problem, kernel, problem.nuisance, parcels, n=n, seed=seed, thin=True, report=lambda done, _: report(3 + done, total))
    matched = matched_baseline(problem, name, parcels, n=n, seed=seed, report=lambda done, _: report(3 + n + done, total))
    permutation = None
    if test is not None:
        permutation = {
            "kind": "circular shifts within run",
            "statistic": "r of nuisance and selection less r of nuisance alone, in parcels; both choose their penalty and are fitted for every draw",
            "n": len(test.gain.null),
            "seed": seed,
            "smallest_p": test.gain.smallest_p,
            "nuisance_stays": test.fitted,
            **region(parcels, test, inside),
            "parcels": parcel_rows(parcels, test),
            "mean": mean_rows(parcels, test),
        }
    content = {
        "version": VERSION,
        "selection": name,
        "layer": study.layer,
        "simulated": study.simulated,
        "region": "mean over the vertices of all parcels that the codebook predicts for a semantic subcategory",
        "n": n,
        "seed": seed,
        **_figures(study, name, cortex, ceiling),
        "matched": matched,
        "permutation": permutation,
    }
    report(total, total)
    return write_filed(result_folder(study, name) / NAME, content)


def _figures(study: Study, name: str, cortex: Float[np.ndarray, " vertices"], ceiling: dict[str, Any]) -> dict[str, Any]:
    """r of the selection beside all features, nuisance and ceiling, for each subject and their mean; and the test over subjects."""
    own, every, nuisance = (_scored(study, selection) for selection in (name, ALL, NUISANCE))
    r, r_all, r_nuisance = (np.nanmean(result.r[:, cortex].astype(float), axis=1) for result in (own, every, nuisance))
    r_features = np.full(len(r), np.nan) if name == NUISANCE else np.nanmean(own.r_features[:, cortex].astype(float), axis=1)
    gain = r - r_nuisance
    top, tops = (ceiling["r"], ceiling["by_subject"]) if ceiling["usable"] else (None, {})
    by_subject = {
        subject: {
            "r": r[row],
            "r_features": r_features[row],
            "r_all": r_all[row],
            "r_nuisance": r_nuisance[row],
            "gain": gain[row],
            "ceiling": ceiling["by_subject"].get(subject),
            "r_normalised": _share(r[row], tops.get(subject)),
        }
        for row, subject in enumerate(own.subjects)
    }
    return {
        "n_features": own.info["n_features"],
        "subjects": own.subjects,
        "r": r.mean(),
        "r_features": r_features.mean(),
        "r_all": r_all.mean(),
        "r_nuisance": r_nuisance.mean(),
        "gain": gain.mean(),
        "fraction_of_peak": _share(r.mean(), float(r_all.mean())),
        "ceiling": {part: value for part, value in ceiling.items() if part != "by_subject"},
        "r_normalised": _share(r.mean(), top),
        "group": _group(gain, name),
        "by_subject": by_subject,
    }


def _scored(study: Study, name: str) -> Result:
    result = read_result(study, name)
    if result.absent is not None:
        raise EmptySelection(result.absent)
    return result


def _share(value: float, of: float | None) -> float | None:
    return None if of is None or not of > 0 else float(value) / of


def _group(gain: Float[np.ndarray, " subjects"], name: str) -> dict[str, Any]:
    """Sign-flip test of the gain over subjects."""
    n = len(gain)
    known = {"test": "sign flips of the gain over nuisance", "n_subjects": n, "smallest_p": 0.5**n}
    if n < 2 or name == NUISANCE:
        return known | {"p": None, "note": "one subject: nothing can be said about others" if n < 2 else "nuisance alone adds nothing to itself"}
    test = sign_flip(gain[:, None])
    note = "" if n >= 5 else f"with {n} subjects no p can be below {0.5**n:g}: whether this holds for people in general needs more of them"
    return known | {"p": test.p[0], "smallest_p": 1 / (1 + test.n_flips), "note": note}
