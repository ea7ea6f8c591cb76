"""Machine annotators: documented rules that sort features into the codebook by their contexts, never by a brain map.

They stand in for people in the demo and are always shown as machine labels. Each reads the same evidence as a person would
begin with, the words at a feature's strongest activations (one entry a word occurrence, weighted by activation):

``machine:forms`` looks words up. The share of weight that falls on each list decides: a subcategory's word forms, closed-class
words, one single form, the first words of a text or a sentence.

``machine:similarity`` never sees the subcategories' lists. It compares the mean embedding of the words (rows of the model's
own input matrix) with that of closed-class words and of the words marked in the codebook's examples.

Two rules that agree say more than one, as with people; features on which they differ keep what both say ("semantic", if the
subcategories differ) or are "unclear".
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import pandas as pd
from jaxtyping import Float

from saebrain.errors import InputError
from saebrain.lexicon import Lexicon, normalise
from saebrain.taxonomy import SEMANTIC, Codebook

MACHINE = "machine:"
"""What names of machine annotators begin with; no person may be called so."""
FORMS = "machine:forms"
SIMILARITY = "machine:similarity"
UNCLEAR = "unclear"
SYNTACTIC, LEXICAL, POSITIONAL = "syntactic", "lexical", "positional-discourse"

MAJORITY = 0.5
"""Share of a feature's weight that a category needs."""
STRONG_MAJORITY = 0.8
"""The same for the annotator that reads no word lists, where a single word or position is all it has."""
FUNCTION = 0.55
"""Cosine with closed-class words above which a feature is syntactic."""
NEAR, LEAD = 0.1, 0.05
"""Cosine that the nearest subcategory's examples must reach, and by how much it must exceed the next."""

_CLOSED_CLASS_WORDS = """
    a an the this that these those some any no every each either neither both all half much many more most few little several
    i me my mine myself you your yours yourself he him his himself she her hers herself it its itself we us our ours ourselves they
    them their theirs themselves who whom whose which what when where why how whether if because although though while unless until
    since as than like and or but nor so yet for of in on at by with from to into onto out off up down over under through across
    along around about after before between behind beside against toward towards upon within without near above below
    be am is are was were been being have has had having do does did doing done will would shall should can could may might must
    not n't there here then now just only even also too very again ever never
"""
CLOSED_CLASS = frozenset(_CLOSED_CLASS_WORDS.split())


@dataclass(frozen=True)
class Evidence:
    """The strongest contexts of one feature: words at the peaks as written, their weights (sum 1), and whether each opens a sentence."""

    words: Sequence[str]
    weights: Float[np.ndarray, " contexts"]
    opens: Sequence[bool]

    @property
    def forms(self) -> list[str]:
        return [normalise(word) for word in self.words]

    def share(self, matches: Sequence[bool]) -> float:
        """Weight of the contexts that match."""
        return float(self.weights[np.asarray(matches, bool)].sum())

    def commonest(self) -> tuple[str, float]:
        """The form with the largest share of weight."""
        total: defaultdict[str, float] = defaultdict(float)
        for form, weight in zip(self.forms, self.weights, strict=True):
            total[form] += float(weight)
        return max(total.items(), key=lambda item: item[1])


@dataclass(frozen=True)
class Label:
    """One annotator's label of one feature, with the confidence (0 to 1) and the reason in words."""

    label: str
    confidence: float
    reason: str


Rule = Callable[[Evidence], Label]


def evidence(contexts: pd.DataFrame, tokens: pd.DataFrame, words: pd.DataFrame, *, count: int) -> dict[int, Evidence]:
    """Gather the evidence of every feature that is active at all.

    Parameters
    ----------
    contexts, tokens, words : DataFrame
        As in contexts.parquet, tokens.parquet and words.parquet.
    count : int
        Strongest contexts to read.
    """
    text = words.set_index(["run", "index"])["word"]
    ends = text.str.contains(r"[.!?…][\"'”’»)\]]*$")
    opens = ends.groupby(level="run").shift(1, fill_value=True)
    peaks = contexts[contexts["rank"] < count]
    at = pd.MultiIndex.from_frame(tokens.loc[peaks["token"], ["run", "word"]])
    table = pd.DataFrame(
        {
            "feature": peaks["feature"].to_numpy(),
            "word": text.loc[at].to_numpy(),
            "value": peaks["value"].to_numpy(),
            "opens": opens.loc[at].to_numpy(),
        }
    )
    return {
        int(feature): Evidence(group["word"].tolist(), (group["value"] / group["value"].sum()).to_numpy(), group["opens"].tolist())
        for feature, group in table.groupby("feature")
    }


def annotate(features: Mapping[int, Evidence], rules: Mapping[str, Rule], n_features: int, *, min_contexts: int) -> pd.DataFrame:
    """Let every annotator label every feature.

    Returns
    -------
    DataFrame
        feature, annotator, kind ("machine"), label, confidence, reason.
    """
    rows = []
    for annotator, rule in rules.items():
        for feature in range(n_features):
            seen = features.get(feature)
            if seen is None or len(seen.words) < min_contexts:
                label = Label(UNCLEAR, 0.0, f"active at {0 if seen is None else len(seen.words)} words, fewer than {min_contexts}")
            else:
                label = rule(seen)
            rows.append((np.int32(feature), annotator, "machine", label.label, np.float32(label.confidence), label.reason))
    return pd.DataFrame(rows, columns=["feature", "annotator", "kind", "label", "confidence", "reason"])


