"""Random sparse codes for tests, in memory and on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from saebrain.codes import SparseCodes
from saebrain.spill import writing_codes


def draw(
    n_codes: int, n_tokens: int, n_features: int, *, seed: int = 0
) -> tuple[Int[np.ndarray, " codes"], Int[np.ndarray, " codes"], Float[np.ndarray, " codes"]]:
    """Feature, token and value of random codes, token after token; some features are far more frequent, and pairs may be there twice."""
    rng = np.random.default_rng(seed)
    share = rng.lognormal(0, 2, n_features) * (rng.random(n_features) < 0.8)
    share[rng.integers(n_features)] += 0.1
    feature = rng.choice(n_features, n_codes, p=share / share.sum())
    return feature, np.sort(rng.integers(0, n_tokens, n_codes)), rng.gamma(2, 1, n_codes).astype(np.float16) + np.float16(0.01)


def arrange(feature: Int[np.ndarray, " codes"], token: Int[np.ndarray, " codes"], value: Float[np.ndarray, " codes"], n_features: int) -> SparseCodes:
    """Codes in order, of equals the smaller value first."""
    order = np.lexsort((value, token, feature))
    return SparseCodes(feature[order].astype(np.int32), token[order].astype(np.int64), value[order].astype(np.float16), n_features)


def split(codes: SparseCodes, size: int) -> list[SparseCodes]:
    """The same codes in parts."""
    parts = (slice(first, first + size) for first in range(0, len(codes.value), size))
    return [SparseCodes(codes.feature[part], codes.token[part], codes.value[part], codes.n_features) for part in parts]


def join(parts: list[SparseCodes], n_features: int) -> SparseCodes:
    """The parts as one."""
    columns = [(part.feature, part.token, part.value) for part in parts] or [(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float16))]
    feature, token, value = (np.concatenate(arrays) for arrays in zip(*columns, strict=True))
    return SparseCodes(feature, token, value, n_features)


def write(path: Path, codes: SparseCodes, *, codes_at_once: int = 1000) -> None:
    """Write a file of codes as the codes step does, in batches of tokens."""
    order = np.lexsort((codes.feature, codes.token))
    with writing_codes(path, codes.n_features, codes_at_once=codes_at_once) as spill:
        for batch in np.array_split(order, 5):
            spill.add(codes.feature[batch], codes.token[batch], codes.value[batch])


def assert_same(found: SparseCodes, expected: SparseCodes) -> None:
    """Equal codes of equal types."""
    for name in ("feature", "token", "value"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(expected, name).dtype
    assert found.n_features == expected.n_features
