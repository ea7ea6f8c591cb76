"""Steps from text to labelled features: stimulus, activations, codes, features, labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from jaxtyping import Float

from saebrain import features as feature_steps
from saebrain import labels as label_steps
from saebrain.atomic import write_json
from saebrain.codes import CodesFile
from saebrain.corpus import TOKENS_PER_ROW_GROUP
from saebrain.errors import InputError
from saebrain.lexicon import load_lexicon
from saebrain.models import LanguageModel, check_layers, load_model, resolve_device, unembedding
from saebrain.pipeline.checking import check_codes
from saebrain.pipeline.feature_table import top_words
from saebrain.pipeline.human_labels import with_people
from saebrain.pipeline.sae_source import sae_source
from saebrain.pipeline.timing import check_length, stated_samples
from saebrain.progress import Report
from saebrain.sae import formats
from saebrain.sae.quality import measure
from saebrain.shards import Shards, collect
from saebrain.spill import writing_codes
from saebrain.stimulus import check_words, join, read_words, speak
from saebrain.store import CONTEXTS_PER_ROW_GROUP, FEATURES_PER_ROW_GROUP, read_table, write_table
from saebrain.study import Study
from saebrain.taxonomy import load_codebook
from saebrain.tokens import tokenise

STATES_AT_ONCE = 4096
"""Tokens whose hidden states are in memory."""


def stimulus(study: Study, report: Report) -> None:
    """Write words.parquet: every run's words with their times, checked."""
    section = study.config.stimulus
    runs = []
    for number, run in enumerate(section.runs):
        path = study.resolve(run.source)
        if path.suffix == ".txt":
            if not path.is_file():
                raise InputError(f"{path}: no such text; mend `source` of run {run.name!r} in study.toml")
            words = speak(
                path.read_text(encoding="utf-8"),
                run=run.name,
                language=run.language,
                seed=section.seed + number,
                words_per_minute=section.words_per_minute,
                lead_in_s=section.lead_in_s,
            )
        else:
            words = read_words(path, run=run.name, language=run.language, tier=run.tier, strip=run.strip)
        if lengths := stated_samples(study):
            check_length(words, lengths[number], study.config.responses.tr_s)
        runs.append(words)
        report(number + 1, len(section.runs))
    table = pd.concat(runs, ignore_index=True)
    check_words(table)
    write_table(study.words, table)


def activations(study: Study, report: Report) -> None:
    """Write the hidden states of every run, and tokens.parquet with the surprisal of every token."""
    section = study.config.model
    words = read_table(study.words, "python -m saebrain stimulus")
    model = _load(study)
    check_layers(model, study.layers)
    tables = {run: tokenise(model.tokenizer, *join(group)) for run, group in words.groupby("run", sort=False)}
    documents = [table["token_id"].to_numpy() for table in tables.values()]
    text = hashlib.sha256(b"".join(ids.tobytes() for ids in documents)).hexdigest()[:16]
    shards = collect(
        model,
        documents,
        study.layers,
        study.activations,
        window=section.window,
        stride=section.stride,
        batch_tokens=section.batch_tokens,
        surprisal=True,
        shard_tokens=1,
        provenance={"runs": list(tables), "text": text, "source": section.source, "dtype": section.dtype},
        replace=True,
        report=report,
    )
    parts = [table.assign(run=run, surprisal_bits=shards.surprisal(n)) for n, (run, table) in enumerate(tables.items())]
    table = pd.concat(parts, ignore_index=True)[["run", "position", "token_id", "text", "word", "surprisal_bits"]]
    write_table(study.tokens, table, rows_per_group=TOKENS_PER_ROW_GROUP)


def codes(study: Study, report: Report) -> None:
    """Write codes.parquet, and how well the SAE reconstructs this study's own text."""
    sae = formats.read(sae_source(study)).on(resolve_device(study.config.model.device))
    shards = Shards.open(study.activations)
    check_fit(study, sae.d_in, sae.metadata, shards)
    layer = study.layer
    n_tokens = sum(shards.index["shard_tokens"])
    limit = float(sae.metadata.get("max_norm", np.inf))
    with writing_codes(study.features / "codes.parquet", sae.n_features) as spill:
        for feature, token, value in feature_steps.encode(sae, _states(shards, layer), n_tokens=n_tokens, report=report):
            spill.add(feature, token, value)
        quality = measure(sae, (_ordinary(states, limit).to(sae.b_dec.device) for states in _states(shards, layer)))
        verdict = check_codes(study, sae, quality, shards)
    about = {
        "n_features": sae.n_features,
        "k": getattr(sae, "k", None),
        "layer": layer,
        "model": shards.index["model"],
        "weights_sha256": sae.metadata["weights_sha256"],
    }
    write_json(study.features / "quality.json", {**vars(quality), **about, **verdict})


def check_fit(study: Study, d_in: int, metadata: dict[str, Any], shards: Shards) -> None:
    """Refuse a SAE that was not made for these hidden states.

    Raises
    ------
    InputError
        If its width or recorded layer differs from the study's.
    """
    if d_in != shards.d_model:
        raise InputError(
            f"SAE {study.config.sae}: made for width {d_in}, but {shards.index['model']} has width {shards.d_model}; choose another SAE or model"
        )
    layer = metadata.get("layer")
    if layer is not None and layer != study.layer:
        raise InputError(f"SAE {study.config.sae}: made for layer {layer}, but the study reads layer {study.layer}; change one of them in study.toml")


