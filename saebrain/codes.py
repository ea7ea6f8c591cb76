"""The sparse table of a SAE's codes: which feature is active at which token, and how strongly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class SparseCodes:
    """Non-zero codes, sorted by feature, then token; ``start[f]:start[f + 1]`` are those of feature f.

    ``token`` counts the rows of tokens.parquet; ``value`` is half precision.
    """

    feature: Int[np.ndarray, " codes"]
    token: Int[np.ndarray, " codes"]
    value: Float[np.ndarray, " codes"]
    start: Int[np.ndarray, " n_features_plus_1"]

    @property
    def n_features(self) -> int:
        return len(self.start) - 1

    @classmethod
    def sort(
        cls, feature: Int[np.ndarray, " codes"], token: Int[np.ndarray, " codes"], value: Float[np.ndarray, " codes"], n_features: int
    ) -> SparseCodes:
        """Bring codes into order."""
        order = np.lexsort((token, feature))
        start = np.concatenate([[0], np.cumsum(np.bincount(feature, minlength=n_features))])
        return cls(feature[order].astype(np.int32), token[order].astype(np.int64), value[order].astype(np.float16), start)
