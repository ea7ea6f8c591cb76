"""Reading a SAE of any known layout, with a note of where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from saebrain.sae.base import SAE
from saebrain.sae.formats import dictionary_learning, lm_saes, saelens, sparsify
from saebrain.sae.formats.hub import SCHEME, Hub
from saebrain.sae.formats.layout import Format, Layout, identify
from saebrain.sae.formats.writing import described

READERS: dict[Format, Callable[[Layout, float | None], SAE]] = {
    "saelens": saelens.read,
    "sparsify": sparsify.read,
    "lm-saes": lm_saes.read,
    "dictionary_learning": dictionary_learning.read,
}


def read(source: Path | str, *, input_scale: float | None = None) -> SAE:
    """Read a SAE; see :func:`saebrain.sae.formats.read`."""
    if isinstance(source, str) and source.startswith(SCHEME):
        hub = Hub.parse(source)
        folder, revision = hub.download()
        origin: dict[str, Any] = {"path": hub.path, "revision": revision}
    else:
        folder, origin = Path(source), {"path": str(source)}
    layout = identify(folder)
    sae = READERS[layout.format](layout, input_scale)
    metadata = sae.metadata | described(sae) | {"weights_sha256": _sha256(layout.weights)}
    if not isinstance(metadata.get("source"), dict):  # one that is ours already says where it came from
        metadata["source"] = {"format": layout.format, **origin, "sha256": metadata["weights_sha256"]}
    return replace(sae, metadata=metadata)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
