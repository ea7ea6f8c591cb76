"""A kernel a category, so that the kernel of any selection is a sum, and a change of label an update of rank 1.

K0_c = X_c X_c^T of the features of category c costs samples^2 x features; adding kernels up costs samples^2, and so does
moving one feature between two of them. Kernels are filed by what they hold: what their courses depend on, and the list of
their features. A list of features that cuts through categories takes the kernels of the whole ones and makes the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from saebrain.encoding.kernels import Kernel, linear_kernel, moved
from saebrain.errors import InputError

Courses = Callable[[Int[np.ndarray, " features"]], Float[np.ndarray, "samples features"]]
"""Courses of some features over all recorded samples, standardised within runs, undelayed."""


class KernelStore(Protocol):
    """Where kernels are kept, by key; may forget them."""

    def get(self, key: str) -> Kernel | None: ...

    def put(self, key: str, kernel: Kernel) -> None: ...


@dataclass(frozen=True, eq=False)
class CategoryKernels:
    """Undelayed kernels of all features, one a label.

    courses : function
        Makes the courses of features.
    labels : Series
        The one label of every feature, by feature.
    store : KernelStore
        Where kernels made from courses are kept.
    content : str
        Stands for all that courses depend on besides the features: codes, pooling, downsampling, scaling.
    """

    courses: Courses
    labels: pd.Series
    store: KernelStore
    content: str
    _held: dict[str, Kernel] = field(default_factory=dict, repr=False)

    def of(self, features: Int[np.ndarray, " features"]) -> Kernel:
        """Undelayed kernel of any features.

        Raises
        ------
        InputError
            If there are none.
        """
        total: Kernel | None = None
        for part in self._parts(features):
            if total is None:
                total = part.copy()
            else:
                total += part
        if total is None:
            raise InputError("the selection has no feature; choose more categories or features")
        return total

    def relabelled(self, labels: Mapping[int, str]) -> CategoryKernels:
        """The kernels once some features have other labels; those of the categories concerned are updated, not made anew.

        Updated kernels are held in memory and never stored: rounding makes them differ in the seventh digit from those made
        from courses, and what is stored must not depend on its history.
        """
        changed = replace(self, labels=self.labels.copy(), _held=dict(self._held))
        moves = pd.DataFrame({"feature": list(labels), "source": self.labels.loc[list(labels)].to_numpy(), "target": list(labels.values())})
        for (source, target), group in moves[moves["source"] != moves["target"]].groupby(["source", "target"]):
            features = group["feature"].to_numpy()
            kernels = moved(changed._label_kernel(source), changed._label_kernel(target), self.courses(features))
            changed._held[source], changed._held[target] = kernels
            changed.labels.loc[features] = target
        return changed

    def _parts(self, features: Int[np.ndarray, " features"]) -> Iterator[Kernel]:
        """Kernels that add up to that of some features."""
        wanted = self.labels.index.isin(features)
        rest = []
        for label, chosen in pd.Series(wanted, self.labels.index).groupby(self.labels):
            if chosen.all():
                yield self._label_kernel(str(label))
            else:
                rest.append(chosen.index[chosen].to_numpy())
        if any(map(len, rest)):
            yield self._made(np.sort(np.concatenate(rest)))

    def _members(self, label: str) -> Int[np.ndarray, " members"]:
        return self.labels.index[self.labels == label].to_numpy()

    def _label_kernel(self, label: str) -> Kernel:
        if label not in self._held:
            self._held[label] = self._made(self._members(label))
        return self._held[label]

    def _made(self, features: Int[np.ndarray, " features"]) -> Kernel:
        key = hashlib.sha256(self.content.encode() + b"\0" + features.astype("<i8").tobytes()).hexdigest()[:32]
        kernel = self.store.get(key)
        if kernel is None:
            kernel = linear_kernel(self.courses(features))
            if len(features):
                self.store.put(key, kernel)
        return kernel
