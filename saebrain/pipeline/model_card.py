"""The model card of a SAE that was trained here: README.md in its folder."""

from __future__ import annotations

from typing import Any

from saebrain.sae.training.config import TrainConfig


def card(metadata: dict[str, Any], config: TrainConfig) -> str:
    """In Markdown.

    Parameters
    ----------
    metadata : dict
        Of the SAE, as it stands in cfg.json.
    """
    quality = metadata["held_out"]
    seen = metadata["training_tokens"]
    documents = f"from {metadata['documents']:,} documents; " if metadata["documents"] else ""
    return f"""# Sparse autoencoder of {metadata["model_name"]}, layer {metadata["layer"]}

| | |
| --- | --- |
| hook point | {_hook(metadata)} (`{metadata["hook_name"]}`) |
| architecture | {_architecture(config)} |
| data | {metadata["data"]} |
| tokens | {metadata["tokens"]:,} {documents}{seen / 1e6:.1f} million seen ({seen / metadata["tokens"]:.1f} passes) |
| training loss | {metadata["training_fvu"]:.3f}, as the fraction of variance unexplained (FVU) of the last batch |
| FVU | {quality["fvu"]:.3f} on held-out documents |
| L0 | {quality["l0"]:.1f} active features a token |
| dead features | {quality["dead_fraction"]:.2%} active on none of the {quality["n_tokens"]:,} held-out tokens |
| units | {metadata["units"]} |

Windows of {metadata["context_size"]} tokens open with `{metadata["prefix"]}`; tokens whose hidden state has a norm above {metadata["max_norm"]:.0f}
(eight times the median) were left out, and get no codes. FVU is sum |x - x_hat|^2 / sum |x - mean x|^2 over all held-out tokens at once.
Hidden states were divided by {metadata["training_scale"]:.4g} in training; the SAE takes them as they are, the factor is in its weights.
Written by `python -m saebrain sae train`; the settings are in `cfg.json` under `metadata`, the course of training in `training_log.parquet`.
"""


def _hook(metadata: dict[str, Any]) -> str:
    layer = metadata["layer"]
    return f"residual stream after block {layer} of the model" if layer else "the model's token embedding"


def _architecture(config: TrainConfig) -> str:
    features = f"{config.n_features:,} features"
    match config.architecture:
        case "topk":
            return f"TopK, {features}, k = {config.k}"
        case "batchtopk":
            return f"BatchTopK, {features}, k = {config.k} on average, by one threshold"
        case "matryoshka_batchtopk":
            sizes = ", ".join(f"{size:,}" for size in config.prefixes)
            return f"Matryoshka BatchTopK, {features} in nested dictionaries of {sizes}, k = {config.k} on average, by one threshold"
        case "jumprelu":
            return f"JumpReLU, {features}, a threshold each; {config.penalty} penalty of weight {config.sparsity:g}"
        case "standard":
            return f"ReLU, {features}; L1 penalty of weight {config.sparsity:g}"
