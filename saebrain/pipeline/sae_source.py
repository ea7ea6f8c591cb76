"""Where a study's SAE is: a folder, or a name on the model hub. Brings no torch."""

from __future__ import annotations

from pathlib import Path

from saebrain.sae.formats.hub import SCHEME, Hub
from saebrain.sae.formats.layout import files
from saebrain.study import Study


def sae_source(study: Study) -> Path | str:
    """What :func:`saebrain.sae.formats.read` takes."""
    name = study.config.sae
    return name if name.startswith(SCHEME) else study.resolve(name)


def sae_folder(study: Study) -> Path:
    """The folder with its files, without asking the hub; one that does not exist if they were never downloaded.

    Raises
    ------
    InputError
        If the name is none that the hub could have.
    """
    source = sae_source(study)
    return source if isinstance(source, Path) else Hub.parse(source).cached() or Path(source)


def sae_files(study: Study) -> list[Path]:
    """The files that codes depend on; none for one of the hub, for which its name with the revision stands."""
    source = sae_source(study)
    return files(source) if isinstance(source, Path) else []