def features(study: Study, report: Report) -> None:
    """Write features.parquet (statistics, logit effects) and contexts.parquet."""
    sae = formats.read(sae_source(study))
    tokens = read_table(study.tokens, "python -m saebrain activations", ["run", "word", "text"])
    words = read_table(study.words, "python -m saebrain stimulus", ["run", "index", "word"])
    encoded = CodesFile(study.features / "codes.parquet", "python -m saebrain sae encode", n_features=sae.n_features)
    statistics, contexts = feature_steps.Statistics(encoded.index, len(tokens)), feature_steps.TopContexts(tokens)
    for part in encoded.parts():
        statistics.update(part)
        contexts.update(part)
        report(int(part.feature.max(initial=0)) + 1, 2 * sae.n_features)
    table = statistics.table()
    model = _load(study)
    effects = feature_steps.logit_effects(sae.W_dec, unembedding(model).cpu(), report=lambda done, total: report(total + done, 2 * total))
    for name, values in effects.items():
        table[name] = values.tolist()
    for name in ("promoted", "suppressed"):
        shown = _token_texts(model, effects[name])
        table[f"{name}_text"] = [[shown[token] for token in row] for row in effects[name].tolist()]
    strongest = contexts.table()
    first = strongest[strongest["rank"] == 0]
    table["peak"] = table["feature"].map(tokens["text"].iloc[first["token"]].str.strip(" ").set_axis(first["feature"]))
    table["top_words"] = table["feature"].map(top_words(strongest, tokens, words))
    write_table(study.features / "contexts.parquet", strongest, rows_per_group=CONTEXTS_PER_ROW_GROUP)
    write_table(study.features / "features.parquet", table, rows_per_group=FEATURES_PER_ROW_GROUP)


def labels(study: Study, report: Report) -> None:
    """Write labels.parquet: what each machine annotator says of each feature, and what people have said."""
    section = study.config.labels
    codebook = load_codebook(study.resolve(section.codebook))
    lexicon = load_lexicon(study.resolve(section.lexicon))
    tokens = read_table(study.tokens, "python -m saebrain activations")
    words = read_table(study.words, "python -m saebrain stimulus")
    contexts = read_table(study.features / "contexts.parquet", "python -m saebrain features")
    n_features = pq.read_metadata(study.features / "features.parquet").num_rows
    seen = label_steps.evidence(contexts, tokens, words, count=section.contexts)
    forms = {form for one in seen.values() for form in one.forms} | label_steps.CLOSED_CLASS
    for path in codebook.leaves():
        forms.update(label_steps.marked_words(codebook, path))
    report(1, 3)
    vectors = _word_vectors(_load(study), sorted(forms))
    report(2, 3)
    rules = {
        label_steps.FORMS: label_steps.by_forms(lexicon),
        label_steps.SIMILARITY: label_steps.by_similarity(codebook, vectors.__getitem__),
    }
    table = label_steps.annotate(seen, rules, n_features, min_contexts=section.min_contexts)
    write_table(study.labels, with_people(study, table.assign(codebook=codebook.version), codebook), rows_per_group=CONTEXTS_PER_ROW_GROUP)
    report(3, 3)


def read_quality(study: Study) -> dict[str, Any]:
    """What the codes step measured on this study's text."""
    return dict(json.loads((study.features / "quality.json").read_text(encoding="utf-8")))


def _load(study: Study) -> LanguageModel:
    section = study.config.model
    return _cached_model(section.source, section.device, section.dtype, section.prefix)


@lru_cache(maxsize=1)
def _cached_model(source: str, device: str, dtype: str, prefix: str) -> LanguageModel:
    """One model is kept: three steps of a demo build use it."""
    return load_model(source, device=device, dtype=dtype, prefix=prefix)


def _states(shards: Shards, layer: int) -> Iterator[Float[np.ndarray, "tokens d"]]:
    """All hidden states in order, some at a time. Each shard is opened anew for them: what is read of a map stays in memory until it is closed."""
    for number, length in enumerate(shards.index["shard_tokens"]):
        for first in range(0, length, STATES_AT_ONCE):
            yield shards.read(layer, number)[first : first + STATES_AT_ONCE].astype(np.float32)


def _ordinary(states: Float[np.ndarray, "tokens d"], limit: float) -> torch.Tensor:
    x = torch.from_numpy(np.asarray(states, np.float32))
    return x[x.norm(dim=1) <= limit]


def _token_texts(model: LanguageModel, ids: np.ndarray) -> dict[int, str]:
    return {int(token): model.tokenizer.decode([int(token)]) for token in np.unique(ids)}


def _word_vectors(model: LanguageModel, forms: list[str]) -> dict[str, Float[np.ndarray, " d_model"]]:
    """Input embedding of each word form (mean over its tokens, as written after a space), the mean over all forms taken off."""
    network: Any = model.network
    matrix = network.get_input_embeddings().weight.detach().float().cpu().numpy()
    vectors = np.stack([matrix[model.tokenizer(f" {form}", add_special_tokens=False)["input_ids"]].mean(axis=0) for form in forms])
    vectors -= vectors.mean(axis=0)
    return dict(zip(forms, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strict=True))
