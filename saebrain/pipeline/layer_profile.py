"""r at every layer of a study: where in the model the brain is predicted best."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np

from saebrain.errors import InputError, MissingStepError
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.results import read_result
from saebrain.pipeline.selection import ALL, NUISANCE
from saebrain.pipeline.steps import is_done
from saebrain.pipeline.summary import predicted_cortex
from saebrain.study import Study
from saebrain.taxonomy import SEMANTIC

SELECTIONS = (ALL, SEMANTIC, NUISANCE)


def layer_profile(study: Study) -> dict[str, Any]:
    """r of all features, semantic ones and nuisance alone, mean over predicted cortex, from the results that are there.

    Returns
    -------
    dict
        subjects; layers: a row a layer that is encoded, with for each selection r, by_subject and n_features (r is None if it has
        no active feature); missing: layers that are not, with the command that makes their results; best: the layer with the
        highest r of all features, a description and no test.

    Raises
    ------
    InputError
        If no layer is encoded.
    """
    rows: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    subjects: list[str] = []
    for layer in study.layers:
        at = study.at(layer)
        try:
            results = {name: read_result(at, name) for name in SELECTIONS}
        except MissingStepError:
            missing.append({"layer": layer, "command": _command(at), "labelled": is_done(at, STEPS["labels"], STEPS)})
            continue
        cortex, row = predicted_cortex(at), {}
        for name, result in results.items():
            subjects = result.subjects
            r = np.full(len(subjects), np.nan) if result.absent else np.nanmean(result.r[:, cortex].astype(float), axis=1)
            known = [None if np.isnan(value) else float(value) for value in r]
            mean = None if None in known else float(r.mean())
            row[name] = {"r": mean, "by_subject": dict(zip(subjects, known, strict=True)), "n_features": result.info["n_features"]}
        rows.append({"layer": layer, "main": layer == study.main_layer, **row})
    if not rows:
        raise InputError(f"no layer of study {study.folder} is encoded; run: {missing[0]['command']}")
    best = max(rows, key=lambda row: row[ALL]["r"] if row[ALL]["r"] is not None else -np.inf)
    return {
        "study": str(study.folder),
        "simulated": study.simulated,
        "subjects": subjects,
        "selections": list(SELECTIONS),
        "layers": rows,
        "missing": missing,
        "best": best["layer"],
    }


def _command(study: Study) -> str:
    return f"python -m saebrain encode {shlex.quote(str(study.folder))} --layer {study.layer}"
