"""The step that finds what is near each feature: by decoder direction, by activity at the same tokens, and at other layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse

from saebrain.codes import CodesFile
from saebrain.pipeline.sae_source import sae_source
from saebrain.progress import Report, silent
from saebrain.store import CONTEXTS_PER_ROW_GROUP, write_table
from saebrain.study import Study

COUNT = 10
MATCHES = 3
"""Features of another layer that are kept."""
ROWS_AT_ONCE = 512
MOST_CODES = 20_000_000
"""Codes that activity at the same tokens is counted in; of a longer text, those of every n-th token."""
FEWEST_SHARED = 3
"""Tokens at which two features have to be active together before that says anything."""


def neighbours(study: Study, report: Report) -> None:
    """Write neighbours.parquet: feature, kind, layer, other, similarity.

    Kinds are "decoder" (cosine of the directions), "coactive" (cosine of where both are active, in this layer) and "layer" (the same
    with the features of another layer, as far as its codes are there).
    """
    from saebrain.sae import formats

    command = f"python -m saebrain sae encode {study.folder}"
    directions = formats.read(sae_source(study)).W_dec.numpy()
    own = CodesFile(study.features / "codes.parquet", command)
    others = {layer: path for layer in study.layers if layer != study.layer and (path := _codes(study, layer)).is_file()}
    every = max(1, -(-own.n_codes // MOST_CODES))
    total, done = len(directions) * (2 + len(others)), 0

    def progress(rows: int, _: int) -> None:
        report(done + rows, total)

    tables = [nearest(directions, report=progress).assign(kind="decoder", layer=study.layer)]
    done += len(directions)
    active = activity(own, every)
    tables.append(coactive(active, active, same=True, report=progress).assign(kind="coactive", layer=study.layer))
    for layer, path in others.items():
        done += len(directions)
        theirs = activity(CodesFile(path, command), every)
        tables.append(coactive(active, theirs, same=False, count=MATCHES, report=progress).assign(kind="layer", layer=layer))
    table = pd.concat(tables).sort_values(["feature", "kind", "layer"], kind="stable", ignore_index=True)
    table = table.astype({"feature": "int32", "layer": "int16", "other": "int32", "similarity": "float32"})
    write_table(
        study.features / "neighbours.parquet", table[["feature", "kind", "layer", "other", "similarity"]], rows_per_group=CONTEXTS_PER_ROW_GROUP
    )


def nearest(directions: Float[np.ndarray, "features d"], *, count: int = COUNT, report: Report = silent) -> pd.DataFrame:
    """The features whose directions have the largest cosine with each feature's: feature, other, similarity."""
    unit = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)

    def rows() -> Iterator[Float[np.ndarray, "rows features"]]:
        for first in range(0, len(unit), ROWS_AT_ONCE):
            cosine = unit[first : first + ROWS_AT_ONCE] @ unit.T
            own = np.arange(len(cosine))
            cosine[own, first + own] = -np.inf
            yield cosine
            report(min(first + ROWS_AT_ONCE, len(unit)), len(unit))

    return _largest(rows(), count, floor=-1.0)


def activity(codes: CodesFile, every: int) -> sparse.csr_array:
    """Where features are active at every n-th token, as ones: features x tokens; 4 bytes a code."""
    features, tokens = [], []
    for part in codes.parts():
        taken = part.token % every == 0
        features.append(part.feature[taken])
        tokens.append((part.token[taken] // every).astype(np.int32))
    feature = np.concatenate([*features, np.empty(0, np.int32)])
    token = np.concatenate([*tokens, np.empty(0, np.int32)])
    starts = np.searchsorted(feature, np.arange(codes.n_features + 1))
    return sparse.csr_array((np.ones(len(token), np.float32), token, starts), shape=(codes.n_features, int(token.max(initial=-1)) + 1))


def coactive(ours: sparse.csr_array, theirs: sparse.csr_array, *, same: bool, count: int = COUNT, report: Report = silent) -> pd.DataFrame:
    """For each of our features those of theirs that are active at the same tokens: feature, other, similarity.

    The similarity is the cosine of two sets (Ochiai): |A and B| / sqrt(|A| |B|).
    """
    width = max(ours.shape[1], theirs.shape[1])
    ours, theirs = (sparse.csr_array((x.data, x.indices, x.indptr), shape=(x.shape[0], width)) for x in (ours, theirs))
    by_token = theirs.T.tocsr()
    own_count, their_count = np.diff(ours.indptr), np.diff(theirs.indptr)

    def rows() -> Iterator[Float[np.ndarray, "rows features"]]:
        for first in range(0, ours.shape[0], ROWS_AT_ONCE):
            shared = (ours[first : first + ROWS_AT_ONCE] @ by_token).toarray()
            scale = np.sqrt(own_count[first : first + len(shared), None] * np.maximum(their_count, 1.0))
            cosine = np.where(shared >= FEWEST_SHARED, shared / np.maximum(scale, 1e-12), 0).astype(np.float32)
            if same:
                own = np.arange(len(cosine))
                cosine[own, first + own] = 0
            yield cosine
            report(min(first + ROWS_AT_ONCE, ours.shape[0]), ours.shape[0])

    return _largest(rows(), count, floor=0.0)


def _largest(blocks: Iterator[Float[np.ndarray, "rows features"]], count: int, *, floor: float) -> pd.DataFrame:
    """Of every row the largest values above ``floor``, largest first."""
    columns: dict[str, list[Int[np.ndarray, " n"] | Float[np.ndarray, " n"]]] = {"feature": [], "other": [], "similarity": []}
    first = 0
    for block in blocks:
        kept = min(count, block.shape[1])
        other = np.argpartition(-block, kept - 1, axis=1)[:, :kept]
        value = np.take_along_axis(block, other, axis=1)
        order = np.lexsort((other, -value), axis=1)
        other, value = np.take_along_axis(other, order, axis=1), np.take_along_axis(value, order, axis=1)
        rows, places = np.nonzero(value > floor)
        for name, part in zip(columns, (first + rows, other[rows, places], value[rows, places]), strict=True):
            columns[name].append(part)
        first += len(block)
    return pd.DataFrame({name: np.concatenate([*parts, np.empty(0)]) for name, parts in columns.items()})


def _codes(study: Study, layer: int) -> Path:
    return study.at(layer).features / "codes.parquet"
