"""Which features a selection means, and which selections are standard."""

from __future__ import annotations

import numpy as np
import pandas as pd

from saebrain.errors import InputError
from saebrain.study import Study
from saebrain.surface.atlas import desikan_killiany
from saebrain.taxonomy import Codebook, load_codebook

ALL, NUISANCE = "all", "nuisance"
SIMULATED = "sim-"


def study_codebook(study: Study) -> Codebook:
    """The codebook of a study, its parcels checked against the atlas."""
    return load_codebook(study.resolve(study.config.labels.codebook), {name for _, name in desikan_killiany().parcels})


def select(selection: str, labels: pd.Series, codebook: Codebook) -> np.ndarray:
    """Features of a selection: "all", "nuisance" (none), or a label with all below it.

    Raises
    ------
    InputError
        If the codebook has no such label, or no feature bears it.
    """
    if selection == NUISANCE:
        return np.zeros(0, int)
    if selection == ALL:
        return labels.index.to_numpy()
    codebook.validate_label(selection)
    chosen = labels.index[(labels == selection) | labels.str.startswith(f"{selection}/")].to_numpy()
    if len(chosen) == 0:
        raise InputError(f"selection {selection!r}: no feature bears this label; label some first, or choose another category")
    return chosen


def subcategories(codebook: Codebook) -> list[str]:
    """The semantic subcategories that predict parcels."""
    return [path for path in codebook.leaves() if codebook.is_semantic(path) and codebook.predicted(path)]


def standard_selections(codebook: Codebook) -> list[str]:
    """What the encode step scores: everything, nuisance alone, semantic, and each semantic subcategory."""
    return [NUISANCE, ALL, "semantic", *subcategories(codebook)]


def simulated_subjects(count: int) -> list[str]:
    """Names of simulated subjects; no real one should be called so."""
    return [f"{SIMULATED}{number + 1:02d}" for number in range(count)]
