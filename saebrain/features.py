"""SAE codes of a text, token by token; statistics of each feature, example contexts, effects on the logits.

Texts may be long: codes are yielded batch by batch, and statistics and contexts are gathered from the sorted codes part
by part, in memory that does not grow with the number of codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int, UInt64
from torch import Tensor

from saebrain.codes import Index, SparseCodes
from saebrain.errors import InputError
from saebrain.progress import Report, silent
from saebrain.sae.base import SAE

HISTOGRAM_BINS = 24
PREACTIVATIONS = 1 << 25
"""Pre-activations held at a time, 128 MB of them."""
_TOKEN = np.uint64((1 << 48) - 1)
"""The bits of a strength (see `TopContexts`) that hold the token."""


def encode(
    sae: SAE, batches: Iterable[Float[np.ndarray, "tokens d_in"]], *, n_tokens: int, report: Report = silent
) -> Iterator[tuple[Int[np.ndarray, " codes"], Int[np.ndarray, " codes"], Float[np.ndarray, " codes"]]]:
    """Encode hidden states batch by batch, where the SAE is; ``batches`` run over all tokens in order and may be of any size.

    A token whose norm is above the SAE's limit (``max_norm`` in its metadata) is unlike anything it was trained on, and
    gets no codes.

    Yields
    ------
    feature, token, value
        Codes of some tokens, token after token; ``value`` is half precision and above 0.

    Raises
    ------
    InputError
        If an activation does not fit half precision.
    """
    max_norm = float(sae.metadata.get("max_norm", np.inf))
    rows = max(1, PREACTIVATIONS // sae.n_features)
    first = 0
    for x in (part for batch in batches for part in torch.from_numpy(np.asarray(batch, np.float32)).split(rows)):
        ordinary = (x.norm(dim=1) <= max_norm).nonzero()[:, 0]
        codes = sae.encode(x[ordinary].to(sae.b_dec.device))
        value = codes.values.half().cpu().numpy()
        if not np.isfinite(value).all():
            raise InputError(
                f"an activation of {float(codes.values.max()):.3g} does not fit float16; "
                "write a limit for the hidden states' norm into cfg.json: metadata.max_norm"
            )
        on = value > 0  # a value that half precision rounds to 0 is no activation
        token = first + ordinary[codes.tokens.cpu()].numpy()
        yield codes.features.cpu().numpy()[on], token[on], value[on]
        first += len(x)
        report(first, n_tokens)


class Statistics:
    """Statistics of every feature, from one pass over its codes."""

    def __init__(self, index: Index, n_tokens: int) -> None:
        """``index`` is that of all codes: a histogram can only be filled once its maximum is known."""
        n_features = len(index.active)
        self._index, self._n_tokens = index, n_tokens
        self._total = np.zeros(n_features)
        self._counts = np.zeros((n_features, HISTOGRAM_BINS), np.int64)

    def update(self, codes: SparseCodes) -> None:
        """Take in the next part of the codes."""
        if not len(codes.feature):
            return
        present = slice(codes.feature[0], codes.feature[-1] + 1)
        feature, value = codes.feature - present.start, codes.value.astype(np.float64)
        bins = np.minimum((value / self._index.largest[codes.feature] * HISTOGRAM_BINS).astype(int), HISTOGRAM_BINS - 1)
        size = present.stop - present.start
        self._total[present] += np.bincount(feature, weights=value, minlength=size)
        self._counts[present] += np.bincount(feature * HISTOGRAM_BINS + bins, minlength=size * HISTOGRAM_BINS).reshape(size, HISTOGRAM_BINS)

    def table(self) -> pd.DataFrame:
        """One row a feature: active (tokens), density (their share), mean and max of the activations, histogram counts.

        The histogram has ``HISTOGRAM_BINS`` equal bins from 0 to the feature's maximum. A feature that is never active
        has density 0, mean and max 0 and an empty histogram.
        """
        active = self._index.active
        return pd.DataFrame(
            {
                "feature": np.arange(len(active), dtype=np.int32),
                "active": active,
                "density": active / self._n_tokens,
                "mean": (self._total / np.maximum(active, 1)).astype(np.float32),
                "max": self._index.largest.astype(np.float32),
                "histogram": [row.tolist() if on else [] for row, on in zip(self._counts, active > 0, strict=True)],
            }
        )


class TopContexts:
    """The strongest activations of every feature, at most one a word, from one pass over its codes.

    An activation is held as its strength, one 64-bit number that orders activations: the 16 bits of its value (of
    positive half-precision numbers the larger has the larger bits), then the token's complement (of equals the first
    token comes first).
    """

    def __init__(self, tokens: pd.DataFrame, *, count: int = 20, before: int = 24, after: int = 12) -> None:
        """``tokens`` has the columns run and word; contexts are as wide as ``before`` and ``after``, in tokens."""
        new = _changes(pd.factorize(tokens["run"])[0])
        self._runs = np.append(np.flatnonzero(new), len(tokens))
        new |= _changes(tokens["word"].to_numpy())
        self._word = np.cumsum(new, dtype=np.int32)
        self._count, self._before, self._after = count, before, after
        self._best: dict[int, UInt64[np.ndarray, " strongest"]] = {}

    def update(self, codes: SparseCodes) -> None:
        """Take in the next part of the codes."""
        word = self._word[codes.token]
        at = np.flatnonzero(_changes(codes.feature) | _changes(word))
        if not len(at):
            return
        strength = codes.value.view(np.uint16).astype(np.uint64) << np.uint64(48)
        strength |= _TOKEN - codes.token.astype(np.uint64)
        strength, feature = np.maximum.reduceat(strength, at), codes.feature[at]
        firsts = np.flatnonzero(_changes(feature))
        for number, own in zip(feature[firsts].tolist(), np.split(strength, firsts[1:]), strict=True):
            best = self._strongest(own)
            if number in self._best:
                best = self._strongest(self._a_word_once(np.concatenate([self._best[number], best])))
            self._best[number] = best

    def table(self) -> pd.DataFrame:
        """The contexts as token ranges.

        Returns
        -------
        DataFrame
            feature, rank (0 strongest), token (peak), start, stop (half-open range of rows of ``tokens``, within one run),
            value.
        """
        lengths = [len(best) for best in self._best.values()]
        strength = np.concatenate([*self._best.values(), np.empty(0, np.uint64)])
        peak = _peak(strength)
        run = np.searchsorted(self._runs, peak, side="right")
        return pd.DataFrame(
            {
                "feature": np.repeat(np.fromiter(self._best, np.int32, len(lengths)), lengths),
                "rank": np.concatenate([np.arange(length, dtype=np.int16) for length in [*lengths, 0]]),
                "token": peak,
                "start": np.maximum(peak - self._before, self._runs[run - 1]),
                "stop": np.minimum(peak + self._after + 1, self._runs[run]),
                "value": (strength >> np.uint64(48)).astype(np.uint16).view(np.float16).astype(np.float32),
            }
        )

    def _strongest(self, strength: UInt64[np.ndarray, " words"]) -> UInt64[np.ndarray, " strongest"]:
        """The ``count`` highest, highest first."""
        if len(strength) > self._count:
            strength = np.partition(strength, -self._count)[-self._count :]
        return np.sort(strength)[::-1]

    def _a_word_once(self, strength: UInt64[np.ndarray, " some"]) -> UInt64[np.ndarray, " words"]:
        """Of each word the highest: one may lie on the border between two parts."""
        strength = np.sort(strength)[::-1]
        return strength[np.unique(self._word[_peak(strength)], return_index=True)[1]]


def logit_effects(
    decoder: Float[Tensor, "n_features d_in"], output: Float[Tensor, "vocabulary d_in"], *, count: int = 10, report: Report = silent
) -> dict[str, np.ndarray]:
    """The tokens that each feature's decoder direction raises and lowers most: direction . output row, per unit of activation.

    Returns
    -------
    dict
        promoted, suppressed: int32 (n_features, count) token ids; promoted_effect, suppressed_effect: float32. The mean
        over the vocabulary is taken off first, as a softmax does not see it.
    """
    output = output - output.mean(dim=0)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("promoted", "promoted_effect", "suppressed", "suppressed_effect")}
    for chunk in decoder.split(512):
        effect = chunk @ output.T
        high, low = effect.topk(count, dim=1), effect.topk(count, dim=1, largest=False)
        rows["promoted"].append(high.indices.int().numpy())
        rows["promoted_effect"].append(high.values.numpy())
        rows["suppressed"].append(low.indices.int().numpy())
        rows["suppressed_effect"].append(low.values.numpy())
        report(sum(map(len, rows["promoted"])), len(decoder))
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def _changes(values: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Where a value differs from the one before; so does the first."""
    changes = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return changes


def _peak(strength: UInt64[np.ndarray, " some"]) -> Int[np.ndarray, " some"]:
    """The token of each strength."""
    return (_TOKEN - (strength & _TOKEN)).astype(np.int64)
