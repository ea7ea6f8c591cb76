"""What the boxes of the encoding page can say, to and from the text of a selection."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from saebrain.pipeline.selection import ALL, LIST, NUISANCE

_FILTER = re.compile(r"(density>=|density<=|r>=)(.+)")


@dataclass(frozen=True)
class Choice:
    """A union of sets of features, of which filters keep some.

    sets : labels, "all", or "list:NAME".
    filters : limit by "density>=", "density<=" or "r>=", as text.
    """

    sets: frozenset[str]
    filters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, selection: str) -> Choice | None:
        """Read a selection in its canonical form; None if it says more than boxes can."""
        if not selection:
            return cls(frozenset())
        sets: set[str] = set()
        limits: set[tuple[tuple[str, str], ...]] = set()
        for term in selection.split("+"):
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
        return cls(frozenset(sets), filters)

    @property
    def text(self) -> str:
        """The selection; empty if there is no set."""
        limits = [f"{kind}{value}" for kind, value in self.filters]
        return "+".join(sorted("&".join(sorted([*([part] if part != ALL or not limits else []), *limits])) for part in self.sets))

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

    def with_limit(self, kind: str, value: str | None) -> Choice:
        """The same with another value of one filter, or without it."""
        limits = {**dict(self.filters), kind: value}
        kept = tuple(sorted((name, limit) for name, limit in limits.items() if limit is not None))
        # A filter alone is a selection too: of all features.
        return replace(self, filters=kept, sets=self.sets or frozenset([ALL]))
