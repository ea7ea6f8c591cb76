"""The encode step on the demo study: what was planted is found where it was planted, and nothing where nothing was."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from wordfreq import zipf_frequency

from saebrain import design, simulate
from saebrain.encoding.score import leave_one_run_out
from saebrain.errors import InputError, MissingStepError
from saebrain.maps import standardised
from saebrain.pipeline import steps
from saebrain.pipeline.cortical import best_category, selection_map
from saebrain.pipeline.encode import encode, encode_one
from saebrain.pipeline.feature_lists import save_list
from saebrain.pipeline.problem import Problem
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.results import read_result, result_folder
from saebrain.pipeline.selection import EmptySelection, subcategories
from saebrain.pipeline.summary import compute, encoding_figures, in_parcels
from saebrain.pipeline.timing import run_samples
from saebrain.progress import silent
from saebrain.store import read_table, write_table
from saebrain.study import Study
from saebrain.surface.atlas import parcel_means
from tests.studies import configure, copy_study, hashes, quiet

PACKAGE = Path(__file__).parents[2] / "saebrain"
EXPERIMENTS, SUBJECTS, VERTICES = 8, 3, 2
"""Null experiments, subjects in each, vertices drawn from each parcel."""


@pytest.fixture(scope="module")
def problem(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return Problem.load(Study.open(copy_study(demo_study, tmp_path_factory.mktemp("studies") / "study")))


@pytest.fixture(scope="module")
def planted(problem: Problem) -> np.ndarray:
    """r of each subcategory's features in the parcels it predicts, less that in all others: subcategories x subjects."""
    return np.stack([difference(problem, problem.study, name) for name in subcategories(problem.codebook)])


@pytest.fixture(scope="module")
def null(problem: Problem) -> np.ndarray:
    """The same where nothing was planted: subcategories x experiments x subjects.

    The features and kernels of the demo, every other of its alphas, and noise made as the demo's was, at a few vertices of every parcel.
    """
    rng = np.random.default_rng(0)
    resting, labels = simulate.resting_bold(), problem.atlas.labels
    inside = [np.flatnonzero((labels == parcel) & resting.any(axis=0)) for parcel in range(len(problem.atlas))]
    drawn = np.concatenate([rng.choice(vertices, min(VERTICES, len(vertices)), replace=False) for vertices in inside])
    lengths, alphas = problem.stimulus.run_lengths, problem.study.config.encoding.alphas[1::2]
    noise = [
        np.concatenate([standardised(simulate.phase_randomised(resting[:, drawn], rng)) for _ in lengths]) for _ in range(EXPERIMENTS * SUBJECTS)
    ]
    found = []
    for name in subcategories(problem.codebook):
        predicted = in_parcels(problem.atlas, problem.codebook.predicted(name))[drawn]
        scores = leave_one_run_out(problem.kernel(name), problem.nuisance, noise, problem.layout.folds, labels[drawn], alphas)
        found.append([score.r_features[predicted].mean() - score.r_features[~predicted].mean() for score in scores])
    return np.array(found).reshape(len(found), EXPERIMENTS, SUBJECTS)


def difference(problem: Problem, study: Study, name: str) -> np.ndarray:
    """From the results on disk, a value a subject."""
    predicted = in_parcels(problem.atlas, problem.codebook.predicted(name))
    r = read_result(study, name).r_features
    return np.nanmean(r[:, predicted], axis=1) - np.nanmean(r[:, (problem.atlas.labels >= 0) & ~predicted], axis=1)


def test_every_subcategory_is_predicted_best_where_it_was_planted(problem: Problem, planted: np.ndarray) -> None:
    assert planted.shape == (5, len(problem.measured.subjects))
    assert ((planted > 0).sum(axis=1) >= 2).all()


def test_noise_shows_no_such_difference(null: np.ndarray) -> None:
    """The criterion: over experiments, subjects and subcategories the mean is 0 within its own error.

    BOLD at rest is smooth in time and space, so that one difference (a subcategory in a subject) still scatters by about 0.02.
    """
    experiments = null.mean(axis=(0, 2))
    error = experiments.std(ddof=1) / np.sqrt(EXPERIMENTS)
    assert abs(experiments.mean()) < 4 * error
    assert experiments.std(ddof=1) < 0.015
    assert 0.005 < null.std() < 0.05


def test_what_was_planted_stands_out_from_noise(planted: np.ndarray, null: np.ndarray) -> None:
    """Each subcategory's difference (mean over subjects) is beyond all null experiments, and their mean is far beyond."""
    experiments = null.mean(axis=2)
    assert (planted.mean(axis=1) > experiments.max(axis=1)).all()
    overall = experiments.mean(axis=0)
    assert planted.mean() > overall.max()
    assert planted.mean() - overall.mean() > 8 * overall.std(ddof=1)


