"""The codebook: categories of features, their definitions, and the parcels they predict.

A label is the path of a category, such as ``semantic/social`` or ``syntactic``. A category with subcategories is a label
too: it stands for what is in none of them.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from saebrain.errors import InputError

SEMANTIC = "semantic"
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Category(BaseModel):
    """One category, as an annotator reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]*(/[a-z][a-z-]*)?$")]
    """Label, ``top`` or ``top/sub``, in lower case with hyphens."""
    name: Text
    """Name to show."""
    definition: Text
    """What the contexts of a feature must have in common."""
    include: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Contexts that count."""
    exclude: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Contexts that look alike and do not count, with where they belong."""
    predicted_parcels: tuple[str, ...] = ()
    """Parcels, without hemisphere, in which features of this category should predict responses."""
    literature: tuple[Text, ...] = ()
    """What the prediction rests on."""

    @property
    def parent(self) -> str | None:
        """Path of the category above, None at the top."""
        return self.path.rpartition("/")[0] or None


class Codebook(BaseModel):
    """A versioned set of categories, each after its parent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Text
    """Goes into every annotation and result; raised at any change of meaning."""
    title: Text
    categories: Annotated[tuple[Category, ...], Field(min_length=1, alias="category")]

    @field_validator("categories")
    @classmethod
    def _ordered(cls, categories: tuple[Category, ...]) -> tuple[Category, ...]:
        seen: set[str] = set()
        for category in categories:
            if category.path in seen:
                raise ValueError(f"{category.path!r} is there twice; keep one")
            if category.parent is not None and category.parent not in seen:
                raise ValueError(f"{category.path!r} comes before its parent; put {category.parent!r} above it")
            repeated = sorted({parcel for parcel in category.predicted_parcels if category.predicted_parcels.count(parcel) > 1})
            if repeated:
                raise ValueError(f"{category.path!r} predicts {', '.join(repeated)} twice; keep one")
            seen.add(category.path)
        return categories

    @property
    def paths(self) -> tuple[str, ...]:
        """Every label, in the order of the file."""
        return tuple(category.path for category in self.categories)

    def __getitem__(self, path: str) -> Category:
        """The category of a label; InputError if there is none."""
        self.validate_label(path)
        return next(category for category in self.categories if category.path == path)

    def leaves(self) -> tuple[str, ...]:
        """Labels without subcategories, in the order of the file."""
        parents = {category.parent for category in self.categories}
        return tuple(path for path in self.paths if path not in parents)

    def children(self, path: str) -> tuple[str, ...]:
        """Labels directly below a category."""
        self.validate_label(path)
        return tuple(category.path for category in self.categories if category.parent == path)

    def predicted(self, path: str) -> tuple[str, ...]:
        """Parcels that a category predicts; without any of its own, those of its subcategories together, each once."""
        own = self[path].predicted_parcels
        return own or tuple(dict.fromkeys(parcel for child in self.children(path) for parcel in self.predicted(child)))

    def is_semantic(self, path: str) -> bool:
        """Whether a label is ``semantic`` or below it."""
        self.validate_label(path)
        return path.partition("/")[0] == SEMANTIC

    def validate_label(self, path: str) -> str:
        """Return a label of this codebook as it is.

        Raises
        ------
        InputError
            If the codebook has no such label.
        """
        if path not in self.paths:
            raise InputError(f"label {path!r}: not in codebook {self.version}{_meant(path, self.paths)}; choose one of: {', '.join(self.paths)}")
        return path


def load_codebook(path: Path | str, parcels: Collection[str] | None = None) -> Codebook:
    """Read a codebook.

    Parameters
    ----------
    path : Path or str
        TOML file: ``version``, ``title`` and a ``[[category]]`` for each category (see `Category` for its keys).
    parcels : collection of str, optional
        Valid parcel names, without hemisphere. None: predicted parcels are not checked.

    Raises
    ------
    InputError
        If the file is missing or no TOML, a key is missing, unknown or there twice, or a predicted parcel is not valid.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        codebook = Codebook.model_validate(content)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a codebook such as data/codebook.toml") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file in UTF-8 ({error}); write each key once") from error
    except ValidationError as error:
        raise InputError(f"{path}: {_explain(error, content)}") from error
    if parcels is not None:
        _check_parcels(codebook, parcels, path)
    return codebook


def _explain(error: ValidationError, content: dict[str, object]) -> str:
    """The first thing wrong, on one line, in terms of the file."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    listed = content.get("category")
    if len(first["loc"]) > 1 and isinstance(first["loc"][1], int) and isinstance(listed, list):
        entry = listed[first["loc"][1]]
        named = entry.get("path") if isinstance(entry, dict) else None
        place[:2] = [f"category {named!r}" if named else f"category number {first['loc'][1] + 1}"]
    where = ", ".join(place)
    if first["type"] == "missing":
        return f"{where} is missing; " + ('write version = "1.0" at the top' if where == "version" else "add it")
    if first["type"] == "extra_forbidden":
        return f"{where} is not a known key; remove it or check its spelling"
    if first["type"] == "value_error":  # our own checks name what they received
        return first["msg"].removeprefix("Value error, ")
    return f"{where}: {first['msg']}, received {str(first['input'])[:60]!r}; see data/codebook.toml for the form"


def _check_parcels(codebook: Codebook, parcels: Collection[str], path: Path) -> None:
    unknown = [
        f"{parcel!r} of {category.path!r}{_meant(parcel, parcels)}"
        for category in codebook.categories
        for parcel in category.predicted_parcels
        if parcel not in parcels
    ]
    if unknown:
        raise InputError(f"{path}: no such parcel: {'; '.join(unknown)}; use the labels of the atlas, without hemisphere")


def _meant(word: str, candidates: Iterable[str]) -> str:
    close = difflib.get_close_matches(word.lower(), list(candidates), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
