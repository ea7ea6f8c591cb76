"""Hidden states of a causal language model, token by token.

Layer numbers count blocks from the input: layer 0 is the token embedding, layer k the residual stream after the k-th
block (``hook_resid_post`` of block k - 1 in TransformerLens' numbering). The states are read before any final norm.

A document longer than the context window is read in overlapping windows; of each window after the first only the last
``stride`` tokens are kept, so every token but those at the start has at least ``window - stride`` tokens before it.
A prefix token (beginning of text) opens every window and is dropped from the result: it takes up the attention that
would otherwise make the first real token's norm a hundred times that of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from saebrain.errors import InputError
from saebrain.models import LanguageModel, check_layers, check_window
from saebrain.progress import Report, silent


@dataclass(frozen=True)
class Window:
    """Tokens ``start:stop`` of one document, of which ``keep:stop`` are kept."""

    document: int
    start: int
    keep: int
    stop: int


@dataclass(frozen=True)
class States:
    """What one pass over a list of documents returns; rows are tokens in document order.

    ``surprisal`` is -log2 p(token | preceding), in bits; it is None unless the pass went through the full depth.
    """

    layers: dict[int, Float[np.ndarray, "tokens d_model"]]
    surprisal: Float[np.ndarray, " tokens"] | None


def windows(lengths: Sequence[int], *, window: int, stride: int) -> list[Window]:
    """Cover documents of ``lengths`` tokens with windows of at most ``window``, each ``stride`` after the last."""
    if not 0 < stride <= window:
        raise InputError(f"stride {stride} with window {window}: stride must be between 1 and the window")
    cover = []
    for document, length in enumerate(lengths):
        keep = 0
        while keep < length:
            stop = min(length, window if keep == 0 else keep + stride)
            cover.append(Window(document, max(0, stop - window), keep, stop))
            keep = stop
    return cover


def hidden_states(
    model: LanguageModel,
    documents: Sequence[Int[np.ndarray, " tokens"]],
    layers: Sequence[int],
    *,
    window: int = 512,
    stride: int = 256,
    batch_tokens: int = 4096,
    surprisal: bool = False,
    report: Report = silent,
) -> States:
    """Read the hidden states of some layers for every token of some documents.

    Windows are batched with others of like length, at most ``batch_tokens`` tokens a batch (padding included). The
    pass stops after the last layer asked for, unless ``surprisal`` needs the output.

    Parameters
    ----------
    documents : sequence of int arrays
        Token ids of each document.
    layers : sequence of int
        Layers to keep, 0 (embedding) to ``model.n_layers``.
    report : callable
        Called with (tokens done, tokens in all).

    Returns
    -------
    States
        Per layer, float32 (tokens of all documents in order, d_model).

    Raises
    ------
    InputError
        If a layer is outside 0..n_layers, or the window longer than the model can read.
    """
    check_layers(model, layers)
    check_window(model, window)
    lengths = [len(document) for document in documents]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(int)
    total = int(offsets[-1])
    kept = {layer: np.empty((total, model.d_model), np.float32) for layer in layers}
    bits = np.full(total, np.nan, np.float32) if surprisal else None
    done = 0
    for batch in _batches(windows(lengths, window=window, stride=stride), batch_tokens):
        ids = _pad([documents[w.document][w.start : w.stop] for w in batch], model)
        states, logits = _forward(model, ids, layers, full=surprisal)
        token_bits = _surprisal_bits(logits, ids) if logits is not None else None
        for row, w in enumerate(batch):
            inside = slice(1 + w.keep - w.start, 1 + w.stop - w.start)  # 1: the prefix token
            target = slice(offsets[w.document] + w.keep, offsets[w.document] + w.stop)
            for layer, state in states.items():
                kept[layer][target] = state[row, inside].float().cpu().numpy()
            if bits is not None and token_bits is not None:
                bits[target] = token_bits[row, inside].cpu().numpy()
            done += w.stop - w.keep
        report(done, total)
    return States(kept, bits)


class _Enough(Exception):
    """Ends a forward pass once the last needed layer has been read."""


def _forward(
    model: LanguageModel, ids: Int[Tensor, "batch position"], layers: Sequence[int], *, full: bool
) -> tuple[dict[int, Float[Tensor, "batch position d_model"]], Float[Tensor, "batch position vocabulary"] | None]:
    found: dict[int, Tensor] = {}
    last = max(layers)
    blocks = model.blocks

    def keep(layer: int, state: Tensor) -> None:
        if layer in layers:
            found[layer] = state
        if layer == last and not full:
            raise _Enough

    # Layer k - 1 is what block k - 1 (counted from 0) receives; the last block's output is the last layer.
    def before(index: int) -> Any:
        return lambda module, args, kwargs: keep(index, args[0] if args else kwargs["hidden_states"])

    def after(module: nn.Module, args: Any, output: Any) -> None:
        keep(model.n_layers, output[0] if isinstance(output, tuple) else output)

    hooks = [block.register_forward_pre_hook(before(index), with_kwargs=True) for index, block in enumerate(blocks)]
    hooks.append(blocks[-1].register_forward_hook(after))
    try:
        with torch.inference_mode():
            logits = model.network(input_ids=ids, use_cache=False).logits
    except _Enough:
        logits = None
    finally:
        for hook in hooks:
            hook.remove()
    return found, logits


def _surprisal_bits(logits: Float[Tensor, "batch position vocabulary"], ids: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position"]:
    """-log2 p of every token given those before it; the prefix token itself gets NaN."""
    bits = torch.full(ids.shape, float("nan"), device=ids.device)
    for row, target in enumerate(ids):
        known = logits[row, :-1].float()
        bits[row, 1:] = known.logsumexp(dim=-1) - known.gather(1, target[1:, None])[:, 0]
    return bits / float(np.log(2))


def _batches(cover: list[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Group windows of like length, longest first, so that padding is rare and memory peaks at once."""
    batch: list[Window] = []
    for w in sorted(cover, key=lambda w: (w.start - w.stop, w.document, w.start)):
        if batch and (len(batch) + 1) * (1 + batch[0].stop - batch[0].start) > batch_tokens:
            yield batch
            batch = []
        batch.append(w)
    if batch:
        yield batch


def _pad(rows: list[Int[np.ndarray, " tokens"]], model: LanguageModel) -> Int[Tensor, "batch position"]:
    """Stack rows behind the prefix token. Padding stands on the right, where a causal model's earlier tokens never see it."""
    width = 1 + max(map(len, rows))
    ids = torch.full((len(rows), width), model.prefix_id, dtype=torch.long)
    for row, tokens in enumerate(rows):
        ids[row, 1 : 1 + len(tokens)] = torch.from_numpy(np.asarray(tokens, dtype=np.int64))
    return ids.to(model.device)
