"""The trainers that `benchmarks.sae` compares: ours, and peers through the step functions of their own trainers.

Every one takes hidden states as they are and brings them to the scale that its own pipeline trains in: ours to unit
deviation a dimension, SAELens to a mean norm of sqrt(d), dictionary_learning and sparsify to a mean squared norm of 1.
Settings that a peer has a default for keep it, auxiliary loss included, with two exceptions: a warm-up of 1,000 steps is
shortened to a twentieth of a shorter run, and the learning rate can be set for all.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from saebrain.sae.training import TrainConfig, Training


@dataclass(frozen=True)
class Setting:
    """What all of them train. ``learning_rate`` None: each one's default."""

    d_in: int
    n_features: int
    k: int
    steps: int
    batch: int
    device: str
    seed: int = 0
    learning_rate: float | None = None

    @property
    def warmup_steps(self) -> int:
        """Of peers whose default is 1,000 steps."""
        return min(1000, self.steps // 20)


class Trainer(ABC):
    """A SAE in training."""

    @abstractmethod
    def step(self, x: Float[Tensor, "tokens d_in"]) -> None:
        """Learn from a batch of hidden states."""

    @abstractmethod
    def reconstruct(self, x: Float[Tensor, "tokens d_in"]) -> Float[Tensor, "tokens d_in"]:
        """As it is after training, in the units of ``x``."""


class Ours(Trainer):
    """saebrain; on a GPU features are chosen in half precision, as by sparsify."""

    def __init__(self, setting: Setting, sample: Float[Tensor, "sample d_in"]) -> None:
        config = TrainConfig(
            n_features=setting.n_features,
            k=setting.k,
            steps=setting.steps,
            batch=setting.batch,
            learning_rate=setting.learning_rate or 0.0,
            precision="float32" if setting.device == "cpu" else "bfloat16",
            seed=setting.seed,
        )
        self.training = Training(sample, config, setting.device)

    def step(self, x: Float[Tensor, "tokens d_in"]) -> None:
        self.training.step(x)

    def reconstruct(self, x: Float[Tensor, "tokens d_in"]) -> Float[Tensor, "tokens d_in"]:
        return self.training.finish().split(x.cpu())[1].to(x.device)


class SAELens(Trainer):
    """SAELens' TopK and its trainer's step; ``sparse`` is its option ``use_sparse_activations``."""

    def __init__(self, setting: Setting, sample: Float[Tensor, "sample d_in"], *, sparse: bool = False) -> None:
        with _without("wandb"):
            config: Any = import_module("sae_lens.config")
            topk: Any = import_module("sae_lens.saes.topk_sae")
            trainer: Any = import_module("sae_lens.training.sae_trainer")

        torch.manual_seed(setting.seed)
        self.scale = math.sqrt(setting.d_in) / float(sample.norm(dim=1).mean())
        size: dict[str, Any] = {"d_in": setting.d_in, "d_sae": setting.n_features, "k": setting.k, "device": setting.device}
        # Scaling by decoder norms, its default, has no gradient there for sparse codes.
        codes = {"use_sparse_activations": True, "rescale_acts_by_decoder_norm": False} if sparse else {}
        sae = topk.TopKTrainingSAE(topk.TopKTrainingSAEConfig(**size, **codes))
        rate = {} if setting.learning_rate is None else {"lr": setting.learning_rate}
        settings = config.SAETrainerConfig(setting.steps * setting.batch, setting.batch, lr_end=0.0, device=setting.device, **rate)
        self.trainer = trainer.SAETrainer(settings, sae, iter(()))

    def step(self, x: Float[Tensor, "tokens d_in"]) -> None:
        self.trainer.maybe_reset_sparsity()
        self.trainer.step(x * self.scale)
        self.trainer.n_training_steps += 1

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "tokens d_in"]) -> Float[Tensor, "tokens d_in"]:
        sae = self.trainer.sae
        return sae.decode(sae.encode(x * self.scale)) / self.scale


