"""Exact predictions of samples that are left out, by whichever of two ways costs less.

For a kernel K, a penalty a and left-out rows S (the rows to train on, R, are all others) the residuals on S are

    direct      e_S = Y_S - K_SR (K_RR + aI)^-1 Y_R                a decomposition of the training rows for every S
    from whole  e_S = (G_SS)^-1 (G Y)_S,    G = (K + aI)^-1        one inverse of all rows, a small one for every S

the second by block inversion (Cook and Weisberg 1982, for single observations). Both are exact, as there is no intercept:
features and targets are centred within runs, whatever is left out. For the choice of alpha every *pair* of folds is left
out: the model without folds F and V predicts V for the choice that F's score rests on, and F for V's.

What depends on kernel and alpha alone can be kept, so that further targets, or permuted ones, cost only products with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from saebrain.encoding.kernels import Kernel, factor
from saebrain.encoding.layout import Fold
from saebrain.errors import InputError

Smoother = Callable[[Float[Tensor, "samples targets"]], Float[Tensor, "*rows targets"]]
"""Takes the responses of all samples to something linear in them: a matrix that depends on kernel and alpha alone."""

DOUBLE_BELOW = 1e-5
"""Alpha, as a share of the kernel's norm, below which single precision does not serve."""
SMALLEST = 1e-7
"""Alpha, as a share of the kernel's norm, below which a kernel in single precision says nothing."""
FEW = 8
"""Columns are few if there are as many times more samples."""
KEPT_BYTES = 2 << 30
"""Whole inverses, one an alpha, are kept between choosing alphas and predicting if they take no more; an alpha's pairs between calls."""


