"""A language model that runs on a SAE's reconstruction: what that costs it in next-token loss.

In one layer the residual stream x is replaced while the model runs: by the SAE's reconstruction, or by zero
(zero-ablation, the usual yardstick; replacing by the mean is a milder one, and gives lower scores). Two kinds of tokens
pass through untouched in both, as they get no codes here either: the prefix token, and those whose hidden state has a norm
above the SAE's limit (``max_norm`` in its metadata). So the share of cross-entropy recovered is about the tokens that the
SAE is used on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from saebrain.models import LanguageModel, check_layers, check_window
from saebrain.progress import Report, silent
from saebrain.sae.base import SAE
from saebrain.sae.quality import CrossEntropy

Edit = Callable[[Float[Tensor, "tokens d_model"]], Float[Tensor, "tokens d_model"]]
BATCH_TOKENS = 1024
"""Small, as every token brings logits over the whole vocabulary."""
_NO_TARGET = -100


@contextmanager
def spliced(model: LanguageModel, layer: int, edit: Edit, *, max_norm: float = np.inf) -> Iterator[None]:
    """Within the block the model's residual stream at ``layer`` is what ``edit`` makes of it (float32 in and out).

    Layers count as in :mod:`saebrain.activations`. The first position and tokens with a norm above ``max_norm`` are left as they are.

    Raises
    ------
    InputError
        If the model has no such layer.
    """
    check_layers(model, [layer])

    def rewritten(state: Float[Tensor, "batch position d_model"]) -> Float[Tensor, "batch position d_model"]:
        x = state.float()
        replaced = x.norm(dim=-1) <= max_norm
        replaced[:, 0] = False
        if not bool(replaced.any()):
            return state
        changed = state.clone()
        changed[replaced] = edit(x[replaced]).to(state)
        return changed

    def before(module: nn.Module, args: Any, kwargs: Any) -> Any:
        if args:
            return (rewritten(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": rewritten(kwargs["hidden_states"])}

    def after(module: nn.Module, args: Any, output: Any) -> Any:
        return (rewritten(output[0]), *output[1:]) if isinstance(output, tuple) else rewritten(output)

    blocks, inner = model.blocks, layer < model.n_layers
    hook = blocks[layer].register_forward_pre_hook(before, with_kwargs=True) if inner else blocks[-1].register_forward_hook(after)
    try:
        yield
    finally:
        hook.remove()


def next_token_loss(model: LanguageModel, windows: Sequence[Int[np.ndarray, " tokens"]], *, report: Report = silent) -> float:
    """Mean of -ln p(token | those before it in its window) over all tokens of some windows, each read behind the prefix token; in nats."""
    loss, n_tokens, total = 0.0, 0, sum(map(len, windows))
    for batch in _batches(windows):
        ids = torch.full((len(batch), 1 + max(map(len, batch))), _NO_TARGET)
        for row, window in enumerate(batch):
            ids[row, 1 : 1 + len(window)] = torch.from_numpy(np.asarray(window, np.int64))
        ids = ids.to(model.device)
        # Padding stands on the right, where a causal model's earlier tokens never see it.
        read = ids.masked_fill(ids == _NO_TARGET, model.prefix_id)
        with torch.inference_mode():
            logits = model.network(input_ids=read, use_cache=False).logits[:, :-1]
            for row, target in zip(logits, ids[:, 1:], strict=True):
                loss += float(nn.functional.cross_entropy(row.float(), target, ignore_index=_NO_TARGET, reduction="sum"))
        n_tokens += sum(map(len, batch))
        report(n_tokens, total)
    return loss / n_tokens


def cross_entropy(
    model: LanguageModel,
    sae: SAE,
    windows: Sequence[Int[np.ndarray, " tokens"]],
    layer: int,
    *,
    max_norm: float = np.inf,
    report: Report = silent,
) -> CrossEntropy:
    """Next-token loss untouched, with the SAE's reconstruction of ``layer``, and with zeros in its place.

    Parameters
    ----------
    windows : sequence of int arrays
        Token ids without the prefix token; no window longer than the model can read.

    Raises
    ------
    InputError
        If the model has no such layer, or a window is too long for it.
    """
    check_window(model, max(map(len, windows)))
    n_tokens = sum(map(len, windows))

    def part(number: int) -> Report:
        return lambda done, total: report(number * n_tokens + done, 3 * n_tokens)

    def reconstructed(x: Float[Tensor, "tokens d_model"]) -> Float[Tensor, "tokens d_model"]:
        return sae.split(x.to(sae.W_enc))[1]

    untouched = next_token_loss(model, windows, report=part(0))
    with spliced(model, layer, reconstructed, max_norm=max_norm):
        with_sae = next_token_loss(model, windows, report=part(1))
    with spliced(model, layer, torch.zeros_like, max_norm=max_norm):
        with_zero = next_token_loss(model, windows, report=part(2))
    return CrossEntropy(untouched, with_sae, with_zero, n_tokens)


def _batches(windows: Sequence[Int[np.ndarray, " tokens"]]) -> Iterator[list[Int[np.ndarray, " tokens"]]]:
    """Windows of like length together, so that padding is rare."""
    batch: list[Int[np.ndarray, " tokens"]] = []
    for window in sorted(windows, key=len, reverse=True):
        if batch and (len(batch) + 1) * (1 + len(batch[0])) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch
