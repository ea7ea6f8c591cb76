"""Which samples count, and which are held out together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int, Num

from saebrain.errors import InputError

FEWEST_FOLDS = 3
"""One is scored, one chooses alpha, one trains."""
SHORTEST = 10
"""Samples that a fold needs: r of fewer says nothing."""


@dataclass(frozen=True)
class Fold:
    """Samples that are predicted together.

    test : rows that are predicted and scored.
    out : rows that training goes without: those of the test, and those of the same run within the gap around them.
    """

    test: Int[np.ndarray, " test"]
    out: Int[np.ndarray, " out"]


@dataclass(frozen=True)
class Layout:
    """The samples of a study's runs: what is cut off, what is centred together, what is held out together.

    run_lengths : samples of each run as recorded.
    kept : the rows of those that count; all that follows counts within them.
    segments : what is centred and standardised by itself: runs, or contiguous blocks of runs.
    folds : what is held out; one a segment.
    """

    run_lengths: tuple[int, ...]
    kept: Int[np.ndarray, " samples"]
    segments: tuple[slice, ...]
    folds: tuple[Fold, ...]

    @classmethod
    def by_run(cls, run_lengths: Sequence[int], *, trim: tuple[int, int] = (0, 0)) -> Layout:
        """Every run a fold.

        Parameters
        ----------
        run_lengths : sequence of int
            Samples of each run.
        trim : (int, int)
            Samples to cut off the start and the end of every run.

        Raises
        ------
        InputError
            If there are fewer than three runs, or one is too short.
        """
        if len(run_lengths) < FEWEST_FOLDS:
            raise InputError(
                f"{len(run_lengths)} run(s): one is scored, one chooses alpha, one trains, so at least {FEWEST_FOLDS} are needed; "
                f"bring more runs, or set `encoding.folds` to a number of contiguous blocks, such as {2 * FEWEST_FOLDS}"
            )
        return cls._of(run_lengths, trim, [1] * len(run_lengths), gap=0)

    @classmethod
    def contiguous(cls, run_lengths: Sequence[int], n_folds: int, *, gap: int, trim: tuple[int, int] = (0, 0)) -> Layout:
        """Runs cut into blocks of neighbouring samples, every block a fold; for studies of one or two long runs.

        Parameters
        ----------
        n_folds : int
            Blocks of all runs together; longer runs get more.
        gap : int
            Samples on either side of a test block that are not trained on either, so that no response to the same stretch
            of the stimulus is on both sides: the longest delay.

        Raises
        ------
        InputError
            If there are fewer than three blocks, fewer than runs, or blocks would be too short.
        """
        if n_folds < max(FEWEST_FOLDS, len(run_lengths)):
            raise InputError(f'{n_folds} folds for {len(run_lengths)} run(s): ask for at least 3 and one a run, or set `encoding.folds` to "runs"')
        kept = [length - sum(trim) for length in run_lengths]
        blocks = [1] * len(kept)
        for _ in range(n_folds - len(kept)):  # the next block goes where blocks are longest
            blocks[int(np.argmax([length / count for length, count in zip(kept, blocks, strict=True)]))] += 1
        return cls._of(run_lengths, trim, blocks, gap=gap)

    @classmethod
    def _of(cls, run_lengths: Sequence[int], trim: tuple[int, int], blocks: list[int], *, gap: int) -> Layout:
        rows, edges = [], [0]
        runs: list[slice] = []
        for run, count in zip(slices(run_lengths), blocks, strict=True):
            part = np.arange(run.start + trim[0], run.stop - trim[1])
            if len(part) < count * (SHORTEST + gap):
                raise InputError(
                    f"run of {run.stop - run.start} samples: {max(len(part), 0)} are left to make {count} fold(s) of at least {SHORTEST + gap}; "
                    "trim less, ask for fewer folds, or bring longer runs"
                )
            before = edges[-1]
            edges += (before + np.linspace(0, len(part), count + 1).round().astype(int)[1:]).tolist()
            runs += [slice(before, before + len(part))] * count
            rows.append(part)
        segments = [slice(a, b) for a, b in pairwise(edges)]
        folds = [
            Fold(np.arange(block.start, block.stop), np.arange(max(block.start - gap, run.start), min(block.stop + gap, run.stop)))
            for block, run in zip(segments, runs, strict=True)
        ]
        return cls(tuple(run_lengths), np.concatenate(rows), tuple(segments), tuple(folds))

    @property
    def samples(self) -> int:
        """Samples that count."""
        return len(self.kept)

    def standardise(self, x: Num[np.ndarray, "recorded columns"]) -> Num[np.ndarray, "samples columns"]:
        """Rows that count, each column of mean 0 and standard deviation 1 within every segment.

        Columns that are constant within a segment, or not finite there, become 0 in it: they carry no data.
        """
        return self.standardise_kept(np.asarray(x[self.kept], np.float32) if len(self.kept) < len(x) else np.array(x, np.float32))

    def standardise_kept(self, x: Float[np.ndarray, "samples columns"]) -> Float[np.ndarray, "samples columns"]:
        """The same for columns of which only the rows that count are there; in place."""
        for segment in self.segments:
            part = x[segment]
            part -= part.mean(axis=0)
            deviation = part.std(axis=0)
            with_data = deviation > 1e-6  # False for NaN too
            np.divide(part, deviation, out=part, where=with_data)
            part[:, ~with_data] = 0
        return x


def slices(lengths: Sequence[int]) -> list[slice]:
    """Where each of some runs lies among the samples of all."""
    return [slice(start, stop) for start, stop in pairwise(np.cumsum([0, *lengths]).tolist())]
