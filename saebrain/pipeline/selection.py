"""Selections of features as people write them, and which of them are standard.

A selection is a union of terms, each a feature set or several that are intersected::

    all                        every feature
    nuisance                   none: the nuisance bands alone
    semantic/place             features with this label, or one below it
    features:12,15,99          these features
    list:NAME                  a saved list (:mod:`saebrain.pipeline.feature_lists`)
    density<0.01               active at less than this share of tokens; also <=, >, >=
    r>0.1                      by the correlation with their best parcel
    semantic/place+syntactic   either
    semantic&density<0.01      both; binds closer than +
    semantic&density<0.01@5    the same at layer 5; without @, the layer at which the study is seen
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int

from saebrain.errors import InputError
from saebrain.pipeline.feature_lists import check_name, list_path, read_list
from saebrain.pipeline.space import study_atlas
from saebrain.store import read_table
from saebrain.study import Study
from saebrain.taxonomy import Codebook, load_codebook

ALL, NUISANCE = "all", "nuisance"
FEATURES, LIST = "features:", "list:"
AT = "@"
SIMULATED = "sim-"

_FILTER = re.compile(r"(?P<what>density|r)\s*(?P<sign><=|>=|<|>)\s*(?P<value>-?\d*\.?\d+(?:[eE]-?\d+)?)")
_SIGNS: dict[str, Callable[[pd.Series, float], pd.Series]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class EmptySelection(InputError):
    """A selection that is understood, but has no feature, or none that is active."""


@dataclass(frozen=True)
class Known:
    """What selections refer to.

    labels : the one label of every feature, by feature.
    density, best_r : share of tokens at which a feature is active, and its correlation with its best parcel, by feature;
        called only where a selection asks.
    saved : the features of a saved list.
    """

    labels: pd.Series
    codebook: Codebook
    density: Callable[[], pd.Series]
    best_r: Callable[[], pd.Series]
    saved: Callable[[str], Int[np.ndarray, " features"]]

    @classmethod
    def of(cls, study: Study, labels: pd.Series, codebook: Codebook) -> Known:
        """From the tables of a study."""

        def density() -> pd.Series:
            table = read_table(study.features / "features.parquet", "python -m saebrain features", ["feature", "density"])
            return pd.Series(table.set_index("feature")["density"])

        def best_r() -> pd.Series:
            table = read_table(study.features / "parcels.parquet", "python -m saebrain encode", ["feature", "parcel_r"])
            return pd.Series(table.set_index("feature")["parcel_r"])

        return cls(labels, codebook, density, best_r, lambda name: read_list(study, name))


def study_codebook(study: Study) -> Codebook:
    """The codebook of a study, its parcels checked against the atlas."""
    path = study.resolve(study.config.labels.codebook)
    try:
        state = path.stat()
    except OSError:
        return _codebook(path, None, frozenset())  # says what is wrong
    parcels = frozenset(name for _, name in study_atlas(study).parcels)
    return _codebook(path, (state.st_mtime_ns, state.st_size, state.st_ino), parcels)


@lru_cache(maxsize=8)
def _codebook(path: Path, state: tuple[int, int, int] | None, parcels: frozenset[str]) -> Codebook:
    return load_codebook(path, parcels)


def canonical(selection: str, codebook: Codebook) -> str:
    """The one way to write a selection: no spaces, terms in order, each once.

    Raises
    ------
    InputError
        If it is empty, or a term is not understood.
    """
    return "+".join(sorted({_canonical_term(term, codebook) for term in selection.split("+")}))


def by_layer(selection: str, own: int) -> dict[int, str]:
    """What a selection, in its canonical form, takes from each layer, written as at that layer.

    Parameters
    ----------
    own : int
        The layer that is meant by terms that name none.
    """
    terms: dict[int, set[str]] = {}
    for term in selection.split("+"):
        sets, at, layer = term.partition(AT)
        terms.setdefault(int(layer) if at else own, set()).add(sets)
    return {layer: "+".join(sorted(terms[layer])) for layer in sorted(terms, key=lambda each: (each != own, each))}


def sets_in(selection: str) -> set[str]:
    """The sets and filters that a selection, in its canonical form, names at any layer."""
    return {part for term in selection.split("+") for part in term.partition(AT)[0].split("&")}


def select(selection: str, known: Known) -> Int[np.ndarray, " features"]:
    """Features of a selection at one layer, which it does not name; ascending, none for "nuisance".

    Raises
    ------
    InputError
        If a term is not understood.
    EmptySelection
        If no feature is selected.
    """
    name = canonical(selection, known.codebook)
    if name == NUISANCE:
        return np.zeros(0, int)
    chosen = pd.Series(False, known.labels.index)
    for term in name.split("+"):
        inside = pd.Series(True, known.labels.index)
        for part in term.split("&"):
            inside &= _members(part, known)
        chosen |= inside
    if not chosen.any():
        raise EmptySelection(f"selection {name!r}: no feature {'bears this label' if name in known.codebook.paths else 'is in it'}; {_way_out(name)}")
    return chosen.index[chosen].to_numpy()


def depends_on(selection: str, study: Study) -> dict[str, str]:
    """Files besides the labels that say which features a selection, in its canonical form, means: set and path."""
    files = {}
    for layer, own in by_layer(selection, study.layer).items():
        at = study.at(layer)
        mark = "" if layer == study.layer else f"{AT}{layer}"
        for part in sets_in(own):
            if part.startswith(LIST):
                files[part + mark] = str(list_path(at, part.removeprefix(LIST)))
            elif part.startswith("r") and _FILTER.fullmatch(part):
                files[part + mark] = str(at.features / "parcels.parquet")
    return files


def labels_in(selection: str, codebook: Codebook) -> list[str]:
    """The labels that a selection names."""
    return sorted(sets_in(selection).intersection(codebook.paths))


def subcategories(codebook: Codebook) -> list[str]:
    """The semantic subcategories that predict parcels."""
    return [path for path in codebook.leaves() if codebook.is_semantic(path) and codebook.predicted(path)]


def standard_selections(codebook: Codebook) -> list[str]:
    """What the encode step scores: everything, nuisance alone, semantic, and each semantic subcategory."""
    return [NUISANCE, ALL, "semantic", *subcategories(codebook)]


def simulated_subjects(count: int) -> list[str]:
    """Names of simulated subjects; no real one should be called so."""
    return [f"{SIMULATED}{number + 1:02d}" for number in range(count)]


def _canonical_term(term: str, codebook: Codebook) -> str:
    sets, at, layer = term.partition(AT)
    if at and not layer.strip().isdecimal():
        raise InputError(f"selection {term[:80]!r}: after {AT} comes the number of a layer, as in {codebook.paths[0]}{AT}5")
    parts = "&".join(sorted({_canonical_set(part.strip(), codebook) for part in sets.split("&")}))
    return f"{parts}{AT}{int(layer)}" if at else parts


def _canonical_set(part: str, codebook: Codebook) -> str:
    if not part:
        raise InputError(f"empty selection; name features, such as {ALL}, {codebook.paths[0]}, features:12,15 or density<0.01, joined by + or &")
    if part in (ALL, NUISANCE):
        return part
    if part.startswith(FEATURES):
        return FEATURES + ",".join(map(str, sorted(_numbers(part))))
    if part.startswith(LIST):
        return LIST + check_name(part.removeprefix(LIST).strip())
    if found := _FILTER.fullmatch(part):
        return f"{found['what']}{found['sign']}{float(found['value']):g}"
    return codebook.validate_label(part)


def _numbers(part: str) -> set[int]:
    try:
        return {int(number) for number in part.removeprefix(FEATURES).split(",")}
    except ValueError:
        raise InputError(f"selection {part[:80]!r}: not a list of feature numbers; write them like features:12,15,99") from None


def _members(part: str, known: Known) -> pd.Series:
    """Which features are in one set."""
    labels = known.labels
    if part == ALL:
        return pd.Series(True, labels.index)
    if part == NUISANCE:
        return pd.Series(False, labels.index)
    if part.startswith((FEATURES, LIST)):
        numbers = np.array(sorted(_numbers(part))) if part.startswith(FEATURES) else known.saved(part.removeprefix(LIST))
        missing = numbers[~np.isin(numbers, labels.index)]
        if len(missing):
            raise InputError(f"selection {part[:80]!r}: this SAE has features 0 to {labels.index[-1]}, not {missing[0]}; mend the list")
        return pd.Series(labels.index.isin(numbers), labels.index)
    if found := _FILTER.fullmatch(part):
        values = known.density() if found["what"] == "density" else known.best_r()
        return pd.Series(_SIGNS[found["sign"]](values.reindex(labels.index), float(found["value"])), labels.index)
    return (labels == part) | labels.str.startswith(f"{part}/")


def _way_out(name: str) -> str:
    return "loosen the filter" if _FILTER.search(name) else "label some first, or choose another category"
