"""The sparse table of codes."""

from __future__ import annotations

import numpy as np

from saebrain.codes import SparseCodes


def test_codes_are_sorted_by_feature_then_token() -> None:
    rng = np.random.default_rng(0)
    dense = rng.random((30, 7)) * (rng.random((30, 7)) < 0.3)
    dense[:, 4] = 0
    token, feature = np.nonzero(dense)
    shuffle = rng.permutation(len(token))
    codes = SparseCodes.sort(feature[shuffle], token[shuffle], dense[token, feature][shuffle], 7)
    assert codes.n_features == 7
    assert list(zip(codes.feature, codes.token, strict=True)) == sorted(zip(feature, token, strict=True))
    assert [str(array.dtype) for array in (codes.feature, codes.token, codes.value)] == ["int32", "int64", "float16"]
    for number in range(7):
        own = slice(codes.start[number], codes.start[number + 1])
        np.testing.assert_array_equal(codes.token[own], np.flatnonzero(dense[:, number]))
        np.testing.assert_array_equal(codes.value[own], dense[dense[:, number] > 0, number].astype(np.float16))


def test_no_codes_at_all() -> None:
    none = np.array([])
    codes = SparseCodes.sort(none.astype(int), none.astype(int), none, 3)
    assert (len(codes.value), codes.start.tolist()) == (0, [0, 0, 0, 0])
