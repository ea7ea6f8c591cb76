"""r of targets with one kernel, each with an alpha of its own; many versions of the same targets for the price of products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from saebrain.encoding.holdout import leave_out
from saebrain.encoding.kernels import Kernel
from saebrain.encoding.layout import Fold
from saebrain.progress import Report, silent

TARGETS_AT_ONCE = 4096

Targets = tuple[Float[np.ndarray, "samples vertices"], Int[np.ndarray, " targets"]]
"""Responses, and the columns of them that are meant."""
Part = Literal["whole", "features"]


class Scorer:
    """Scores targets with one kernel. What does not depend on targets can be kept, so that many versions of them are cheap."""

    def __init__(
        self,
        features: Kernel | None,
        nuisance: Kernel,
        folds: Sequence[Fold],
        alphas: Sequence[float],
        *,
        n_targets: int,
        keep: bool = False,
        device: str = "auto",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Kernels as for :func:`leave_one_run_out`; ``n_targets``, ``keep``, ``device`` and ``dtype`` as for `leave_out`."""
        self.folds, self.alphas, self.has_features = list(folds), list(alphas), features is not None
        kernel, parts, rest = (nuisance, [], None) if features is None else (nuisance + features, [features], nuisance)
        self._left_out = leave_out(kernel, parts, folds, n_targets=n_targets, rest=rest, keep=keep, device=device, dtype=dtype)

    def score(self, y: Float[np.ndarray, "samples targets"], chosen: Int[np.ndarray, "folds targets"] | None = None) -> TargetScores:
        """Choose an alpha for each target (unless they are given, as rows of ``alphas``) and score it.

        ``y`` as in :func:`leave_one_run_out`; all its columns are targets.
        """
        targets = [(y, np.arange(y.shape[1]))]
        if chosen is None:
            chosen = self.losses(targets).argmin(axis=1)
        r = np.stack([self.fold_r(targets, fold, chosen[fold]) for fold in range(len(self.folds))], axis=1)
        return TargetScores(r[0], r[1] if self.has_features else np.full_like(r[0], np.nan), chosen)

    def score_versions(
        self,
        versions: Sequence[Float[np.ndarray, "samples targets"]],
        chosen: Int[np.ndarray, "folds targets"] | None = None,
        *,
        part: Part = "whole",
    ) -> Float[np.ndarray, "versions targets"]:
        """Mean r over folds of several versions of the same targets, such as shifted ones; alphas are chosen anew for each, unless given.

        For tests under the null hypothesis: with ``keep=True`` every version costs products alone.
        """
        found = self.score(np.concatenate(versions, axis=1), None if chosen is None else np.tile(chosen, len(versions)))
        r = found.r if part == "whole" else found.r_features
        return r.mean(axis=0).reshape(len(versions), -1)

    def predictions(
        self, y: Float[np.ndarray, "samples targets"], chosen: Int[np.ndarray, "folds targets"]
    ) -> Float[np.ndarray, "parts samples targets"]:
        """Held-out prediction of every sample: of the whole model and, if there are features, of their share."""
        out = np.full((1 + self.has_features, *y.shape), np.nan, np.float32)
        for fold, (held, row) in enumerate(zip(self.folds, chosen, strict=True)):
            for columns, _, prediction in self._predicted([(y, np.arange(y.shape[1]))], fold, row):
                out[:, held.test[:, None], columns] = prediction.cpu().numpy()
        return out

    def losses(self, targets: Sequence[Targets], report: Report = silent) -> Float[np.ndarray, "folds alphas targets"]:
        """Mean squared error when folds other than a given one are left out in turn, summed over them; zeros if there is one alpha.

        What a fold's own responses are does not enter its row. Targets of all entries stand side by side.
        """
        loss = np.zeros((len(self.folds), len(self.alphas), sum(len(columns) for _, columns in targets)))
        if len(self.alphas) == 1:
            return loss
        everything = np.arange(loss.shape[2])
        for row, alpha in enumerate(self.alphas):
            losses = self._left_out.losses(alpha, several=len(everything) > TARGETS_AT_ONCE)
            for at, y in self._blocks(targets, everything):
                loss[:, row, at] = losses(y).cpu().numpy()
            report(row + 1, len(self.alphas))
        return loss

    def fold_r(self, targets: Sequence[Targets], fold: int, chosen: Int[np.ndarray, " targets"]) -> Float[np.ndarray, "parts targets"]:
        """r within one held-out fold, given every target's alpha (a row of ``alphas``)."""
        r = np.full((1 + self.has_features, len(chosen)), np.nan, np.float32)
        for at, y, prediction in self._predicted(targets, fold, chosen):
            r[:, at] = correlation(prediction, y[self.folds[fold].test]).cpu().numpy()
        return r

    def _predicted(self, targets: Sequence[Targets], fold: int, chosen: Int[np.ndarray, " targets"]) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
        """Blocks of targets that have one alpha: where they stand, their responses, their predictions."""
        for row in np.unique(chosen):
            predict = self._left_out.predictor(fold, self.alphas[row])
            for at, y in self._blocks(targets, np.flatnonzero(chosen == row)):
                yield at, y, predict(y)

    def _blocks(self, targets: Sequence[Targets], wanted: Int[np.ndarray, " wanted"]) -> Iterator[tuple[np.ndarray, Float[Tensor, "samples block"]]]:
        """Some of the targets, ascending, in blocks that fit into memory: where they stand, their responses on the device."""
        firsts = np.cumsum([0, *(len(columns) for _, columns in targets)])
        for start in range(0, len(wanted), TARGETS_AT_ONCE):
            at = wanted[start : start + TARGETS_AT_ONCE]
            bounds = np.searchsorted(at, firsts)
            ranges = zip(targets, firsts, bounds, bounds[1:], strict=False)
            own = [_taken(y, columns[at[low:high] - first]) for (y, columns), first, low, high in ranges if high > low]
            yield at, torch.from_numpy(own[0] if len(own) == 1 else np.concatenate(own, axis=1)).to(self._left_out.device, self._left_out.dtype)


@dataclass(frozen=True)
class TargetScores:
    """r within each held-out fold; NaN where a target does not vary.

    r : of the whole prediction. r_features : of the features' share of it. chosen : alpha, as a row of those to choose from.
    """

    r: Float[np.ndarray, "folds targets"]
    r_features: Float[np.ndarray, "folds targets"]
    chosen: Int[np.ndarray, "folds targets"]


def _taken(y: Float[np.ndarray, "samples vertices"], columns: Int[np.ndarray, " taken"]) -> Float[np.ndarray, "samples taken"]:
    """Some columns. `numpy.take` would first copy the whole of an array whose columns lie one after another in memory."""
    return y.T[columns].T if y.flags.f_contiguous else np.take(y, columns, axis=1)


def correlation(prediction: Float[Tensor, "*parts samples targets"], response: Float[Tensor, "samples targets"]) -> Float[Tensor, "*parts targets"]:
    """Pearson's r of each column; NaN where the response does not vary, 0 where only the prediction does not: it explains nothing."""
    a = prediction - prediction.mean(dim=-2, keepdim=True)
    b = response - response.mean(dim=0)
    aa, bb, ab = (torch.linalg.vecdot(x, y, dim=-2) for x, y in ((a, a), (b, b), (a, b)))
    scale = torch.sqrt(aa * bb)
    r = torch.where(scale > 0, ab / scale, torch.zeros_like(ab))
    return torch.where(bb > 0, r, torch.full_like(r, torch.nan))
