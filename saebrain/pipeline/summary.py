"""The figures of a study in one place: what `saebrain summary` prints and the overview shows.

r is averaged over *predicted cortex*, the vertices of all parcels that any semantic subcategory predicts: a set that the
codebook fixed before any response was seen. The best vertices stand beside it as a percentile, never as a mean over vertices
chosen by their own score.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Bool, Float

from saebrain.atomic import write_json
from saebrain.labels import agreed, by_machine
from saebrain.pipeline.results import Result, read_result
from saebrain.pipeline.sae_source import sae_folder
from saebrain.pipeline.selection import ALL, NUISANCE, standard_selections, study_codebook, subcategories
from saebrain.pipeline.space import study_atlas
from saebrain.pipeline.timing import run_samples
from saebrain.progress import Report
from saebrain.sae.formats.layout import read_config
from saebrain.store import read_table
from saebrain.study import Study
from saebrain.surface.atlas import Atlas

BEST_PERCENTILE = 99


def write(study: Study, report: Report) -> None:
    """The summary step: write summary.json."""
    write_json(study.summary, compute(study))
    report(1, 1)


def compute(study: Study) -> dict[str, Any]:
    """All figures, from the results on disk."""
    codebook, atlas = study_codebook(study), study_atlas(study)
    quality = json.loads((study.features / "quality.json").read_text(encoding="utf-8"))
    card = read_config(sae_folder(study)).get("metadata", {})
    held_out = card.get("held_out") or quality
    results = {name: read_result(study, name) for name in (ALL, "semantic", NUISANCE)}
    cortex = predicted_cortex(study)
    r = {name: _mean_r(result.r, cortex) for name, result in results.items() if result.absent is None}
    semantic = float(r["semantic"].mean()) if "semantic" in r else None
    labels = read_table(study.labels, "python -m saebrain labels")
    return {
        "title": study.config.title,
        "model": quality["model"],
        "layer": study.config.model.layer,
        "n_features": quality["n_features"],
        "k": quality["k"],
        "fvu": held_out["fvu"],
        "l0": held_out["l0"],
        "dead_fraction": held_out["dead_fraction"],
        "quality_measured_on": "held-out text" if "held_out" in card else "this study's text",
        "stimulus_fvu": quality["fvu"],
        "stimulus_l0": quality["l0"],
        "n_words": pq.read_metadata(study.words).num_rows,
        "n_tokens": pq.read_metadata(study.tokens).num_rows,
        "n_runs": len(study.run_names),
        "n_subjects": len(results[ALL].subjects),
        "subjects": results[ALL].subjects,
        "n_samples": sum(run_samples(study)),
        "tr_s": study.config.responses.tr_s,
        "n_vertices": int(results[ALL].r.shape[1]),
        "n_vertices_scored": int(np.isfinite(results[ALL].r).all(axis=0).sum()),
        "r_all": float(r[ALL].mean()),
        "r_semantic": semantic,
        "r_nuisance": float(r[NUISANCE].mean()),
        "r_by_subject": {name: dict(zip(results[ALL].subjects, map(float, values), strict=True)) for name, values in r.items()},
        "r_best_vertices": float(np.nanpercentile(results[ALL].r, BEST_PERCENTILE, axis=1).mean()),
        "fraction_of_peak": None if semantic is None else semantic / float(r[ALL].mean()),
        "simulated": study.simulated,
        "strength": study.config.simulation.strength if study.config.simulation else None,
        "codebook": codebook.version,
        "n_labelled": _label_counts(labels, codebook.paths),
        "machine_kappa": _kappa(labels[by_machine(labels)]),
        "subcategories": {path.rpartition("/")[2]: subcategory(study, path, read_result(study, path), atlas) for path in subcategories(codebook)},
    }


def encoding_figures(study: Study, selections: list[str] | None = None) -> dict[str, Any]:
    """Figures of encoding results, by default of the standard selections; means over predicted cortex.

    Raises
    ------
    MissingStepError
        If one of them has not been computed.
    """
    cortex = predicted_cortex(study)
    figures: dict[str, Any] = {}
    subjects: list[str] = []
    for name in selections or standard_selections(study_codebook(study)):
        result = read_result(study, name)
        subjects = result.subjects
        if result.absent is not None:
            figures[name] = {"n_features": 0, "absent": result.absent, "r": None, "r_features": None, "r_by_subject": dict.fromkeys(subjects)}
            continue
        r = _mean_r(result.r, cortex)
        figures[name] = {
            "n_features": result.info["n_features"],
            "r": float(r.mean()),
            "r_features": None if name == NUISANCE else float(_mean_r(result.r_features, cortex).mean()),
            "r_by_subject": dict(zip(subjects, map(float, r), strict=True)),
        }
    return {"study": str(study.folder), "simulated": study.simulated, "subjects": subjects, "selections": figures}


def predicted_cortex(study: Study) -> Bool[np.ndarray, " vertices"]:
    """Vertices of the parcels that any semantic subcategory predicts."""
    codebook, atlas = study_codebook(study), study_atlas(study)
    return np.any([in_parcels(atlas, codebook.predicted(path)) for path in subcategories(codebook)], axis=0)


def in_parcels(atlas: Atlas, names: tuple[str, ...]) -> Bool[np.ndarray, " vertices"]:
    """Vertices of the named parcels, in both hemispheres."""
    return np.isin(atlas.labels, [index for index, (_, name) in enumerate(atlas.parcels) if name in names])


def subcategory(study: Study, path: str, result: Result, atlas: Atlas) -> dict[str, Any]:
    """Mean r of a subcategory's features (their part of the prediction) in the parcels it predicts and in all others; None if it has none."""
    if result.absent is not None:
        return {"n_features": 0, "absent": result.absent, "r_predicted": None, "r_other": None, "by_subject": {}}
    predicted = in_parcels(atlas, study_codebook(study).predicted(path))
    other = (atlas.labels >= 0) & ~predicted
    inside, outside = _mean_r(result.r_features, predicted), _mean_r(result.r_features, other)
    return {
        "n_features": result.info["n_features"],
        "r_predicted": float(inside.mean()),
        "r_other": float(outside.mean()),
        "by_subject": {
            subject: {"r_predicted": float(a), "r_other": float(b)} for subject, a, b in zip(result.subjects, inside, outside, strict=True)
        },
    }


def _mean_r(r: Float[np.ndarray, "subjects vertices"], where: Bool[np.ndarray, " vertices"]) -> Float[np.ndarray, " subjects"]:
    return np.nanmean(r[:, where].astype(np.float64), axis=1)


def _label_counts(labels: Any, paths: tuple[str, ...]) -> dict[str, int]:
    counts = agreed(labels).value_counts()
    return {path: int(counts.get(path, 0)) for path in paths}


def _kappa(labels: Any) -> float | None:
    """Cohen's kappa of the two machine annotators over the features that both labelled other than "unclear"; None if undefined."""
    from sklearn.metrics import cohen_kappa_score  # slow to load, and only this step needs it

    table = labels.pivot(index="feature", columns="annotator", values="label")
    if table.shape[1] != 2:
        return None
    table = table[(table != "unclear").all(axis=1)]
    kappa = float(cohen_kappa_score(table.iloc[:, 0], table.iloc[:, 1])) if len(table) else float("nan")
    return kappa if np.isfinite(kappa) else None
