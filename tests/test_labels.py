"""The machine annotators, on evidence made by hand."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from jaxtyping import Float

from saebrain import labels as module
from saebrain.errors import InputError
from saebrain.labels import (
    FORMS,
    FUNCTION,
    LEAD,
    NEAR,
    SIMILARITY,
    Evidence,
    Label,
    agreed,
    annotate,
    by_forms,
    by_similarity,
    evidence,
    marked_words,
)
from saebrain.lexicon import Lexicon
from saebrain.taxonomy import Category, Codebook

LEXICON = Lexicon("1", ("semantic/place", "semantic/social"), {"harbour": "semantic/place", "bridge": "semantic/place", "mother": "semantic/social"})


def category(path: str, *examples: str) -> Category:
    return Category(path=path, name=path, definition="d", include=examples or ("x",), exclude=("x",))


def codebook(*categories: Category) -> Codebook:
    return Codebook.model_validate({"version": "1", "title": "small", "category": categories})


CODEBOOK = codebook(
    category("syntactic"),
    category("semantic"),
    category("semantic/place", "over the *harbour*, to the *Old bridge's* end", "on the *quay*"),
    category("semantic/social", "her *mother* wept"),
)


def seen(*words: str, weights: list[float] | None = None, opens: list[bool] | None = None) -> Evidence:
    w = np.array(weights or [1.0] * len(words))
    return Evidence(words, w / w.sum(), opens or [False] * len(words))


# evidence


def study_tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Two runs; every word is two tokens; contexts of features 4 and 9."""
    texts = {"a": ["She", "wept.", "“Nobody", "came.”", "Then", "(rain…)", "fell"], "b": ["Boats", "sank!'", "Why?", "[Wind.]", "And", "so"]}
    words = pd.concat([pd.DataFrame({"run": run, "index": range(len(text)), "word": text}) for run, text in texts.items()], ignore_index=True)
    tokens = pd.DataFrame({"run": np.repeat(words["run"], 2), "word": np.repeat(words["index"], 2)}).reset_index(drop=True)
    contexts = pd.DataFrame(
        [(4, 0, 2, 6.0), (4, 1, 15, 3.0), (4, 2, 25, 1.0), (4, 3, 0, 0.5), (9, 0, 20, 2.0)],
        columns=["feature", "rank", "token", "value"],
    )
    return contexts, tokens, words


def test_evidence_is_the_words_at_the_strongest_activations() -> None:
    found = evidence(*study_tables(), count=3)
    assert sorted(found) == [4, 9]
    assert list(found[4].words) == ["wept.", "Boats", "so"]
    np.testing.assert_allclose(found[4].weights, [0.6, 0.3, 0.1])
    assert list(found[4].opens) == [False, True, False]
    assert list(found[9].words) == ["[Wind.]"]


def test_a_word_opens_a_sentence_behind_any_closing_mark_and_at_the_start_of_a_run() -> None:
    _, tokens, words = study_tables()
    every = pd.DataFrame({"feature": 0, "rank": 0, "token": np.arange(0, len(tokens), 2), "value": 1.0})
    opens = evidence(every, tokens, words, count=1)[0].opens
    first = [word for word, open in zip(words["word"], opens, strict=True) if open]
    assert first == ["She", "“Nobody", "Then", "fell", "Boats", "Why?", "[Wind.]", "And"]


# rules


@pytest.mark.parametrize(
    ("case", "label", "confidence"),
    [
        (seen("harbour,", "Bridge", "ran", "mother"), "semantic/place", 0.5),
        (seen("harbour,", "Bridge", "ran", "mother", weights=[1, 1, 5, 5]), "semantic", 7 / 12),
        (seen("harbour", "mother", "ran", "sat", weights=[3, 3, 2, 2]), "semantic", 0.6),
        (seen("of", "The", "harbour", "ran"), "syntactic", 0.5),
        (seen("lamp", "lamp,", "Lamp's", "ran", "sat"), "lexical", 0.6),
        (seen("the", "the", "the", "ran"), "syntactic", 0.75),
        (seen("Then", "Rain", "ran", "sat", opens=[True, True, False, False]), "positional-discourse", 0.5),
        (seen("Harbour", "Bridge", opens=[True, True]), "semantic/place", 1.0),  # the lexicon comes first
        (seen("The", "The", "ran", opens=[True, True, False]), "positional-discourse", 2 / 3),  # before closed-class words
        (seen("ran", "sat", "lay", "harbour"), "unclear", 0.75),
    ],
)
def test_forms(case: Evidence, label: str, confidence: float) -> None:
    found = by_forms(LEXICON)(case)
    assert found.label == label
    assert found.confidence == pytest.approx(confidence)
    assert found.reason


