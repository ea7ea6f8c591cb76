"""A feature as JSON, with the names that Neuronpedia's own files give to what they hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from saebrain.pipeline.feature_notes import Note
from saebrain.store import FeatureStore
from saebrain.study import Study

DIGITS = 4


def feature_json(study: Study, store: FeatureStore, feature: int, neighbours: pd.DataFrame | None, notes: Iterable[Note] = ()) -> dict[str, Any]:
    """One feature: statistics, effects on the next token, neighbours, strongest contexts, explanations.

    Fields that Neuronpedia fills and this study has nothing for are empty lists. ``explanations`` are machine labels and notes;
    ``neighbours`` (as from `FeatureStore.neighbours`) may be None.
    """
    row = store.feature(feature)
    near = neighbours if neighbours is not None else pd.DataFrame({"kind": [], "other": [], "similarity": []})
    decoder, coactive = (near[near["kind"] == kind] for kind in ("decoder", "coactive"))
    counts = [int(count) for count in row["histogram"]]
    edges = np.linspace(0, float(row["max"]), len(counts) + 1)
    return {
        "modelId": study.config.model.source,
        "layer": f"{study.layer}-{study.config.sae.rstrip('/').rpartition('/')[2]}",
        "index": str(feature),
        "maxActApprox": _number(row["max"]),
        "frac_nonzero": float(row["density"]),
        "pos_str": list(row["promoted_text"]),
        "pos_values": _numbers(row["promoted_effect"]),
        "neg_str": list(row["suppressed_text"]),
        "neg_values": _numbers(row["suppressed_effect"]),
        "freq_hist_data_bar_heights": counts,
        "freq_hist_data_bar_values": _numbers((edges[:-1] + edges[1:]) / 2),
        "logits_hist_data_bar_heights": [],
        "logits_hist_data_bar_values": [],
        "topkCosSimIndices": [int(other) for other in decoder["other"]],
        "topkCosSimValues": _numbers(decoder["similarity"]),
        "correlated_features_indices": [int(other) for other in coactive["other"]],
        "correlated_features_pearson": [],
        "correlated_features_l1": _numbers(coactive["similarity"]),
        "neuron_alignment_indices": [],
        "neuron_alignment_values": [],
        "neuron_alignment_l1": [],
        "activations": list(_activations(study, store.contexts(feature))),
        "explanations": [*_labels(store.labels(feature)), *_notes(notes)],
    }


def _activations(study: Study, contexts: pd.DataFrame) -> Iterable[dict[str, Any]]:
    for rank, tokens in contexts.groupby("rank"):
        values = tokens["value"].to_numpy()
        peak = int(np.flatnonzero(tokens["peak"])[0])
        yield {
            "index": int(rank),
            "tokens": tokens["text"].tolist(),
            "values": _numbers(values),
            "maxValue": _number(values.max()),
            "minValue": _number(values.min()),
            "maxValueTokenIndex": int(values.argmax()),
            "qualifyingTokenIndex": peak,
            "dataSource": f"{study.name}: {tokens['run'].iloc[0]}",
        }


def _labels(labels: pd.DataFrame) -> Iterable[dict[str, Any]]:
    for row in labels.itertuples():
        yield {"description": row.label, "explanationModelName": row.annotator, "typeName": "saebrain-label", "notes": row.reason}


def _notes(notes: Iterable[Note]) -> Iterable[dict[str, Any]]:
    for note in notes:
        yield {"description": note.text, "explanationModelName": note.author, "typeName": note.method}


def _number(value: Any) -> float:
    return round(float(value), DIGITS)


def _numbers(values: Iterable[Any]) -> list[float]:
    return [_number(value) for value in values]
