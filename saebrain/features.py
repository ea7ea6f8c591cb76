"""SAE codes of a text: sparse table, statistics of each feature, example contexts, effects on the logits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from saebrain.codes import SparseCodes
from saebrain.errors import InputError
from saebrain.progress import Report, silent
from saebrain.sae.base import SAE

HISTOGRAM_BINS = 24


def encode(sae: SAE, batches: Iterable[Float[np.ndarray, "tokens d_in"]], *, n_tokens: int, report: Report = silent) -> SparseCodes:
    """Encode hidden states batch by batch; ``batches`` run over all tokens in order.

    A token whose norm is above the SAE's limit (``max_norm`` in its metadata) is unlike anything it was trained on, and
    gets no codes.

    Raises
    ------
    InputError
        If an activation does not fit half precision.
    """
    max_norm = float(sae.metadata.get("max_norm", np.inf))
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    first = 0
    for batch in batches:
        x = torch.from_numpy(np.asarray(batch, np.float32))
        codes = sae.encode(x)
        kept = (x.norm(dim=1) <= max_norm)[codes.tokens]
        values = codes.values[kept].to(torch.float16).numpy()
        if not np.isfinite(values).all():
            largest = float(codes.values[kept].max())
            raise InputError(
                f"an activation of {largest:.3g} does not fit float16; write a limit for the hidden states' norm into cfg.json: metadata.max_norm"
            )
        on = values > 0  # a value that half precision rounds to 0 is no activation
        parts.append((codes.features[kept].numpy()[on], first + codes.tokens[kept].numpy()[on], values[on]))
        first += len(batch)
        report(first, n_tokens)
    feature, token, value = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return SparseCodes.sort(feature, token, value, sae.n_features)


def statistics(codes: SparseCodes, n_tokens: int) -> pd.DataFrame:
    """One row a feature: active (tokens), density (their share), mean and max of the activations, histogram counts.

    The histogram has ``HISTOGRAM_BINS`` equal bins from 0 to the feature's maximum. A feature that is never active has
    density 0, mean and max 0 and an empty histogram.
    """
    active = np.diff(codes.start)
    value = codes.value.astype(np.float64)
    total = np.bincount(codes.feature, weights=value, minlength=codes.n_features)
    largest = np.zeros(codes.n_features)
    np.maximum.at(largest, codes.feature, value)
    bins = np.minimum((value / largest[codes.feature] * HISTOGRAM_BINS).astype(int), HISTOGRAM_BINS - 1)
    counts = np.bincount(codes.feature * HISTOGRAM_BINS + bins, minlength=codes.n_features * HISTOGRAM_BINS)
    return pd.DataFrame(
        {
            "feature": np.arange(codes.n_features, dtype=np.int32),
            "active": active.astype(np.int64),
            "density": active / n_tokens,
            "mean": (total / np.maximum(active, 1)).astype(np.float32),
            "max": largest.astype(np.float32),
            "histogram": [row.tolist() if on else [] for row, on in zip(counts.reshape(-1, HISTOGRAM_BINS), active > 0, strict=True)],
        }
    )


def top_contexts(codes: SparseCodes, tokens: pd.DataFrame, *, count: int = 20, before: int = 24, after: int = 12) -> pd.DataFrame:
    """The strongest activations of every feature, at most one a word, as token ranges.

    Returns
    -------
    DataFrame
        feature, rank (0 strongest), token (peak), start, stop (half-open range of rows of ``tokens``, within one run),
        value.
    """
    run = tokens["run"].to_numpy()
    word_key = pd.factorize(pd.MultiIndex.from_frame(tokens[["run", "word"]]))[0]
    first, last = _run_bounds(run)
    table = pd.DataFrame({"feature": codes.feature, "token": codes.token, "value": codes.value.astype(np.float32), "word": word_key[codes.token]})
    table = table.sort_values(["feature", "value", "token"], ascending=[True, False, True], kind="stable")
    table = table.drop_duplicates(["feature", "word"])
    table["rank"] = table.groupby("feature").cumcount()
    table = table[table["rank"] < count].drop(columns="word").astype({"rank": np.int16})
    peak = table["token"].to_numpy()
    table["start"] = np.maximum(peak - before, first[peak])
    table["stop"] = np.minimum(peak + after + 1, last[peak])
    return table[["feature", "rank", "token", "start", "stop", "value"]].reset_index(drop=True)


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


def _run_bounds(run: np.ndarray) -> tuple[Int[np.ndarray, " tokens"], Int[np.ndarray, " tokens"]]:
    """First row and end row of the run that each token belongs to."""
    edges = np.flatnonzero(np.append(True, run[1:] != run[:-1]))
    ends = np.append(edges[1:], len(run))
    which = np.repeat(np.arange(len(edges)), ends - edges)
    return edges[which], ends[which]