def unit(*components: float) -> Float[np.ndarray, " d_model"]:
    return np.array(components) / np.linalg.norm(components)


def embedding(form: str) -> Float[np.ndarray, " d_model"]:
    """Directions: places, people, grammar, anything else."""
    place, social, grammar, other = np.eye(4)
    if form in module.CLOSED_CLASS:
        return grammar
    known = {"harbour": place, "old": place, "bridge": place, "quay": place, "mother": social, "aunt": social, "crew": unit(1, 1, 0, 0)}
    return known.get(form, other)


def similar(case: Evidence, probe: Float[np.ndarray, " d_model"] | None = None) -> Label:
    """What the rule says, with an embedding of the word "probe"."""

    def vector(form: str) -> Float[np.ndarray, " d_model"]:
        return probe if form == "probe" and probe is not None else embedding(form)

    return by_similarity(CODEBOOK, vector)(case)


@pytest.mark.parametrize(
    ("case", "label"),
    [
        (seen("quay", "Bridge,", "mother"), "semantic/place"),
        (seen("aunt", "mother"), "semantic/social"),
        (seen("quay", "aunt", weights=[1, 2]), "semantic/social"),  # weighted by activation
        (seen("crew", "quay", "aunt"), "semantic"),
        (seen("of", "the", "quay"), "syntactic"),
        (seen("ran", "sat"), "unclear"),
        (seen("ran", "Ran,", "ran"), "lexical"),
        (seen("quay", "quay", "Quay,"), "lexical"),  # one word is no category
        (seen("quay", "aunt", opens=[True, True]), "positional-discourse"),
    ],
)
def test_similarity(case: Evidence, label: str) -> None:
    found = similar(case)
    assert found.label == label
    assert 0 <= found.confidence <= 1
    assert found.reason


def test_limits_of_similarity() -> None:
    """Cosines are set by hand just on either side of each limit; a second word keeps the evidence from being a single form."""
    case = seen("probe", "probe", "probe", "ran", weights=[1, 1, 1, 1e-9])
    two_forms = Evidence(["probe", "Probe's", "ran"], np.array([0.4, 0.3, 0.3]), [False] * 3)

    def cosines(place: float, social: float, grammar: float) -> Label:
        """The mean of probe (0.7) and ran (0.3) has these cosines; what is left lies along a direction of its own."""
        rest = np.sqrt(1 - place**2 - social**2 - grammar**2)
        wanted = np.array([place, social, grammar, rest, 0.0])
        return by_similarity(CODEBOOK, lambda form: wanted if form in {"probe", "ran"} else np.append(embedding(form), 0.0))(two_forms)

    assert cosines(0.1, 0.0, FUNCTION + 0.01).label == "syntactic"
    assert cosines(0.5, 0.0, FUNCTION - 0.01).label == "semantic/place"
    assert cosines(NEAR - 0.01, 0.0, 0.0).label == "unclear"
    assert cosines(NEAR + 0.01, 0.0, 0.0).label == "semantic/place"
    assert cosines(0.4, 0.4 - LEAD - 0.01, 0.0).label == "semantic/place"
    assert cosines(0.4, 0.4 - LEAD + 0.01, 0.0).label == "semantic"
    assert similar(case, unit(1, 0, 0, 0)).label == "lexical"


def test_similarity_takes_the_closed_class_direction_out() -> None:
    """A place word that leans to grammar is compared by what is left."""
    found = similar(seen("probe", "quay"), unit(1, 0.2, 1, 0))
    assert found.label == "semantic/place"
    own = unit(1, 0.2, 1, 0) + unit(1, 0, 0, 0)
    assert found.confidence == pytest.approx(unit(own[0], own[1])[0])


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["syntactic"], "0 semantic subcategories; machine:similarity needs two to compare"),
        (["semantic", "semantic/place"], "1 semantic subcategories; machine:similarity needs two to compare"),
    ],
)
def test_similarity_needs_categories_to_compare(paths: list[str], message: str) -> None:
    with pytest.raises(InputError, match=f"codebook 1: {message}"):
        by_similarity(codebook(*(category(path, "*sea*") for path in paths)), embedding)


