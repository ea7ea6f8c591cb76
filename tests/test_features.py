"""Codes, statistics, contexts and logit effects, against plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from jaxtyping import Float

from saebrain import features
from saebrain.codes import Index, SparseCodes
from saebrain.errors import InputError
from saebrain.features import HISTOGRAM_BINS, Statistics, TopContexts, logit_effects
from saebrain.progress import Report, silent
from saebrain.sae.topk import TopK
from tests import sparse

N_TOKENS, N_FEATURES = 400, 12
NEVER, ONCE = 5, 8


def random_codes(seed: int = 0) -> tuple[Float[np.ndarray, "tokens features"], SparseCodes]:
    """Random codes, dense and sparse; one feature is never active, one at a single token."""
    rng = np.random.default_rng(seed)
    dense = rng.gamma(2.0, 1.0, (N_TOKENS, N_FEATURES)) * (rng.random((N_TOKENS, N_FEATURES)) < rng.uniform(0.02, 0.6, N_FEATURES))
    dense = dense.astype(np.float16)
    dense[:, [NEVER, ONCE]] = 0
    dense[17, ONCE] = 3.5
    token, feature = np.nonzero(dense)
    return dense, sparse.arrange(feature, token, dense[token, feature], N_FEATURES)


def statistics(codes: SparseCodes, n_tokens: int, part: int = 1000) -> pd.DataFrame:
    """Gathered from parts of so many codes."""
    gathered = Statistics(Index.of(codes), n_tokens)
    for codes_ in sparse.split(codes, part):
        gathered.update(codes_)
    return gathered.table()


def top_contexts(codes: SparseCodes, tokens: pd.DataFrame, part: int = 1000, **options: int) -> pd.DataFrame:
    """Gathered from parts of so many codes."""
    gathered = TopContexts(tokens, **options)
    for codes_ in sparse.split(codes, part):
        gathered.update(codes_)
    return gathered.table()


def encode(sae: TopK, batches: list[Float[np.ndarray, "tokens d"]], *, n_tokens: int, report: Report = silent) -> SparseCodes:
    """All codes at once."""
    feature, token, value = (np.concatenate(arrays) for arrays in zip(*features.encode(sae, batches, n_tokens=n_tokens, report=report), strict=True))
    assert value.dtype == np.float16
    assert (np.diff(token) >= 0).all()
    return sparse.arrange(feature, token, value, sae.n_features)


def random_tokens(seed: int = 0) -> pd.DataFrame:
    """Tokens of three runs; words of one to three tokens, numbered from 0 in every run."""
    rng = np.random.default_rng(seed)
    parts = []
    for run, length in (("b", 150), ("a", 7), ("c", 243)):
        word = np.repeat(np.arange(length), rng.integers(1, 4, length))[:length]
        parts.append(pd.DataFrame({"run": run, "position": np.arange(length), "word": word}))
    return pd.concat(parts, ignore_index=True)


def random_sae(*, scale: float = 1.0, d: int = 6, n: int = 20, k: int = 4, **metadata: float) -> TopK:
    generator = torch.Generator().manual_seed(0)
    W_enc, b_enc, W_dec, b_dec = (torch.randn(*shape, generator=generator) for shape in ((d, n), (n,), (n, d), (d,)))
    return TopK(k=k, W_enc=scale * W_enc, b_enc=b_enc, W_dec=W_dec, b_dec=b_dec, metadata=metadata)


def states(n: int = 50) -> Float[np.ndarray, "tokens d"]:
    return np.random.default_rng(1).normal(size=(n, 6)).astype(np.float32)


# encode


def dense_codes(sae: TopK, x: Float[np.ndarray, "tokens d"]) -> Float[np.ndarray, "tokens features"]:
    z = (x.astype(np.float64) - sae.b_dec.numpy()) @ sae.W_enc.numpy() + sae.b_enc.numpy()
    kept = np.argsort(-z, axis=1)[:, : sae.k]
    f = np.zeros_like(z)
    np.put_along_axis(f, kept, np.maximum(np.take_along_axis(z, kept, axis=1), 0), axis=1)
    return f


def test_codes_of_batches_are_those_of_the_dense_formula() -> None:
    sae, x = random_sae(), states()
    seen: list[tuple[int, int]] = []
    codes = encode(sae, [x[:20], x[20:21], x[21:]], n_tokens=50, report=lambda done, total: seen.append((done, total)))
    result = np.zeros((50, 20))
    result[codes.token, codes.feature] = codes.value
    np.testing.assert_allclose(result, dense_codes(sae, x), rtol=2e-3, atol=1e-3)
    assert (codes.value > 0).all()
    assert seen == [(20, 50), (21, 50), (50, 50)]


def test_tokens_above_the_norm_limit_get_no_codes() -> None:
    x = states()
    norms = np.linalg.norm(x, axis=1)
    limit = float(np.median(norms))
    codes = encode(random_sae(max_norm=limit), [x], n_tokens=50)
    assert set(codes.token) == set(np.flatnonzero(norms <= limit))


def test_an_activation_that_rounds_to_zero_is_none() -> None:
    sae = TopK(k=1, W_enc=torch.eye(2), b_enc=torch.zeros(2), W_dec=torch.eye(2), b_dec=torch.zeros(2))
    codes = encode(sae, [np.array([[1e-9, -1.0], [0.0, 0.5]], np.float32)], n_tokens=2)
    assert (codes.token.tolist(), codes.feature.tolist(), codes.value.tolist()) == ([1], [1], [0.5])


def test_an_activation_beyond_half_precision_is_refused() -> None:
    with pytest.raises(InputError, match=r"an activation of [\d.]+e\+\d+ does not fit float16; write a limit .* metadata\.max_norm"):
        encode(random_sae(scale=1e5), [states()], n_tokens=50)
    encode(random_sae(scale=1e5, max_norm=1e-3), [states()], n_tokens=50)


def test_large_batches_are_encoded_some_tokens_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sae, x = random_sae(), states()
    expected = encode(sae, [x], n_tokens=50)
    monkeypatch.setattr(features, "PREACTIVATIONS", 8 * 20)
    seen: list[int] = []
    codes = encode(sae, [x], n_tokens=50, report=lambda done, total: seen.append(done))
    assert seen == [8, 16, 24, 32, 40, 48, 50]
    np.testing.assert_array_equal(codes.feature, expected.feature)
    np.testing.assert_array_equal(codes.token, expected.token)
    np.testing.assert_allclose(codes.value, expected.value, rtol=2e-3)


def test_a_text_without_tokens_has_no_codes() -> None:
    assert list(features.encode(random_sae(), [], n_tokens=0)) == []
    (nothing,) = features.encode(random_sae(max_norm=1e-6), [states()], n_tokens=50)
    assert [len(array) for array in nothing] == [0, 0, 0]


# statistics


PARTS = pytest.mark.parametrize("part", [1, 13, 1000])


@PARTS
def test_statistics_are_those_of_the_dense_codes(part: int) -> None:
    dense, codes = random_codes()
    table = statistics(codes, N_TOKENS, part)
    assert table["feature"].tolist() == list(range(N_FEATURES))
    for feature, column in enumerate(dense.T.astype(np.float64)):
        row, active = table.loc[feature], column[column > 0]
        assert row["active"] == len(active)
        assert row["density"] == pytest.approx(len(active) / N_TOKENS)
        if len(active):
            assert row["mean"] == pytest.approx(active.mean(), rel=1e-6)
            assert row["max"] == active.max()
            expected, _ = np.histogram(active, bins=HISTOGRAM_BINS, range=(0, active.max()))
            assert row["histogram"] == expected.tolist()
        else:
            assert (feature, row["mean"], row["max"], row["histogram"]) == (NEVER, 0, 0, [])


def test_statistics_of_a_single_activation() -> None:
    row = statistics(random_codes()[1], N_TOKENS).loc[ONCE]
    assert (row["active"], row["mean"], row["max"], sum(row["histogram"]), row["histogram"][-1]) == (1, 3.5, 3.5, 1, 1)


# contexts


@PARTS
def test_contexts_are_the_strongest_activations_at_different_words(part: int) -> None:
    dense, codes = random_codes()
    tokens = random_tokens()
    count, before, after = 6, 9, 4
    table = top_contexts(codes, tokens, part, count=count, before=before, after=after)
    expected = []
    for feature, column in enumerate(dense.T):
        words: set[tuple[str, int]] = set()
        for token in np.lexsort((np.arange(N_TOKENS), -column))[: (column > 0).sum()]:
            word = (tokens.at[token, "run"], int(tokens.at[token, "word"]))
            if word in words or len(words) == count:
                continue
            run = np.flatnonzero(tokens["run"] == word[0])
            expected.append((feature, len(words), token, max(token - before, run[0]), min(token + after, run[-1]) + 1, column[token]))
            words.add(word)
    assert list(table.itertuples(index=False, name=None)) == expected
    assert NEVER not in set(table["feature"])
    assert (table["feature"] == ONCE).sum() == 1


def test_contexts_do_not_cross_runs() -> None:
    tokens = random_tokens()
    table = top_contexts(random_codes()[1], tokens, count=50, before=30, after=30)
    run = tokens["run"].to_numpy()
    assert all((run[row.start : row.stop] == run[row.token]).all() for row in table.itertuples())
    assert (table.groupby("feature")["token"].apply(lambda peaks: tokens.loc[peaks, ["run", "word"]].duplicated().sum()) == 0).all()


def test_equal_words_of_different_runs_are_different_words() -> None:
    tokens = pd.DataFrame({"run": ["a", "a", "b"], "word": [0, 0, 0]})
    codes = sparse.arrange(np.zeros(3, int), np.arange(3), np.array([1.0, 3.0, 2.0]), 1)
    assert top_contexts(codes, tokens)["token"].tolist() == [1, 2]


def test_a_feature_active_at_very_many_words_has_as_many_contexts_as_others() -> None:
    n = 70_000  # more than int16 can count
    tokens = pd.DataFrame({"run": "a", "word": np.arange(n)})
    codes = sparse.arrange(np.zeros(n, int), np.arange(n), np.linspace(1, 2, n), 1)
    table = top_contexts(codes, tokens, count=3)
    assert table["rank"].tolist() == [0, 1, 2]
    assert table["rank"].dtype == np.int16


def test_tables_of_no_codes_at_all() -> None:
    none = sparse.join([], 3)
    table = statistics(none, 10)
    assert table["active"].tolist() == [0, 0, 0]
    contexts = top_contexts(none, random_tokens())
    assert contexts.empty
    full = top_contexts(random_codes()[1], random_tokens())
    assert contexts.dtypes.tolist() == full.dtypes.tolist()
    assert full.dtypes.astype(str).tolist() == ["int32", "int16", "int64", "int64", "int64", "float32"]


def test_a_word_on_the_border_of_two_parts_is_one_context() -> None:
    """Its two tokens come in different parts, the stronger one in the second; then in the first."""
    tokens = pd.DataFrame({"run": "a", "word": [0, 1, 1, 2]})
    for values, peak in (([1.0, 2.0, 3.0, 2.5], 2), ([1.0, 3.0, 2.0, 2.5], 1)):
        codes = sparse.arrange(np.zeros(4, int), np.arange(4), np.array(values), 1)
        assert top_contexts(codes, tokens, 2, count=3)["token"].tolist() == [peak, 3, 0]


# logit effects


def test_logit_effects_are_those_of_the_full_product() -> None:
    generator = torch.Generator().manual_seed(0)
    decoder, output = torch.randn(600, 8, generator=generator), torch.randn(50, 8, generator=generator)
    seen: list[tuple[int, int]] = []
    effects = logit_effects(decoder, output, count=4, report=lambda done, total: seen.append((done, total)))
    dense = decoder.double().numpy() @ output.double().numpy().T
    dense -= dense.mean(axis=1, keepdims=True)
    order = np.argsort(dense, axis=1)
    for name, ids in (("promoted", order[:, :-5:-1]), ("suppressed", order[:, :4])):
        np.testing.assert_array_equal(effects[name], ids)
        np.testing.assert_allclose(effects[f"{name}_effect"], np.take_along_axis(dense, ids, axis=1), rtol=1e-4, atol=1e-5)
        assert [str(effects[key].dtype) for key in (name, f"{name}_effect")] == ["int32", "float32"]
    assert seen == [(512, 600), (600, 600)]
