"""The files of a SAE folder, and what its cfg.json says; read without any of the weights' machinery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from saebrain.errors import InputError

CONFIG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"
# Settings of the SAELens layout under which our TopK would compute something else; each with the one value it can read.
REQUIRED = {"normalize_activations": "none", "rescale_acts_by_decoder_norm": False, "reshape_activations": "none"}


def read_config(folder: Path) -> dict[str, Any]:
    """Read and check ``cfg.json`` alone, without the weights.

    Raises
    ------
    InputError
        If there is none, it is not JSON, or it describes a SAE that cannot be computed here.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"SAE folder {folder}: no {CONFIG}; give a folder with {CONFIG} and {WEIGHTS}, or train one: python -m saebrain sae train")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); restore the file or train the SAE again") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: holds a {type(config).__name__}, not an object; restore the file or train the SAE again")
    if config.get("architecture") != "topk":
        raise InputError(f"{path}: architecture {config.get('architecture')!r} is not supported; only 'topk' can be read so far")
    missing = [key for key in ("d_in", "d_sae", "k") if key not in config]
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} missing; restore the file")
    for key in ("d_in", "d_sae", "k"):
        if not isinstance(config[key], int) or config[key] < 1:
            raise InputError(f"{path}: {key} = {config[key]!r} is no positive whole number; restore the file")
    if config["k"] > config["d_sae"]:
        raise InputError(f"{path}: k = {config['k']} is more than the {config['d_sae']} features of d_sae; restore the file")
    if not isinstance(config.get("metadata", {}), dict):
        raise InputError(f"{path}: metadata is a {type(config['metadata']).__name__}, not an object; restore the file")
    for key, value in REQUIRED.items():
        if config.get(key, value) != value:
            raise InputError(f"{path}: {key} = {config[key]!r} is not supported (only {value!r}); fold it into the weights first")
    return config