def leave_out(
    kernel: Kernel,
    parts: Sequence[Kernel],
    folds: Sequence[Fold],
    *,
    n_targets: int,
    rest: Kernel | None = None,
    keep: bool = False,
    device: str = "auto",
    dtype: torch.dtype = torch.float32,
) -> LeaveOut:
    """A kernel with folds left out, in the cheaper way.

    Parameters
    ----------
    kernel : array
        What the model is fitted with, centred within what folds are made of.
    parts : sequence of arrays
        Summands of it whose share of the prediction is wanted too.
    n_targets : int
        How many targets will come in all, over all calls.
    rest : array, optional
        What the parts lack of the kernel. If it has few dimensions, as nuisance bands have, whole predictions are made from
        those of the parts and these few: half the work with one part.
    keep : bool
        Whether to hold on to all that does not depend on targets, for many calls.
    device : str
        "auto": a GPU if there is one.
    dtype : torch.dtype
        Of the work on targets; float64 to check float32.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = cheaper([len(fold.out) for fold in folds], len(kernel), n_targets)
    return kind(kernel, parts, folds, n_targets=n_targets, rest=rest, keep=keep, device=device, dtype=dtype)


def cheaper(n_out: Sequence[int], samples: int, n_targets: int) -> type[LeaveOut]:
    """The way with fewer multiplications an alpha, those of a triangular factor counted twice, as they run slower."""
    pairs = [a + b for a, b in combinations(n_out, 2)]
    direct = sum(2 * (samples - out) ** 3 + (samples - out) * min(samples - out, 2 * n_targets) * out for out in [*pairs, *n_out])
    direct += sum((samples - out) * out * n_targets for out in [*pairs, *n_out])
    whole = 3 * samples**3 + 2 * samples**2 * n_targets + sum(2 * out**3 + out**2 * n_targets for out in pairs)
    return Direct if direct < whole else FromWhole


class LeaveOut(ABC):
    """One kernel with folds left out; made by :func:`leave_out`."""

    def __init__(
        self,
        kernel: Kernel,
        parts: Sequence[Kernel],
        folds: Sequence[Fold],
        *,
        n_targets: int,
        rest: Kernel | None,
        keep: bool,
        device: str,
        dtype: torch.dtype,
    ) -> None:
        """Bring the kernels to the device."""
        self.device, self.dtype, self.folds, self.keep = torch.device(device), dtype, list(folds), keep
        self.kernel, *self.parts = (torch.as_tensor(matrix).to(self.device, dtype) for matrix in (kernel, *parts))
        self.n_targets = n_targets
        self._norm = float(torch.linalg.matrix_norm(self.kernel))
        self._columns: Tensor | None = None
        if rest is not None and (columns := factor(rest)).shape[1] * FEW <= len(kernel):
            self._columns = torch.as_tensor(columns).to(self.device, dtype)
        self._test = [self._rows(fold.test) for fold in folds]
        self._kept: dict[tuple[object, ...], Smoother] = {}
        self._inverses: dict[float, Tensor] = {}

    def losses(self, alpha: float, *, several: bool = False) -> Callable[[Float[Tensor, "samples targets"]], Float[Tensor, "folds targets"]]:
        """From responses to, for each fold, the mean squared error of leaving one fold out at a time among all others, summed over those.

        ``several``: it will be called several times, so that what every call needs is held meanwhile, if there is room.
        """
        self._check(alpha)

        def make(f: int, v: int) -> Smoother:
            return self._remembered(("pair", f, v, alpha), partial(self._pair, f, v, alpha))

        pair = cache(make) if several and self._numbers_of_pairs() * self.kernel.itemsize <= KEPT_BYTES else make

        def losses(y: Float[Tensor, "samples targets"]) -> Float[Tensor, "folds targets"]:
            loss = torch.zeros(len(self.folds), y.shape[1], dtype=self.dtype, device=self.device)
            source = self._source(y, alpha)
            for f, v in combinations(range(len(self.folds)), 2):
                residual = pair(f, v)(source)
                for other, part in zip((v, f), residual.split([len(self._test[f]), len(self._test[v])]), strict=True):
                    loss[other] += torch.linalg.vecdot(part, part, dim=0) / len(part)
            return loss

        return losses

    def predictor(self, fold: int, alpha: float) -> Smoother:
        """From responses to predictions of a fold that is left out, parts_and_one x test x targets: the whole, then the share of each part."""
        self._check(alpha)
        smoother, test, Z = self._remembered(("fold", fold, alpha), partial(self._fold, fold, alpha)), self._test[fold], self._thin(alpha)

        def predict(y: Float[Tensor, "samples targets"]) -> Float[Tensor, "parts_and_one test targets"]:
            found = smoother(y).to(y.dtype)
            if Z is None:
                return found.view(1 + len(self.parts), len(test), y.shape[1])
            few = Z.shape[1]
            shares = found[:-few].view(len(self.parts), len(test), y.shape[1])
            return torch.cat([(shares.sum(dim=0) + Z[test] @ found[-few:])[None], shares])

        return predict

    def _thin(self, alpha: float) -> Float[Tensor, "samples few"] | None:
        """Columns of what the parts lack, if they are few, and if their rounding does not matter at this alpha."""
        return self._columns if alpha >= DOUBLE_BELOW * self._norm else None

    @abstractmethod
    def _source(self, y: Float[Tensor, "samples targets"], alpha: float) -> Float[Tensor, "samples targets"]:
        """What the residuals of all pairs are made from."""

    @abstractmethod
    def _pair(self, f: int, v: int, alpha: float) -> Smoother:
        """From the source to the residuals of fold f, then v, both left out."""

    @abstractmethod
    def _numbers_of_pairs(self) -> int:
        """How many numbers the smoothers of all pairs hold, for one alpha."""

    @abstractmethod
    def _fold(self, fold: int, alpha: float) -> Smoother:
        """From responses to predictions of a fold that is left out: the whole, then each part; or each part, then `_thin`'s weights."""

    def _remembered(self, key: tuple[object, ...], make: Callable[[], Smoother]) -> Smoother:
        if key in self._kept:
            return self._kept[key]
        smoother = make()
        if self.keep:
            self._kept[key] = smoother
        return smoother

    def _rows(self, rows: Int[np.ndarray, " rows"]) -> Int[Tensor, " rows"]:
        return torch.as_tensor(rows).to(self.device)

    def _union(self, *folds: int) -> Int[np.ndarray, " out"]:
        return np.unique(np.concatenate([self.folds[fold].out for fold in folds]))

    def _sizes_of_pairs(self) -> list[int]:
        """How many rows every pair of folds leaves out."""
        return [len(self._union(f, v)) for f, v in combinations(range(len(self.folds)), 2)]

    def _train(self, *folds: int) -> Int[Tensor, " train"]:
        return self._rows(np.setdiff1d(np.arange(len(self.kernel)), self._union(*folds)))

    def _cholesky(self, matrix: Float[Tensor, "n n"], alpha: float) -> Float[Tensor, "n n"]:
        """L with L L^T = matrix + alpha I; in double precision if alpha asks for it, and then so is all that is made from it."""
        matrix = matrix.to(torch.float64 if alpha < DOUBLE_BELOW * self._norm else self.dtype, copy=True)
        matrix.diagonal().add_(alpha)
        return torch.as_tensor(torch.linalg.cholesky(matrix))

    def _check(self, alpha: float) -> None:
        if alpha < SMALLEST * self._norm:
            raise InputError(f"alpha {alpha:g}: too small for a kernel of norm {self._norm:.3g}; ask for {SMALLEST * self._norm:.1g} or more")


