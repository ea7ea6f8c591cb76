"""Figures of several representations of the same items: each predicted by nested cross-validation, all resampled together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from saebrain.items.folds import Split
from saebrain.items.pooling import Recipe
from saebrain.items.ridge import KernelOf, Predictions, predict
from saebrain.items.score import fold_correlations, fraction, interval, mean_correlation, resamples
from saebrain.progress import Report, silent


@dataclass(frozen=True)
class Fitted:
    """A representation's predictions, one set a split, and the recipes that they were chosen from."""

    recipes: list[Recipe]
    predictions: list[Predictions]

    @classmethod
    def of(
        cls, candidates: dict[Recipe, KernelOf], y: Float[np.ndarray, "items targets"], splits: Sequence[Split], report: Report = silent
    ) -> Fitted:
        """Fit, the recipe chosen along with the penalty within the training folds; ``report`` gets (splits done, splits)."""
        found = []
        for number, split in enumerate(splits):
            found.append(predict(list(candidates.values()), y, split.outer, split.inner))
            report(number + 1, len(splits))
        return cls(list(candidates), found)

    def chosen(self, target: int) -> list[Recipe]:
        """Recipe of each fold, split after split."""
        return [self.recipes[k] for found in self.predictions for k in found.kernel[:, target]]

    def penalties(self, target: int) -> list[float]:
        """Penalty of each fold, split after split."""
        return [float(a) for found in self.predictions for a in found.penalty[:, target]]


@dataclass(frozen=True)
class Sample:
    """What all representations are scored on: one target, the splits, and which items are resampled together."""

    y: Float[np.ndarray, " items"]
    column: int
    splits: Sequence[Split]
    groups: Int[np.ndarray, " items"]
    draws: int
    seed: int

    def figures(self, fitted: dict[str, Fitted]) -> dict[str, Any]:
        """Scores of each representation, with intervals; ``fraction`` is that of ``sae`` over that of ``dense``."""
        by_fold = {name: self._by_fold(fit) for name, fit in fitted.items()}
        r = {name: self._score(fit) for name, fit in fitted.items()}
        drawn = self._resampled(fitted)
        if "sae" in fitted:
            for values in (r, drawn):
                values["fraction"] = fraction(values["sae"], values["dense"])
        return {
            **dict.fromkeys(("dense", "sae", "surprisal", "length", "fraction")),
            **{name: _number(value[0]) for name, value in r.items()},
            "intervals": {name: interval(values) for name, values in drawn.items()},
            "by_fold": by_fold,
            "concatenated": {name: self._concatenated(fit) for name, fit in fitted.items()},
            "pooling": {name: [recipe.pooling for recipe in fit.chosen(self.column)] for name, fit in fitted.items() if name != "length"},
            "transform": {name: [recipe.transform for recipe in fit.chosen(self.column)] for name, fit in fitted.items() if name != "length"},
            "penalty": {name: fit.penalties(self.column) for name, fit in fitted.items()},
        }

    def _score(self, fit: Fitted, weights: Float[np.ndarray, "draws items"] | None = None) -> Float[np.ndarray, " draws"]:
        """Mean over splits."""
        scores = []
        for split, found in zip(self.splits, fit.predictions, strict=True):
            r = fold_correlations(found.values[:, self.column], self.y, split.outer, weights)
            scores.append(mean_correlation(r, split.outer, weights))
        return np.mean(scores, axis=0)

    def _resampled(self, fitted: dict[str, Fitted]) -> dict[str, Float[np.ndarray, " draws"]]:
        """Scores in bootstrap samples; a sample is the same for all representations and splits."""
        parts: dict[str, list[np.ndarray]] = {name: [] for name in fitted}
        for weights in resamples(self.groups, self.draws, self.seed):
            for name, fit in fitted.items():
                parts[name].append(self._score(fit, weights))
        return {name: np.concatenate(scores) for name, scores in parts.items()}

    def _by_fold(self, fit: Fitted) -> list[float | None]:
        pairs = zip(self.splits, fit.predictions, strict=True)
        return [_number(r) for split, found in pairs for r in fold_correlations(found.values[:, self.column], self.y, split.outer)[0]]

    def _concatenated(self, fit: Fitted) -> float | None:
        """r over all folds at once, for comparison with work that reports it; the mean over splits."""
        everywhere = np.zeros(len(self.y), np.int64)
        return _number(np.mean([fold_correlations(found.values[:, self.column], self.y, everywhere)[0, 0] for found in fit.predictions]))


def _number(value: float) -> float | None:
    """For JSON, which has no NaN."""
    return None if np.isnan(value) else float(value)
