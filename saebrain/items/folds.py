"""Which items are predicted together: folds shuffled or contiguous, whole groups at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from saebrain.errors import InputError


@dataclass(frozen=True)
class Split:
    """Outer fold of each item; per outer fold, the inner fold of each item outside it, in the items' order."""

    outer: Int[np.ndarray, " items"]
    inner: list[Int[np.ndarray, " training"]]


@dataclass(frozen=True)
class Folds:
    """How items are divided, once or several times.

    inner : folds of the training items among which penalties and ways of pooling are chosen.
    repeats : divisions in all, each with a seed of its own (``seed``, ``seed + 1``, ...); scores are averaged over them.
    contiguous : folds of neighbours in the table's order instead of shuffled ones.
    """

    outer: int = 5
    inner: int = 5
    seed: int = 0
    repeats: int = 1
    contiguous: bool = False

    def __post_init__(self) -> None:
        if min(self.outer, self.inner) < 2:
            raise InputError(f"{self.outer} folds and {self.inner} inner folds: at least 2 of each are needed to hold one out; ask for more")
        if self.repeats < 1 or self.seed < 0:
            raise InputError(f"{self.repeats} repeats from seed {self.seed}: there must be at least 1, and no seed below 0; change these options")
        if self.contiguous and self.repeats > 1:
            raise InputError(f"{self.repeats} repeats of contiguous folds would all be the same; leave out one of the two options")

    def divide(self, groups: Int[np.ndarray, " items"]) -> list[Split]:
        """Divide items, the members of a group always together.

        Raises
        ------
        InputError
            If there are too few groups.
        """
        return [self._once(groups, self.seed + repeat) for repeat in range(self.repeats)]

    def _once(self, groups: Int[np.ndarray, " items"], seed: int) -> Split:
        outer = assign(groups, self.outer, seed=None if self.contiguous else [seed])
        inner = [assign(groups[outer != fold], self.inner, seed=None if self.contiguous else [seed, 1 + fold]) for fold in range(self.outer)]
        return Split(outer, inner)


def assign(groups: Int[np.ndarray, " items"], n_folds: int, *, seed: Sequence[int] | None) -> Int[np.ndarray, " items"]:
    """Give every item a fold, from 0; items of one group share one.

    Parameters
    ----------
    groups : int array
        Group of each item; all different where items stand for themselves.
    seed : sequence of int or None
        Seed of the shuffling: groups in random order, large ones first, each into the smallest fold so far. None keeps
        the items' order: folds of neighbours, cut between groups, a group being where its first item is.

    Raises
    ------
    InputError
        If there are fewer groups than folds.
    """
    names, first, group, size = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    if len(names) < n_folds:
        raise InputError(f"{len(names)} different texts or groups to divide into {n_folds} folds; bring more items, or ask for fewer folds")
    fold_of = np.zeros(len(names), np.int64)
    if seed is None:
        order = np.argsort(first)
        middle = np.cumsum(size[order]) - size[order] / 2
        fold_of[order] = _none_empty(np.floor(middle * n_folds / len(groups)).astype(np.int64), n_folds)
        return fold_of[group]
    filled = np.zeros(n_folds, np.int64)
    shuffled = np.random.default_rng(list(seed)).permutation(len(names))
    for g in shuffled[np.argsort(-size[shuffled], kind="stable")]:
        fold = int(filled.argmin())
        fold_of[g] = fold
        filled[fold] += size[g]
    return fold_of[group]


def _none_empty(fold: Int[np.ndarray, " groups"], n_folds: int) -> Int[np.ndarray, " groups"]:
    """Ascending fold numbers, changed so that none from 0 to n_folds - 1 is left out."""
    places = np.arange(len(fold))
    steps = np.minimum(np.diff(fold, prepend=0), 1)  # a group too large for one fold leaves none empty behind it
    return np.clip(np.cumsum(steps), n_folds - len(fold) + places, np.minimum(places, n_folds - 1))
