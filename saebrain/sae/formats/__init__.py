"""SAEs on disk: read in the layouts of SAELens, sparsify, lm-saes and dictionary_learning, written in that of SAELens 6.

One module a layout; docs/saes.md says what of each is read, and what is refused and why. Importing this package, or
:mod:`saebrain.sae.formats.layout`, brings no torch: pages ask which files a SAE consists of.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from saebrain.sae.formats.layout import CONFIG, WEIGHTS, files, read_config

if TYPE_CHECKING:
    from saebrain.sae.base import SAE

__all__ = ["CONFIG", "WEIGHTS", "files", "read", "read_config", "write"]


def read(source: Path | str, *, input_scale: float | None = None) -> SAE:
    """Read a SAE, all weights float32.

    Parameters
    ----------
    source : Path or str
        A folder, or ``hf:OWNER/REPOSITORY/FOLDER`` on the model hub, with ``@REVISION`` if it is to stay the same.
    input_scale : float, optional
        The factor that hidden states were multiplied by before they went into the SAE in training; only for a SAE that
        does not record it.

    Returns
    -------
    SAE
        Its metadata gain ``scaling``, ``codes_in`` ("raw" or "normalised", the units of the codes), ``source`` (format,
        path, revision, sha256 of the weights), and, where they can be told, ``hook_name``, ``layer`` and ``claims``.

    Raises
    ------
    InputError
        If its layout is none that can be read, it computes what saebrain has no architecture for, a file is damaged, or
        weights and config contradict each other.
    """
    from saebrain.sae.formats import reading

    return reading.read(source, input_scale=input_scale)


def write(sae: SAE, folder: Path, *, dtype: Literal["float16", "float32"] = "float16") -> None:
    """Write a SAE in the layout of SAELens 6; reading it gives the same SAE back, but for the precision of W_enc and W_dec.

    Raises
    ------
    InputError
        If SAELens has no such architecture.
    """
    from saebrain.sae.formats import writing

    writing.write(sae, folder, dtype=dtype)
