"""SAEs of the model hub: ``hf:OWNER/REPOSITORY/FOLDER@REVISION``, of which only the files of one SAE are downloaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import huggingface_hub

from saebrain.errors import InputError
from saebrain.sae.formats.layout import FILES

SCHEME = "hf:"
_PART = r"[\w.\-]+"
_FOLDER = r"[^/@\s*?\[\]\\]+"  # without what the hub would take for a wildcard
_NAME = re.compile(rf"hf:(?P<repo>{_PART}/{_PART})(?P<folder>(?:/{_FOLDER})*)/?(?:@(?P<revision>[\w.\-/]+))?", re.ASCII)


@dataclass(frozen=True)
class Hub:
    """A SAE on the hub: its repository, the folder in it ("" if it is the repository itself), and a revision."""

    repo: str
    folder: str
    revision: str | None

    @classmethod
    def parse(cls, name: str) -> Hub:
        """Read a name.

        Raises
        ------
        InputError
            If it has not that form.
        """
        match = _NAME.fullmatch(name)
        if match is None or {".", ".."} & set(name.removeprefix(SCHEME).split("@", 1)[0].split("/")):
            raise InputError(f"{name!r:.200}: no name of a SAE on the hub; write hf:OWNER/REPOSITORY/FOLDER, or with a revision FOLDER@REVISION")
        return cls(match["repo"], match["folder"].strip("/"), match["revision"])

    @property
    def path(self) -> str:
        """The name without the revision."""
        return SCHEME + "/".join(filter(None, (self.repo, self.folder)))

    def download(self) -> tuple[Path, str | None]:
        """Get the files that a SAE may consist of, into the hub's own cache.

        Returns
        -------
        folder : Path
        revision : str or None
            The commit they are of.

        Raises
        ------
        InputError
            If the hub does not answer, or has no such repository or revision.
        """
        try:
            snapshot = self._snapshot(local_files_only=False)
        except Exception as error:  # of many kinds: the hub's, the network's, the cache's
            reason = " ".join(str(error).split())
            raise InputError(
                f"{self.path}: cannot be downloaded ({type(error).__name__}: {reason:.200}); check name, revision and network, "
                "or copy the folder here by other means and name it instead"
            ) from error
        return snapshot / self.folder, snapshot.name if snapshot.parent.name == "snapshots" else self.revision

    def cached(self) -> Path | None:
        """The folder of a SAE that has been downloaded before, without asking the hub; None if it has not."""
        try:
            return self._snapshot(local_files_only=True) / self.folder
        except (OSError, ValueError):  # LocalEntryNotFoundError is both
            return None

    def _snapshot(self, *, local_files_only: bool) -> Path:
        folder = PurePosixPath(self.folder)
        # No wildcards: a repository may hold hundreds of SAEs. The config one folder up names the model.
        wanted = [str(folder / name) for name in FILES] + ([str(folder.parent / "config.json")] if self.folder else [])
        return Path(huggingface_hub.snapshot_download(self.repo, revision=self.revision, allow_patterns=wanted, local_files_only=local_files_only))
