"""From text to labelled features with a tiny model: every step, and what changes in study.toml do to it."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from saebrain.activations import hidden_states
from saebrain.errors import InputError
from saebrain.models import load_model
from saebrain.pipeline import language
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.steps import in_order, run
from saebrain.sae import formats
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.topk import TopK
from saebrain.shards import Shards
from saebrain.spill import writing_codes
from saebrain.store import FeatureStore, read_table
from saebrain.study import Study
from tests import tiny
from tests.studies import configure, hashes, quiet

N_FEATURES, K = 40, 4
TEXTS = {
    "walk": "The mother went over the bridge to the harbour. Forty-two boats lay there, and 17 had sunk! She wept for her brother and laughed.",
    "home": "“Nobody ran home,” he said. The boys carried the lamp down to the quay – three times – and feared the sea.",
}
TOML = """
title = "Tiny"
sae = "sae"
sae_check = "off"

[model]
source = "{model}"
layer = 2
window = 32
stride = 24
device = "cpu"

[stimulus]
runs = [{{ name = "walk", source = "walk.txt" }}, {{ name = "home", source = "home.txt" }}]

[responses]
tr_s = 1.0
samples = 60
"""


def sae(**metadata: Any) -> TopK:
    g = torch.Generator().manual_seed(0)
    W_dec = torch.nn.functional.normalize(torch.randn(N_FEATURES, tiny.D_MODEL, generator=g), dim=1)
    b_enc, b_dec = torch.zeros(N_FEATURES), torch.zeros(tiny.D_MODEL)
    return TopK(k=K, W_enc=W_dec.T.contiguous(), b_enc=b_enc, W_dec=W_dec, b_dec=b_dec, metadata=metadata)


def narrow_sae() -> TopK:
    return TopK(k=1, W_enc=torch.eye(3), b_enc=torch.zeros(3), W_dec=torch.eye(3), b_dec=torch.zeros(3))


def make(folder: Path, *names: str) -> list[str]:
    """Run the language steps of a study; returns those that ran."""
    opened = Study.open(folder)
    wanted = [STEPS[name] for name in names] or list(in_order(STEPS, "labels"))
    return [step.name for step in wanted if run(opened, step, STEPS, quiet)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("models") / "llama", "llama")


@pytest.fixture(scope="module")
def finished(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for name, text in TEXTS.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    (folder / "study.toml").write_text(TOML.format(model=model), encoding="utf-8")
    formats.write(sae(layer=2), folder / "sae")
    assert make(folder) == ["stimulus", "activations", "codes", "features", "labels"]
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, which a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "study"))


def tokens(folder: Path) -> Any:
    return read_table(folder / "tokens.parquet", "")


def test_tokens_and_states_are_those_of_the_text(finished: Path, model: Path) -> None:
    study, table = Study.open(finished), tokens(finished)
    loaded = load_model(str(model), device="cpu")
    shards = Shards.open(study.activations)
    words = read_table(study.words, "")
    assert shards.index["runs"] == list(TEXTS)
    for number, (run_name, text) in enumerate(TEXTS.items()):
        rows = table[table["run"] == run_name]
        assert "".join(rows["text"]) == text
        assert rows["word"].max() == (words["run"] == run_name).sum() - 1
        ids = np.array(loaded.tokenizer(text)["input_ids"])
        assert rows["token_id"].tolist() == ids.tolist() == shards.tokens(number).tolist()
        states = hidden_states(loaded, [ids], [2], window=32, stride=24, surprisal=True)
        assert states.surprisal is not None
        np.testing.assert_allclose(rows["surprisal_bits"], states.surprisal, rtol=1e-4)
        np.testing.assert_allclose(shards.read(2, number), states.layers[2], rtol=2e-3, atol=1e-3)


def test_feature_tables_belong_together(finished: Path) -> None:
    study, table = Study.open(finished), tokens(finished)
    store = FeatureStore(study.features, study.tokens, study.labels)
    features = store.features()
    assert len(features) == N_FEATURES
    assert features["active"].sum() == sum(len(store.codes(feature)[0]) for feature in range(N_FEATURES))
    quality = language.read_quality(study)
    assert quality["n_tokens"] == len(table)
    assert quality["l0"] == pytest.approx(features["active"].sum() / len(table))
    assert (quality["layer"], quality["k"], quality["n_features"]) == (2, K, N_FEATURES)
    assert {"machine:forms", "machine:similarity"} < set(features)
    assert set(read_table(study.labels, "")["codebook"]) != {None}


def test_another_layer_replaces_the_states(folder: Path) -> None:
    configure(folder, model={"layer": 3})
    formats.write(sae(layer=3), folder / "sae")
    assert make(folder) == ["activations", "codes", "features", "labels"]
    assert Shards.open(folder / "activations").layers == [3]
    assert not list((folder / "activations" / "layer_02").glob("*"))


def test_another_text_of_as_many_tokens_is_read(folder: Path) -> None:
    """Shards of equal lengths must not pass for those of the new text."""
    before = Shards.open(folder / "activations")
    states = before.read(2, 0)[:].copy()
    (folder / "walk.txt").write_text(TEXTS["walk"].replace("17", "18"), encoding="utf-8")
    assert make(folder)[:2] == ["stimulus", "activations"]
    after = Shards.open(folder / "activations")
    assert after.index["shard_tokens"] == before.index["shard_tokens"]
    assert after.tokens(0).tolist() == tokens(folder)["token_id"].tolist()[: len(states)]
    assert np.abs(after.read(2, 0) - states).max() > 0.1


def test_another_precision_is_read(folder: Path) -> None:
    before = Shards.open(folder / "activations").read(2, 0)[:].copy()
    configure(folder, model={"dtype": "bf16"})
    assert make(folder, "activations") == ["activations"]
    assert (Shards.open(folder / "activations").read(2, 0) != before).any()


def test_a_lost_shard_is_read_again(folder: Path) -> None:
    before = hashes(folder / "activations")
    (folder / "activations" / "surprisal" / "00001.npy").unlink()
    assert make(folder) == ["activations"]
    assert hashes(folder / "activations") == before


def test_the_results_depend_on_the_inputs_alone(folder: Path) -> None:
    before = hashes(folder)
    for name in ("activations", "features", "steps"):
        shutil.rmtree(folder / name)
    assert len(make(folder)) == 5
    after = hashes(folder)
    records = {f"steps/{place}{name}.json" for name in STEPS for place in ("", "2/")}
    assert {path for path in before if before[path] != after[path]} <= records  # they hold the time


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (narrow_sae(), "made for width 3, but llama has width 16; choose another"),
        (sae(layer=15), "made for layer 15, but the study reads layer 2; change one of them in study.toml"),
    ],
)
def test_a_sae_of_another_model_or_layer_is_refused(folder: Path, other: TopK, message: str) -> None:
    formats.write(other, folder / "sae")
    with pytest.raises(InputError, match=f"SAE sae: {message}"):
        make(folder, "codes")


def test_a_sae_whose_limit_leaves_no_token_is_refused(folder: Path) -> None:
    formats.write(sae(layer=2, max_norm=1e-3), folder / "sae")
    with pytest.raises(InputError, match="0 tokens with an ordinary norm"):
        make(folder, "codes")
    assert not (folder / "steps/2/codes.json").exists()


def test_long_texts_are_read_and_written_a_few_tokens_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """States in slices that do not end with a run, codes in many chunks: the tables are the same."""
    names = ("codes", "features", "contexts")
    tables = {name: read_table(folder / "features" / "2" / f"{name}.parquet", "") for name in names}
    monkeypatch.setattr(language, "STATES_AT_ONCE", 7)
    monkeypatch.setattr(language, "writing_codes", partial(writing_codes, codes_at_once=50))
    for name in names:
        (folder / "features" / "2" / f"{name}.parquet").unlink()
    assert make(folder, "codes", "features") == ["codes", "features"]
    for name, table in tables.items():
        found = read_table(folder / "features" / "2" / f"{name}.parquet", "")
        # Products of matrices of other sizes may differ in the last bit.
        pd.testing.assert_frame_equal(found.drop(columns="histogram", errors="ignore"), table.drop(columns="histogram", errors="ignore"), rtol=2e-3)


def test_a_sae_without_k_is_encoded_too(folder: Path) -> None:
    """JumpReLU: as many features are active as pass their thresholds."""
    top, threshold = sae(layer=2), torch.full((N_FEATURES,), 0.5)
    other = JumpReLU(W_enc=top.W_enc, b_enc=top.b_enc, W_dec=top.W_dec, b_dec=top.b_dec, threshold=threshold, metadata=top.metadata)
    formats.write(other, folder / "sae")
    assert make(folder, "codes", "features") == ["codes", "features"]
    codes = read_table(folder / "features" / "2" / "codes.parquet", "")
    assert codes["value"].min() >= 0.5
    assert codes.groupby("token").size().nunique() > 1
    assert language.read_quality(Study.open(folder))["k"] is None


def test_tokens_above_the_limit_are_left_out_of_quality_too(folder: Path) -> None:
    shards = Shards.open(folder / "activations")
    norms = np.linalg.norm(np.concatenate([shards.read(2, n) for n in range(2)]).astype(np.float32), axis=1)
    limit = float(np.median(norms))
    formats.write(sae(layer=2, max_norm=limit), folder / "sae")
    assert make(folder, "codes") == ["codes"]
    quality = json.loads((folder / "features" / "2" / "quality.json").read_text(encoding="utf-8"))
    assert quality["n_tokens"] == (norms <= limit).sum()
    assert set(read_table(folder / "features" / "2" / "codes.parquet", "")["token"]) <= set(np.flatnonzero(norms <= limit))


def test_an_unknown_layer_is_refused_before_anything_is_written(folder: Path) -> None:
    configure(folder, model={"layer": 9})
    before = hashes(folder / "activations")
    with pytest.raises(InputError, match="unknown layer 9: llama has layers 0"):
        make(folder, "activations")
    assert hashes(folder / "activations") == before


def test_a_run_longer_than_its_responses_is_refused(folder: Path) -> None:
    configure(folder, responses={"samples": 10})
    with pytest.raises(InputError, match=r"run 'walk': last word at [\d.]+ s, but its responses end at 10\.0 s; check word times"):
        make(folder, "stimulus")


def test_a_missing_text_is_named(folder: Path) -> None:
    (folder / "home.txt").unlink()
    with pytest.raises(InputError, match=r"home\.txt: no such text; mend `source` of run 'home' in study\.toml"):
        make(folder, "stimulus")
