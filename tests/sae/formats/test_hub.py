"""SAEs of the model hub are read from what the hub's client downloads; here that is a folder of this machine."""

from __future__ import annotations

import hashlib
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from saebrain.errors import InputError
from saebrain.sae import formats
from saebrain.sae.formats.hub import Hub
from saebrain.sae.formats.layout import CONFIG, WEIGHTS
from tests.sae.formats.examples import sae

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Client:
    """Stands for the hub and its client: "downloads" the files of a repository that the patterns name, as the client does."""

    def __init__(self, repository: Path, cache: Path) -> None:
        self.repository = repository
        self.snapshot = cache / "models--maker--saes" / "snapshots" / COMMIT
        self.asked: list[tuple[str, str | None]] = []

    def __call__(self, repo_id: str, *, revision: str | None = None, allow_patterns: list[str], local_files_only: bool = False) -> str:
        if local_files_only:
            if not self.snapshot.is_dir():
                raise LocalEntryNotFoundError("not in the cache")
            return str(self.snapshot)
        self.asked.append((repo_id, revision))
        for path in self.repository.rglob("*"):
            name = path.relative_to(self.repository).as_posix()
            if path.is_file() and any(fnmatch(name, pattern) for pattern in allow_patterns):
                (self.snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, self.snapshot / name)
        return str(self.snapshot)

    @property
    def downloaded(self) -> set[str]:
        return {path.relative_to(self.snapshot).as_posix() for path in self.snapshot.rglob("*") if path.is_file()}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A repository with a SAE at its root and two below, and files that are none of theirs."""
    repository = tmp_path / "repository"
    formats.write(sae(), repository)
    formats.write(sae(metadata={"layer": 8}), repository / "gpt2" / "layer_8")
    formats.write(sae(metadata={"layer": 9}), repository / "gpt2" / "layer_9")
    (repository / "gpt2" / "config.json").write_text("{}")
    (repository / "optimiser.safetensors").write_bytes(b"many gigabytes")
    made = Client(repository, tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made)
    return made


def test_one_sae_of_a_repository(client: Client) -> None:
    found = formats.read("hf:maker/saes/gpt2/layer_8")
    assert found.metadata["layer"] == 8
    assert client.asked == [("maker/saes", None)]
    assert client.downloaded == {f"gpt2/layer_8/{CONFIG}", f"gpt2/layer_8/{WEIGHTS}", "gpt2/config.json"}
    source = found.metadata["source"]
    assert (source["format"], source["path"], source["revision"]) == ("saelens", "hf:maker/saes/gpt2/layer_8", COMMIT)


def test_a_revision_is_asked_for(client: Client) -> None:
    found = formats.read("hf:maker/saes/gpt2/layer_9@v1.0")
    assert client.asked == [("maker/saes", "v1.0")]
    assert found.metadata["source"]["revision"] == COMMIT
    assert found.metadata["source"]["path"] == "hf:maker/saes/gpt2/layer_9"


def test_a_sae_at_the_root(client: Client) -> None:
    assert formats.read("hf:maker/saes").metadata["layer"] == 15
    assert client.downloaded == {CONFIG, WEIGHTS}


def test_the_hash_of_the_weights_is_that_of_the_file_read(client: Client, tmp_path: Path) -> None:
    found = formats.read("hf:maker/saes/gpt2/layer_8")
    formats.write(found, tmp_path / "mine")
    again = formats.read(tmp_path / "mine")
    assert again.metadata["weights_sha256"] == hashlib.sha256((tmp_path / "mine" / WEIGHTS).read_bytes()).hexdigest()


def test_where_it_came_from_is_kept_when_it_is_written(client: Client, tmp_path: Path) -> None:
    found = formats.read("hf:maker/saes/gpt2/layer_8")
    formats.write(found, tmp_path / "mine")
    assert formats.read(tmp_path / "mine").metadata["source"] == found.metadata["source"]


def test_a_folder_that_holds_no_sae(client: Client) -> None:
    with pytest.raises(InputError, match=r"layouts that can be read"):
        formats.read("hf:maker/saes/gpt2/layer_10")


@pytest.mark.parametrize(
    "name", ["hf:", "hf:maker", "hf:maker/saes/../../etc", "hf:../saes", "hf:maker/saes/*", "hf:maker/saes/a b", "hf:maker/saes@"]
)
def test_other_names_are_refused(client: Client, name: str) -> None:
    with pytest.raises(InputError, match="no name of a SAE on the hub; write hf:OWNER/REPOSITORY/FOLDER"):
        formats.read(name)
    assert client.asked == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hf:maker/saes/400M-Slimpajama-400M-OpenR1-Math-220k/L5R", ("maker/saes", "400M-Slimpajama-400M-OpenR1-Math-220k/L5R", None)),
        ("hf:maker/saes/a=1,b+2/@refs/pr/1", ("maker/saes", "a=1,b+2", "refs/pr/1")),
    ],
)
def test_names(name: str, parts: tuple[str, str, str | None]) -> None:
    hub = Hub.parse(name)
    assert (hub.repo, hub.folder, hub.revision) == parts


def test_a_hub_that_does_not_answer_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("Cannot find an appropriate cached snapshot folder\non this machine")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(InputError) as caught:
        formats.read("hf:maker/saes/gpt2")
    assert str(caught.value).startswith("hf:maker/saes/gpt2: cannot be downloaded (LocalEntryNotFoundError: Cannot find an appropriate cached")
    assert "check name, revision and network, or copy the folder here" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_has_been_downloaded_is_found_without_asking(client: Client) -> None:
    hub = Hub.parse("hf:maker/saes/gpt2/layer_8")
    assert hub.cached() is None
    formats.read("hf:maker/saes/gpt2/layer_8")
    assert hub.cached() == client.snapshot / "gpt2" / "layer_8"