@pytest.fixture(scope="module")
def without_codes(demo_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The demo with one subject and strength 0, simulated where no SAE codes are."""
    folder = tmp_path_factory.mktemp("studies") / "null"
    copy_study(demo_study, folder, without=("responses", "truth", "encoding", "features"))
    configure(folder, simulation={"strength": 0.0, "subjects": 1})
    study = Study.open(folder)
    assert steps.run(study, STEPS["responses"], STEPS, quiet)
    return study


def test_truth_follows_the_words_alone(without_codes: Study, demo_study: Path) -> None:
    """Without any SAE code, and at another strength, the same signals and weights come out."""
    found = sorted((without_codes.folder / "truth").glob("*.npy"))
    assert [path.name for path in found] == [*(f"signals_{run}.npy" for run in sorted(without_codes.run_names)), "weights_sim-01.npy"]
    for path in found:
        np.testing.assert_allclose(np.load(path), np.load(demo_study / "truth" / path.name), atol=1e-9)


def test_responses_at_strength_zero_are_the_noise(without_codes: Study, problem: Problem) -> None:
    section = without_codes.config.simulation
    assert section is not None
    rng = np.random.default_rng(section.seed)
    predicted = {name: list(problem.codebook.predicted(name)) for name in subcategories(problem.codebook)}
    simulate.plant(["sim-01"], problem.atlas.labels, list(problem.atlas.parcels), predicted, rng)
    noise = simulate.phase_randomised(simulate.resting_bold(), rng)
    first = np.load(without_codes.responses / "sim-01" / f"{without_codes.run_names[0]}.npy")
    np.testing.assert_array_equal(first, noise)


def test_a_study_of_noise_shows_no_such_difference(null_study: Path, problem: Problem, planted: np.ndarray, null: np.ndarray) -> None:
    """End to end, with every vertex: one subject's difference is like one more draw from the null experiments' subjects, if of shorter runs."""
    found = np.mean([difference(problem, Study.open(null_study), name) for name in subcategories(problem.codebook)])
    subjects = null.mean(axis=0).ravel()
    assert abs(found - subjects.mean()) < 5 * subjects.std(ddof=1)
    assert abs(found) < planted.mean() / 4


def test_from_tables_to_r_by_another_way(null_study: Path, tmp_path: Path) -> None:
    """Words, tokens and codes joined by pandas, an explicit delayed design, scikit-learn's ridge; one alpha, so that none is chosen."""
    alpha, selection = 30.0, "semantic/emotion"
    folder = copy_study(null_study, tmp_path / "study", without=("truth", "encoding"))
    configure(folder, encoding={"alphas": [alpha], "trim_start_s": 0.0, "trim_end_s": 0.0})
    study = Study.open(folder)
    found = encode_one(study, selection)
    vertices = np.flatnonzero(np.isfinite(found.r[0]))[::400]

    words, tokens, labels = (read_table(path, "") for path in (study.words, study.tokens, study.labels))
    votes = labels.pivot(index="feature", columns="annotator", values="label")
    chosen = votes.index[(votes == selection).all(axis=1)]
    codes = read_table(study.features / "codes.parquet", "")
    codes = codes[codes["feature"].isin(chosen)].join(tokens[["run", "word"]], on="token")
    pooled = codes.groupby(["run", "word", "feature"])["value"].agg(lambda values: values.astype(float).sum()).unstack(fill_value=0)
    pooled = pooled.reindex(pd.MultiIndex.from_frame(words[["run", "index"]]), columns=chosen, fill_value=0).fillna(0)
    bits = tokens.groupby(["run", "word"])["surprisal_bits"].sum().reindex(pooled.index)
    bands = np.column_stack([np.ones(len(words)), words["word"].str.count(r"\w"), [zipf_frequency(word, "en") for word in words["word"]], bits])
    tr_s, samples = study.config.responses.tr_s, run_samples(study)[0]
    blocks, nuisance, y = [], [], []
    for run, group in words.groupby("run", sort=False):
        rows = group.index.to_numpy()
        x = ((np.arange(samples) + 0.5) * tr_s)[:, None] / tr_s - group["onset_s"].to_numpy() / tr_s
        lanczos = np.where(abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
        blocks.append(delays_of(lanczos @ pooled.to_numpy()[rows]))
        nuisance.append(delays_of(zscore(lanczos @ bands[rows])))
        y.append(zscore(np.load(study.responses / "sim-01" / f"{run}.npy")[:, vertices].astype(float)))
    X = np.hstack([unit_trace(blocks), unit_trace(nuisance)])
    r = np.zeros((2, len(y), y[0].shape[1]))
    run = np.repeat(np.arange(len(y)), samples)
    for held in range(len(y)):
        model = Ridge(alpha=alpha, fit_intercept=False).fit(X[run != held], np.concatenate(y)[run != held])
        own = model.coef_[:, : blocks[0].shape[1]]
        for row, prediction in enumerate((model.predict(X[run == held]), X[run == held, : own.shape[1]] @ own.T)):
            r[row, held] = (zscore(prediction) * y[held]).mean(axis=0)
    np.testing.assert_allclose(found.r[0, vertices], r[0].mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(found.r_features[0, vertices], r[1].mean(axis=0), atol=1e-3)
    assert found.info["n_features"] == len(chosen)


def delays_of(x: np.ndarray) -> np.ndarray:
    """Copies 2, 3, 4 and 5 samples later (2.8, 4.2, 5.6 and 7.0 s), centred."""
    x = x - x.mean(axis=0)
    out = np.hstack([np.vstack([np.zeros((d, x.shape[1])), x[:-d]]) for d in (2, 3, 4, 5)])
    return out - out.mean(axis=0)


def zscore(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def unit_trace(blocks: list[np.ndarray]) -> np.ndarray:
    X = np.concatenate(blocks)
    return X / np.sqrt((X**2).sum() / len(X))


def test_best_parcel_is_where_the_haemodynamic_course_correlates_most(problem: Problem) -> None:
    table = read_table(problem.study.features / "parcels.parquet", "")
    assert table["feature"].tolist() == list(range(len(problem.labels)))
    kernel = design.haemodynamic_response(np.arange(0, 32, problem.study.config.responses.tr_s))
    for feature in table["parcel_r"].nlargest(3).index:
        courses = np.split(problem.stimulus.courses(np.array([feature]), unit=False)[:, 0], 3)
        r = np.zeros((len(problem.measured.subjects), 3, len(problem.atlas)))
        for row, measured in enumerate(problem.measured.vertices.values()):
            for run, part in enumerate(np.split(parcel_means(measured, problem.atlas), 3)):
                course = np.convolve(courses[run], kernel)[: len(part)]
                r[row, run] = [np.corrcoef(course, column)[0, 1] for column in part.T]
        mean = r.mean(axis=(0, 1))
        assert table["parcel"][feature] == " ".join(problem.atlas.parcels[int(mean.argmax())])
        assert table["parcel_r"][feature] == pytest.approx(mean.max(), abs=1e-3)


def test_unknown_selection_is_refused_before_anything_is_read(null_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Problem, "load", None)
    with pytest.raises(InputError, match=r"label 'semantic/plaice': not in codebook .*did you mean 'semantic/place'"):
        encode_one(Study.open(null_study), "semantic/plaice")


def test_selections_are_filed_by_what_they_mean(null_study: Path, tmp_path: Path) -> None:
    """One folder however a selection is written, and another when a saved list has changed."""
    study = Study.open(copy_study(null_study, tmp_path / "study"))
    assert result_folder(study, "syntactic + semantic/place") == result_folder(study, "semantic/place+syntactic")
    save_list(study, "mine", [3, 4])
    before = result_folder(study, "list:mine")
    save_list(study, "mine", [3, 5])
    assert result_folder(study, "list:mine") != before
    assert result_folder(study, "features:3,5") != result_folder(study, "features:3,4")


def test_any_selection_can_be_scored(null_study: Path, tmp_path: Path) -> None:
    study = Study.open(copy_study(null_study, tmp_path / "study"))
    seen: list[tuple[int, int]] = []
    name = "semantic/place&density<0.01 + features:3"
    result = encode_one(study, name, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)  # two alphas, three runs
    assert result.info["selection"] == "density<0.01&semantic/place+features:3"
    assert result.info["n_features"] == len(Problem.load(study).select(name)) > 1
    assert encoding_figures(study, [name])["selections"][name]["r"] == pytest.approx(float(np.nanmean(result.r)), abs=0.1)


@pytest.fixture(scope="module")
def without_places(null_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study in which no feature is labelled semantic/place; what includes that label, and one more category, encoded anew."""
    study = Study.open(copy_study(null_study, tmp_path_factory.mktemp("studies") / "study"))
    for name in ("semantic", "semantic/place", "semantic/emotion"):
        shutil.rmtree(result_folder(study, name))
    labels = read_table(study.labels, "")
    write_table(study.labels, labels.assign(label=labels["label"].replace("semantic/place", "unclear")))
    encode(study, silent)
    return study


def test_category_without_features_is_reported_and_the_others_are_scored(without_places: Study, null_study: Path) -> None:
    absent = read_result(without_places, "semantic/place")
    assert absent.absent == "selection 'semantic/place': no feature bears this label; label some first, or choose another category"
    assert absent.info["n_features"] == 0 and np.isnan(absent.r).all() and absent.parcels["r"].isna().all()
    with_places = Study.open(null_study)
    np.testing.assert_allclose(read_result(without_places, "semantic/emotion").r, read_result(with_places, "semantic/emotion").r, atol=1e-5)
    before = {name: read_result(with_places, name).info["n_features"] for name in ("semantic", "semantic/place")}
    assert 0 < read_result(without_places, "semantic").info["n_features"] <= before["semantic"] - before["semantic/place"]
    with pytest.raises(EmptySelection, match="'semantic/place': no feature bears this label"):
        encode_one(without_places, "semantic/place")


def test_absent_category_stands_in_figures_without_r(without_places: Study) -> None:
    figures = compute(without_places)
    place = figures["subcategories"]["place"]
    assert place["absent"].startswith("selection 'semantic/place'") and place["r_predicted"] is None and place["by_subject"] == {}
    assert figures["subcategories"]["emotion"]["r_predicted"] is not None and figures["r_semantic"] is not None
    row = encoding_figures(without_places)["selections"]["semantic/place"]
    assert (row["n_features"], row["r"], row["r_by_subject"]) == (0, None, {"sim-01": None})


def test_absent_category_is_best_nowhere(without_places: Study) -> None:
    best = best_category(without_places, None, 0.0)
    assert "semantic/place" not in best.paths and len(best.paths) == 4
    assert best.measured.sum() > 18_000
    assert selection_map(without_places, "semantic/place").absent is not None


def test_results_of_another_layer_are_not_taken_for_this_one(null_study: Path, tmp_path: Path) -> None:
    """The codes of a layer that the records do not speak of must not be filed under the records' hash."""
    study = Study.open(copy_study(null_study, tmp_path / "study"))
    layer = study.config.model.layer
    (study.features).rename(study.features.with_name(str(layer + 1)))
    configure(study.folder, model={"layer": layer + 1})
    before = sorted(study.encoding.iterdir())
    for selection in ("semantic/place", "syntactic"):
        with pytest.raises(MissingStepError, match=r"up-to-date result of step 'labels'.*run: python -m saebrain labels"):
            encode_one(Study.open(study.folder), selection)
    assert sorted(study.encoding.iterdir()) == before


def test_responses_that_were_not_simulated_are_never_overwritten(null_study: Path, tmp_path: Path) -> None:
    folder = copy_study(null_study, tmp_path / "study")
    (folder / "responses" / "sub-01").mkdir()
    (folder / "responses" / "sub-01" / "run.npy").write_bytes(b"months of work")
    configure(folder, simulation={"seed": 1})
    before = hashes(folder / "responses")
    with pytest.raises(InputError, match=r"holds 'sub-01', which was not simulated; move it away, or remove \[simulation\]"):
        steps.run(Study.open(folder), STEPS["responses"], STEPS, quiet)
    assert hashes(folder / "responses") == before


def test_lexicon_without_a_subcategory_is_refused(null_study: Path, tmp_path: Path) -> None:
    folder = copy_study(null_study, tmp_path / "study")
    (folder / "lexicon.toml").write_text('version = "1"\n[forms]\n"semantic/place" = ["harbour"]\n')
    configure(folder, simulation={"lexicon": "lexicon.toml"})
    before = hashes(folder / "responses")
    with pytest.raises(InputError, match=r"lexicon lexicon\.toml: no words for semantic/social, semantic/action.*; list some"):
        steps.run(Study.open(folder), STEPS["responses"], STEPS, quiet)
    assert hashes(folder / "responses") == before


def test_nothing_but_the_simulation_names_the_truth() -> None:
    """The folder is written by the responses step and read by tests and pages: no other module of the backend has its name."""
    named = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        strings = [node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)]
        if any(isinstance(value, str) and re.search(r"(^|/)(truth|weights_(?!sha256$)|signals_)", value) for value in strings):
            named[str(path.relative_to(PACKAGE))] = True
    backend = [name for name in named if not name.startswith("ui/")]
    assert backend == ["pipeline/responses.py"]
    source = (PACKAGE / backend[0]).read_text(encoding="utf-8")
    assert not re.search(r"read_array|np\.load|read_text|read_bytes|open\(", source)