class Direct(LeaveOut):
    """A decomposition of the training rows for every set of rows that is left out: cheap while folds are few."""

    def _source(self, y: Float[Tensor, "samples targets"], alpha: float) -> Float[Tensor, "samples targets"]:
        return y

    def _pair(self, f: int, v: int, alpha: float) -> Smoother:
        rows = torch.cat([self._test[f], self._test[v]])
        train = self._train(f, v)
        smooth = self._smoother(torch.cat([_taken(self.kernel, self._test[fold], train) for fold in (f, v)]), train, alpha)
        return lambda y: y[rows] - smooth(y)

    def _numbers_of_pairs(self) -> int:
        return sum(out * (len(self.kernel) - out) for out in self._sizes_of_pairs())

    def _fold(self, fold: int, alpha: float) -> Smoother:
        test, train, Z = self._test[fold], self._train(fold), self._thin(alpha)
        rows = [_taken(kernel, test, train) for kernel in ([self.kernel] if Z is None else []) + self.parts]
        return self._smoother(torch.cat(rows if Z is None else [*rows, Z[train].T]), train, alpha)

    def _smoother(self, rows: Float[Tensor, "rows train"], train: Int[Tensor, " train"], alpha: float) -> Smoother:
        """K_SR (K_RR + aI)^-1 as a matrix if there are many targets, otherwise as a product after solving for them."""
        factor = self._cholesky(_taken(self.kernel, train, train), alpha)
        rows = rows.to(factor.dtype)
        if self.n_targets < len(train):
            return lambda y: rows @ torch.cholesky_solve(y[train].to(factor.dtype), factor)
        return _product(torch.cholesky_solve(rows.T, factor).T, train)


class FromWhole(LeaveOut):
    """One inverse of all rows an alpha: cheap while folds are many."""

    def _source(self, y: Float[Tensor, "samples targets"], alpha: float) -> Float[Tensor, "samples targets"]:
        G = self._inverse(alpha)
        return G @ y.to(G.dtype)

    def _pair(self, f: int, v: int, alpha: float) -> Smoother:
        out = self._union(f, v)
        rows = self._rows(out)
        G = self._inverse(alpha)
        at = self._rows(np.searchsorted(out, np.concatenate([self.folds[f].test, self.folds[v].test])))
        return _product(_inverse(G[rows][:, rows])[at], rows)

    def _numbers_of_pairs(self) -> int:
        return sum(out**2 for out in self._sizes_of_pairs())

    def _fold(self, fold: int, alpha: float) -> Smoother:
        out, test, train = self._rows(self.folds[fold].out), self._test[fold], self._train(fold)
        G = self._inverse(alpha)
        W = _inverse(G[out][:, out]) @ G[out][:, train]
        at = torch.searchsorted(out, test)
        Z = self._thin(alpha)
        hats = [-W[at]] if Z is None else []
        for rows in [*(part[test] for part in self.parts), *([] if Z is None else [Z.T])]:
            M = rows.to(G.dtype) @ G
            hats.append(M[:, train] - M[:, out] @ W)
        return _product(torch.cat(hats), train)

    def _inverse(self, alpha: float) -> Float[Tensor, "samples samples"]:
        """G = (K + aI)^-1."""
        if alpha not in self._inverses:
            if sum(inverse.nbytes for inverse in self._inverses.values()) > KEPT_BYTES:
                self._inverses.clear()
            self._inverses[alpha] = torch.cholesky_inverse(self._cholesky(self.kernel, alpha))
        return self._inverses[alpha]


def _taken(matrix: Float[Tensor, "n n"], rows: Int[Tensor, " rows"], columns: Int[Tensor, " columns"]) -> Float[Tensor, "rows columns"]:
    """Some rows and columns of a matrix, ascending; a view where they follow one another, as those of a run do: gathering is slow."""
    return matrix[_span(rows)][:, _span(columns)]


def _span(rows: Int[Tensor, " rows"]) -> slice | Int[Tensor, " rows"]:
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def _product(matrix: Float[Tensor, "rows some"], some: Int[Tensor, " some"]) -> Smoother:
    """Multiplies some rows of what comes."""
    span = _span(some)
    return lambda y: matrix @ y[span].to(matrix.dtype)


def _inverse(matrix: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Of a positive definite matrix."""
    return torch.cholesky_inverse(torch.linalg.cholesky(matrix))
