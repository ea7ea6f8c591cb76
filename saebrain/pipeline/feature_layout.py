"""The step that lays the features of a layer out on a plane, so that those with similar decoder directions lie close together."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from jaxtyping import Float

from saebrain.pipeline.sae_source import sae_source
from saebrain.progress import Report
from saebrain.store import write_table
from saebrain.study import Study

COMPONENTS = 50
"""Principal components that distances are measured in: the others hold little but noise, and most of the time."""
NEIGHBOURS = 15
EPOCHS = 200
FEWEST = 20
"""Features below which their first two components are the layout."""


def layout(study: Study, report: Report) -> None:
    """Write layout.parquet: feature, x, y."""
    from saebrain.sae import formats

    report(0, 2)
    places = lay_out(formats.read(sae_source(study)).W_dec.numpy())
    report(1, 2)
    table = pd.DataFrame({"feature": np.arange(len(places), dtype=np.int32), "x": places[:, 0], "y": places[:, 1]})
    write_table(study.features / "layout.parquet", table)
    report(2, 2)


def lay_out(directions: Float[np.ndarray, "features d"]) -> Float[np.ndarray, "features 2"]:
    """UMAP (McInnes et al. 2018, arXiv:1802.03426) of the directions by their cosine; centred, and 1 the farthest from the centre.

    The same directions give the same layout. Only which features are near one another means something: not distances between
    groups, not the axes.
    """
    from sklearn.decomposition import PCA

    unit = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    components = min(COMPONENTS, *unit.shape)
    places = PCA(components, svd_solver="randomized", random_state=0).fit_transform(unit.astype(np.float32))
    if len(unit) >= FEWEST:
        from sklearn.neighbors import NearestNeighbors
        from umap import UMAP  # compiles itself for seconds

        # Exact neighbours are found faster than UMAP's own search for approximate ones has been compiled.
        near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(unit) - 1), metric="cosine", algorithm="brute").fit(places)
        distance, index = near.kneighbors(places)
        known = (index.astype(np.int32), distance.astype(np.float32), None)
        reducer = UMAP(
            n_neighbors=index.shape[1], min_dist=0.1, metric="cosine", precomputed_knn=known, init="pca", n_epochs=EPOCHS, random_state=0, n_jobs=1
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "precomputed_knn", UserWarning)  # only what was laid out later would need more of it
            places = reducer.fit_transform(places)
    places = places[:, :2] - places[:, :2].mean(axis=0)
    return (places / np.abs(places).max()).astype(np.float32)
