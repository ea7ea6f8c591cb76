"""Notes on features that were brought from elsewhere, such as explanations by a language model: ``notes/{layer}.json`` in the study.

What annotators write stands in the annotation log; these have an author of their own and are never counted as labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from saebrain.atomic import write_json
from saebrain.errors import InputError
from saebrain.study import Study

LONGEST = 2000
MOST_BYTES = 200_000_000


@dataclass(frozen=True, order=True)
class Note:
    """What ``author`` says of a feature; ``method`` is how it was found, or empty."""

    feature: int
    author: str
    text: str
    method: str = ""


def notes_path(study: Study) -> Path:
    """Where the notes of the study's layer are kept."""
    return study.folder / "notes" / f"{study.layer}.json"


def read_notes(study: Study) -> list[Note]:
    """All notes at the study's layer, by feature; none if there is no such file.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    path = notes_path(study)
    try:
        return [Note(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["notes"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not a file of notes ({error}); remove it and import the notes again") from error


def import_explanations(study: Study, content: bytes, n_features: int) -> int:
    """Take explanations from a file in Neuronpedia's form as notes; returns how many are new.

    The file is JSON (one record, a list of them, or ``{"explanations": [...]}``) or a record a line. A record has ``index`` (the
    feature) and ``description``, and may have ``explanationModelName`` (the author), ``typeName`` (the method) and ``layer``, which begins
    with the layer's number; records of other layers are left out.

    Raises
    ------
    InputError
        Naming the first record that cannot be read; then nothing is taken.
    """
    records = list(_records(content))
    found = {_note(number, record, n_features) for number, record in enumerate(records, 1) if _at_layer(record, study.layer)}
    if not found:
        raise InputError(f"explanations: none of {len(records)} records is of layer {study.layer}; choose their layer, or another file")
    known = set(read_notes(study))
    write_json(notes_path(study), {"notes": [asdict(note) for note in sorted(known | found)]})
    return len(found - known)


def _records(content: bytes) -> Iterable[dict[str, Any]]:
    if len(content) > MOST_BYTES:
        raise InputError(f"explanations: {len(content) / 1e6:.0f} MB, at most {MOST_BYTES / 1e6:.0f}; split the file")
    try:
        text = content.decode("utf-8")
        try:
            value = json.loads(text)
        except ValueError:
            value = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise InputError(f"explanations: neither JSON nor a JSON record a line ({error}); export them from Neuronpedia again") from None
    if isinstance(value, dict):
        value = value["explanations"] if isinstance(value.get("explanations"), list) else [value]
    if not isinstance(value, list) or not all(isinstance(record, dict) for record in value):
        raise InputError('explanations: not a list of records; write them like [{"index": 12, "description": "words for places"}]')
    return value


def _at_layer(record: dict[str, Any], layer: int) -> bool:
    """Neuronpedia's ``layer`` is the name of a set of features, such as 15-res-16k."""
    named = str(record.get("layer") or "").partition("-")[0]
    return not named.isdecimal() or int(named) == layer


def _note(number: int, record: dict[str, Any], n_features: int) -> Note:
    try:
        feature = int(record["index"])
        text = " ".join(str(record["description"]).split())
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"explanations, record {number}: needs index (a number) and description, received {str(record)[:80]} ({error})") from None
    if not 0 <= feature < n_features:
        raise InputError(f"explanations, record {number}: feature {feature}, but this SAE has features 0 to {n_features - 1}; choose its own file")
    if not text:
        raise InputError(f"explanations, record {number}: empty description of feature {feature}; fill it in or remove the record")
    author = str(record.get("explanationModelName") or record.get("authorName") or "imported")
    return Note(feature, author[:100], text[:LONGEST], str(record.get("typeName") or "")[:100])
