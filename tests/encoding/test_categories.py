"""A kernel a category: sums, updates and what is stored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from saebrain.encoding.categories import CategoryKernels
from saebrain.encoding.kernels import Kernel, linear_kernel
from saebrain.errors import InputError

LABELS = pd.Series(["a", "b", "a", "b/c", "a", "b", "d", "b/c"])
COURSES = np.random.default_rng(0).normal(size=(50, len(LABELS))).astype(np.float32)
COURSES[:, 6] = 0  # a category whose only feature is silent


class Store:
    """A store that remembers what it was asked for."""

    def __init__(self) -> None:
        self.held: dict[str, Kernel] = {}

    def get(self, key: str) -> Kernel | None:
        return self.held.get(key)

    def put(self, key: str, kernel: Kernel) -> None:
        self.held[key] = kernel


class Maker:
    """Makes courses, and counts of how many features."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []

    def __call__(self, features: np.ndarray) -> np.ndarray:
        self.made.append(features.tolist())
        return COURSES[:, features]


def kernels(store: Store | None = None, content: str = "codes") -> tuple[CategoryKernels, Maker]:
    maker = Maker()
    return CategoryKernels(maker, LABELS, store or Store(), content), maker


def of(*features: int) -> Kernel:
    return linear_kernel(COURSES[:, list(features)])


@pytest.mark.parametrize("features", [[0, 2, 4], [0, 2, 4, 1, 5], [1, 5, 3, 7], list(range(8)), [0, 2], [0, 2, 4, 1], [3], [7, 0]])
def test_kernel_of_any_features_is_a_sum(features: list[int]) -> None:
    found, _ = kernels()
    np.testing.assert_allclose(found.of(np.array(features)), of(*features), atol=2e-5)


def test_whole_categories_are_made_once_and_only_the_rest_anew() -> None:
    found, maker = kernels()
    found.of(np.arange(8))
    assert sorted(maker.made) == [[0, 2, 4], [1, 5], [3, 7], [6]]
    maker.made.clear()
    found.of(np.array([0, 2, 4, 3, 7]))
    assert maker.made == []
    found.of(np.array([0, 2, 4, 7]))
    assert maker.made == [[7]]


def test_sums_leave_the_parts_as_they_are() -> None:
    found, _ = kernels()
    before = found.of(np.array([0, 2, 4])).copy()
    found.of(np.arange(8))
    found.of(np.array([0, 2, 4]))[:] = 0
    np.testing.assert_array_equal(found.of(np.array([0, 2, 4])), before)


def test_stored_kernels_are_found_by_their_content() -> None:
    store = Store()
    first, _ = kernels(store)
    first.of(np.arange(8))
    again, maker = kernels(store)
    again.of(np.arange(8))
    assert maker.made == []
    other, maker = kernels(store, "other codes")
    other.of(np.array([0, 2, 4]))
    assert maker.made == [[0, 2, 4]]


@pytest.mark.parametrize("changes", [{1: "a"}, {1: "a", 5: "a"}, {0: "b", 1: "a", 3: "new"}, {6: "a"}, {0: "a"}])
def test_changed_labels_equal_kernels_made_anew(changes: dict[int, str]) -> None:
    found, _ = kernels()
    changed = found.relabelled(changes)
    labels = LABELS.copy()
    labels.loc[list(changes)] = list(changes.values())
    assert changed.labels.tolist() == labels.tolist()
    for label in labels.unique():
        members = labels.index[labels == label].to_numpy()
        np.testing.assert_allclose(changed.of(members), of(*members), atol=2e-5)
    assert found.labels.tolist() == LABELS.tolist()
    np.testing.assert_allclose(found.of(np.array([1, 5])), of(1, 5), atol=2e-5)


def test_a_change_makes_the_courses_of_nothing_but_what_moves() -> None:
    found, maker = kernels()
    found.of(np.arange(8))
    maker.made.clear()
    found.relabelled({1: "a"}).of(np.array([0, 1, 2, 4]))
    assert maker.made == [[1]]


def test_updated_kernels_are_not_stored() -> None:
    store = Store()
    found, _ = kernels(store)
    found.of(np.arange(8))
    before = {key: kernel.copy() for key, kernel in store.held.items()}
    found.relabelled({1: "a"}).of(np.arange(8))
    assert store.held.keys() == before.keys()
    for key, kernel in before.items():
        np.testing.assert_array_equal(store.held[key], kernel)


def test_category_that_lost_its_last_feature_has_no_part_in_any_sum() -> None:
    found, _ = kernels()
    np.testing.assert_allclose(found.relabelled({3: "a", 7: "a"}).of(np.array([1, 5])), of(1, 5), atol=2e-5)


def test_no_features_are_refused() -> None:
    found, _ = kernels()
    with pytest.raises(InputError, match="no feature; choose more"):
        found.of(np.zeros(0, int))