def by_forms(lexicon: Lexicon) -> Rule:
    """The rule of ``machine:forms``. The first list that holds a majority of the weight decides, in the order written here."""

    def rule(seen: Evidence) -> Label:
        category = [lexicon.lookup(word) for word in seen.words]
        shares = {name: seen.share([c == name for c in category]) for name in lexicon.categories}
        best = max(shares, key=lambda name: shares[name])
        if shares[best] >= MAJORITY:
            return Label(best, shares[best], f"{shares[best]:.0%} of the activation falls on {best.rpartition('/')[2]} words")
        closed = seen.share([form in CLOSED_CLASS for form in seen.forms])
        opens = seen.share(seen.opens)
        form, share = seen.commonest()
        if opens >= MAJORITY:
            return Label(POSITIONAL, opens, f"{opens:.0%} of the activation falls on words that open a sentence")
        if share >= MAJORITY and form not in CLOSED_CLASS:
            return Label(LEXICAL, share, f"{share:.0%} of the activation falls on the word '{form}'")
        if closed >= MAJORITY:
            return Label(SYNTACTIC, closed, f"{closed:.0%} of the activation falls on closed-class words")
        together = sum(shares.values())
        if together >= MAJORITY:
            return Label(SEMANTIC, together, f"{together:.0%} of the activation falls on content words of several subcategories")
        return Label(UNCLEAR, 1 - max(closed, opens, share, together), "no list holds half of the activation")

    return rule


def by_similarity(codebook: Codebook, vector: Callable[[str], Float[np.ndarray, " d_model"]]) -> Rule:
    """The rule of ``machine:similarity``: near closed-class words, else nearest to the examples of a semantic subcategory.

    How common a word is dominates such embeddings and would make all rare words alike, so the subcategories are compared
    after the direction of the closed-class words has been taken out.

    Parameters
    ----------
    vector : callable
        Embedding of a word form; the mean over all forms in question should have been taken off.

    Raises
    ------
    InputError
        If the codebook has fewer than two semantic subcategories, or one without marked words.
    """
    function = _direction([vector(form) for form in sorted(CLOSED_CLASS)])
    names = [path for path in codebook.leaves() if codebook.is_semantic(path)]
    if len(names) < 2:
        raise InputError(f"codebook {codebook.version}: {len(names)} semantic subcategories; {SIMILARITY} needs two to compare, so add some")
    if bare := [path for path in names if not marked_words(codebook, path)]:
        raise InputError(
            f"codebook {codebook.version}: no word marked in the examples of {bare[0]!r}; put *asterisks* around those that belong to it"
        )
    examples = np.stack([_without(function, _direction([vector(form) for form in marked_words(codebook, path)])) for path in names])

    def rule(seen: Evidence) -> Label:
        own = _direction([vector(form) for form in seen.forms], seen.weights)
        closed, opens, (form, share) = float(own @ function), seen.share(seen.opens), seen.commonest()
        if opens >= STRONG_MAJORITY:
            return Label(POSITIONAL, opens, f"{opens:.0%} of the activation falls on words that open a sentence")
        if closed >= FUNCTION:
            return Label(SYNTACTIC, closed, f"near closed-class words (cosine {closed:.2f})")
        if share >= STRONG_MAJORITY:
            return Label(LEXICAL, share, f"{share:.0%} of the activation falls on the word '{form}'")
        similarity = examples @ _without(function, own)
        first, second = np.argsort(similarity)[:-3:-1]
        near, lead = float(similarity[first]), float(similarity[first] - similarity[second])
        if near < NEAR:
            return Label(UNCLEAR, 1 - max(near, 0.0), f"near no category's examples (best: {names[first]}, cosine {near:.2f})")
        if lead < LEAD:
            return Label(SEMANTIC, near, f"between the examples of {names[first]} and {names[second]} (cosine {near:.2f}, lead {lead:.2f})")
        return Label(names[first], near, f"nearest to the examples of {names[first]} (cosine {near:.2f}, lead {lead:.2f})")

    return rule


def marked_words(codebook: Codebook, path: str) -> list[str]:
    """The word forms between asterisks in a category's inclusion examples."""
    return [normalise(word) for example in codebook[path].include for mark in re.findall(r"\*([^*]+)\*", example) for word in mark.split()]


def agreed(labels: pd.DataFrame) -> pd.Series:
    """The one label of each feature: what people say where they have labelled it, else what all machine annotators say.

    Annotators agree on the longest common path of their labels, or on "unclear".

    Parameters
    ----------
    labels : DataFrame
        feature, annotator, label; the names of machine annotators begin with "machine:".

    Returns
    -------
    Series
        Label by feature, ascending.
    """

    def common(paths: pd.Series) -> str:
        levels = zip(*(path.split("/") for path in paths), strict=False)
        shared = takewhile(lambda level: len(set(level)) == 1, levels)
        return "/".join(level[0] for level in shared) or UNCLEAR

    human = ~by_machine(labels)
    counted = labels[human | ~labels["feature"].isin(labels.loc[human, "feature"])]
    return counted.groupby("feature", sort=True)["label"].agg(common)


def by_machine(labels: pd.DataFrame) -> pd.Series:
    """Whether each label is a machine annotator's (bool, by row)."""
    return labels["annotator"].str.startswith(MACHINE)


def _direction(vectors: Sequence[Float[np.ndarray, " d"]], weights: Float[np.ndarray, " n"] | None = None) -> Float[np.ndarray, " d"]:
    """Unit vector along the (weighted) mean."""
    mean = np.average(np.stack(vectors), axis=0, weights=weights)
    return np.asarray(mean / (np.linalg.norm(mean) + 1e-12))


def _without(direction: Float[np.ndarray, " d"], vector: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """Unit vector along what is left of a vector without its part along a direction."""
    rest = vector - (vector @ direction) * direction
    return np.asarray(rest / (np.linalg.norm(rest) + 1e-12))