def test_similarity_needs_marked_words() -> None:
    categories = [category("semantic"), category("semantic/place", "*sea*"), category("semantic/social", "her mother")]
    with pytest.raises(InputError, match=r"no word marked in the examples of 'semantic/social'; put \*asterisks\* around"):
        by_similarity(codebook(*categories), embedding)


def test_marked_words_are_normalised() -> None:
    assert marked_words(CODEBOOK, "semantic/place") == ["harbour", "old", "bridge", "quay"]
    assert marked_words(CODEBOOK, "syntactic") == []


# annotate


def test_every_annotator_labels_every_feature() -> None:
    rules: dict[str, Callable[[Evidence], Label]] = {FORMS: by_forms(LEXICON), SIMILARITY: lambda case: Label("semantic", 0.25, "as I say")}
    table = annotate({1: seen("harbour", "bridge", "harbour"), 2: seen("harbour", "bridge")}, rules, 4, min_contexts=3)
    assert table.columns.tolist() == ["feature", "annotator", "kind", "label", "confidence", "reason"]
    assert table[["feature", "annotator"]].apply(tuple, axis=1).tolist() == [(f, name) for name in (FORMS, SIMILARITY) for f in range(4)]
    assert (table["kind"] == "machine").all()
    assert table["label"].tolist() == ["unclear", "semantic/place", "unclear", "unclear", "unclear", "semantic", "unclear", "unclear"]
    assert table["confidence"].tolist() == [0, 1, 0, 0, 0, 0.25, 0, 0]
    assert table.loc[0, "reason"] == "active at 0 words, fewer than 3"
    assert table.loc[2, "reason"] == "active at 2 words, fewer than 3"


def test_labels_know_nothing_of_the_brain() -> None:
    """Labels that had seen the maps would make the maps circular."""
    assert list(inspect.signature(evidence).parameters) == ["contexts", "tokens", "words", "count"]
    assert list(inspect.signature(annotate).parameters) == ["features", "rules", "n_features", "min_contexts"]
    assert list(inspect.signature(by_forms).parameters) == ["lexicon"]
    assert list(inspect.signature(by_similarity).parameters) == ["codebook", "vector"]
    assert list(Evidence.__dataclass_fields__) == ["words", "weights", "opens"]
    imported = {value.__name__ for value in vars(module).values() if inspect.ismodule(value)}
    assert not {name for name in imported if name.startswith("saebrain")}


# agreement


@pytest.mark.parametrize(
    ("said", "common"),
    [
        (["semantic/place", "semantic/place"], "semantic/place"),
        (["semantic/place", "semantic/social"], "semantic"),
        (["semantic", "semantic/social"], "semantic"),
        (["semantic/place", "syntactic"], "unclear"),
        (["semantic/other", "syntactic/other"], "unclear"),  # the same name under different parents
        (["unclear", "semantic/place"], "unclear"),
        (["unclear", "unclear"], "unclear"),
        (["semantic/place", "semantic/place", "semantic"], "semantic"),
        (["lexical"], "lexical"),
    ],
)
def test_annotators_agree_on_the_common_path(said: list[str], common: str) -> None:
    labels = pd.DataFrame({"feature": [7] * len(said), "annotator": [f"a{n}" for n in range(len(said))], "label": said})
    assert agreed(labels).to_dict() == {7: common}


def test_agreement_is_by_feature_in_order() -> None:
    labels = pd.DataFrame({"feature": [2, 0, 2, 0], "annotator": ["a", "a", "b", "b"], "label": ["lexical", "semantic/place", "lexical", "semantic"]})
    assert list(agreed(labels).items()) == [(0, "semantic"), (2, "lexical")]


def test_people_count_alone_where_they_have_labelled() -> None:
    machines = pd.DataFrame({"feature": [1, 1, 2, 2], "annotator": ["machine:a", "machine:b"] * 2, "label": "lexical"})
    people = pd.DataFrame({"feature": [2], "annotator": "people", "label": "semantic"})
    assert agreed(pd.concat([machines, people])).to_dict() == {1: "lexical", 2: "semantic"}
