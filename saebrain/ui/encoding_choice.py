"""What the boxes of the encoding page can say, to and from the text of a selection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from saebrain.pipeline.selection import ALL, AT, LIST, NUISANCE

OWN: frozenset[int | None] = frozenset([None])
_FILTER = re.compile(r"(density>=|density<=|r>=)(.+)")


@dataclass(frozen=True)
class Choice:
    """A union of sets of features, of which filters keep some.

    sets : labels, "all", or "list:NAME".
    filters : limit by "density>=", "density<=" or "r>=", as text.
    layers : at which all of it is taken; None is the layer at which the study is seen.
    """

    sets: frozenset[str]
    filters: tuple[tuple[str, str], ...] = ()
    layers: frozenset[int | None] = OWN

    @classmethod
    def of(cls, selection: str) -> Choice | None:
        """Read a selection in its canonical form; None if it says more than boxes can."""
        if not selection:
            return cls(frozenset())
        terms: dict[int | None, set[str]] = {}
        for term in selection.split("+"):
            parts, at, layer = term.partition(AT)
            terms.setdefault(int(layer) if at else None, set()).add(parts)
        alike, *others = terms.values()
        if any(other != alike for other in others):
            return None
        return cls._of_layer(alike, frozenset(terms))

    @classmethod
    def _of_layer(cls, terms: set[str], layers: frozenset[int | None]) -> Choice | None:
        sets: set[str] = set()
        limits: set[tuple[tuple[str, str], ...]] = set()
        for term in terms:
            parts = term.split("&")
            found = [match for part in parts if (match := _FILTER.fullmatch(part))]
            plain = [part for part in parts if not _FILTER.fullmatch(part)] or [ALL]
            if len(plain) > 1 or plain[0] == NUISANCE or (re.search("[:<>]", plain[0]) and not plain[0].startswith(LIST)):
                return None
            sets.add(plain[0])
            limits.add(tuple(sorted((match[1], match[2]) for match in found)))
        filters = limits.pop()
        if limits or len(dict(filters)) < len(filters):
            return None
        return cls(frozenset(sets), filters, layers)

    @property
    def text(self) -> str:
        """The selection; empty if there is no set."""
        limits = [f"{kind}{value}" for kind, value in self.filters]
        terms = ["&".join(sorted([*([part] if part != ALL or not limits else []), *limits])) for part in self.sets]
        return "+".join(sorted(term + ("" if layer is None else f"{AT}{layer}") for term in terms for layer in self.layers))

    def limit(self, kind: str) -> str | None:
        """Value of one filter."""
        return dict(self.filters).get(kind)

    def within(self, path: str) -> bool:
        """Whether a category is in it as part of a larger one, or of all features."""
        return ALL in self.sets or any(path.startswith(f"{other}/") for other in self.sets)

    def with_set(self, path: str, chosen: bool) -> Choice:
        """The same with a set more or less; what a chosen one contains is no longer named."""
        if not chosen:
            return replace(self, sets=self.sets - {path})
        if path == ALL:
            return replace(self, sets=frozenset([ALL]))
        return replace(self, sets=frozenset(other for other in self.sets if not other.startswith(f"{path}/")) | {path})

    def with_lists(self, names: list[str]) -> Choice:
        """The same with these saved lists and no others."""
        return replace(self, sets=frozenset(other for other in self.sets if not other.startswith(LIST)) | {LIST + name for name in names})

    def with_layers(self, layers: Iterable[int | None]) -> Choice:
        """The same taken at these layers; at the study's own if there are none."""
        return replace(self, layers=frozenset(layers) or OWN)

    def with_limit(self, kind: str, value: str | None) -> Choice:
        """The same with another value of one filter, or without it."""
        limits = {**dict(self.filters), kind: value}
        kept = tuple(sorted((name, limit) for name, limit in limits.items() if limit is not None))
        # A filter alone is a selection too: of all features.
        return replace(self, filters=kept, sets=self.sets or frozenset([ALL]))