class DictionaryLearning(Trainer):
    """dictionary_learning's TopKTrainer."""

    def __init__(self, setting: Setting, sample: Float[Tensor, "sample d_in"]) -> None:
        with _without("nnsight"):
            topk: Any = import_module("dictionary_learning.trainers.top_k")

        self.scale = 1 / float(sample.square().sum(dim=1).mean().sqrt())
        self.trainer = topk.TopKTrainer(
            steps=setting.steps,
            activation_dim=setting.d_in,
            dict_size=setting.n_features,
            k=setting.k,
            layer=0,
            lm_name="",
            lr=setting.learning_rate,
            warmup_steps=setting.warmup_steps,
            seed=setting.seed,
            device=setting.device,
        )
        self.steps = 0

    def step(self, x: Float[Tensor, "tokens d_in"]) -> None:
        self.trainer.update(self.steps, x * self.scale)
        self.steps += 1

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "tokens d_in"]) -> Float[Tensor, "tokens d_in"]:
        return self.trainer.ae(x * self.scale) / self.scale


class Sparsify(Trainer):
    """EleutherAI's sparsify: its SparseCoder, and of its trainer the lines that make a step (they are not a function there)."""

    def __init__(self, setting: Setting, sample: Float[Tensor, "sample d_in"]) -> None:
        coder: Any = import_module("sparsify.sparse_coder")
        config = import_module("sparsify.config").SparseCoderConfig(num_latents=setting.n_features, k=setting.k)
        sign_sgd: Any = import_module("sparsify.sign_sgd")
        schedulefree: Any = import_module("schedulefree")

        torch.manual_seed(setting.seed)
        torch.set_float32_matmul_precision("high")
        self.scale = 1 / float(sample.square().sum(dim=1).mean().sqrt())
        self.sae = coder.SparseCoder(setting.d_in, config, setting.device, torch.float32)
        self.sae.b_dec.data = (sample.to(setting.device) * self.scale).mean(0)
        rate = setting.learning_rate or 5e-3 / (setting.n_features / 2**14) ** 0.5
        self.optimizer = schedulefree.ScheduleFreeWrapper(sign_sgd.SignSGD(self.sae.parameters(), lr=rate), momentum=0.95)
        self.optimizer.train()
        self.idle = torch.zeros(setting.n_features, dtype=torch.long, device=setting.device)

    def step(self, x: Float[Tensor, "tokens d_in"]) -> None:
        self.sae.set_decoder_norm_to_unit_norm()
        out = self.sae(x * self.scale)
        out.fvu.backward()
        self.sae.remove_gradient_parallel_to_decoder_directions()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.idle += len(x)
        self.idle[out.latent_indices.flatten()] = 0

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "tokens d_in"]) -> Float[Tensor, "tokens d_in"]:
        self.optimizer.eval()
        return self.sae(x * self.scale).sae_out.float() / self.scale


def peers(device: str) -> dict[str, Callable[[Setting, Tensor], Trainer]]:
    """Peers by name that can run on a device.

    Raises
    ------
    SystemExit
        If one is not installed.
    """
    found: dict[str, Callable[[Setting, Tensor], Trainer]] = {
        "sae_lens": SAELens,
        "sae_lens_sparse": lambda setting, sample: SAELens(setting, sample, sparse=True),
        "dictionary_learning": DictionaryLearning,
    }
    needed = ["sae_lens", "dictionary_learning"]
    if device != "cpu":  # its kernels are for GPUs
        found["sparsify"] = Sparsify
        needed.append("sparsify")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"benchmarks.sae: not installed: {', '.join(missing)}; run: pip install --no-deps -r requirements-bench.txt")
    return found


@contextmanager
def _without(name: str) -> Iterator[None]:
    """While a peer is imported, an empty module for a package that its training step does not use (a logger, a model reader)."""
    if importlib.util.find_spec(name) is not None:
        yield
        return
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module)["__getattr__"] = lambda attribute: type(attribute, (), {})
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]
