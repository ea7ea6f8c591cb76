"""A study's SAE that comes from the model hub: here from the hub client's own cache, without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest

from saebrain.errors import InputError
from saebrain.pipeline.language import codes
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.sae_source import sae_files, sae_folder
from saebrain.pipeline.summary import compute
from saebrain.progress import silent
from saebrain.study import SHIPPED, Study
from tests.studies import copy_study

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = f"hf:maker/saes/layer_15@{COMMIT}"


@pytest.fixture
def study(demo_study: Path, tmp_path: Path) -> Study:
    """The demo, its SAE named as on the hub."""
    folder = copy_study(demo_study, tmp_path / "study")
    path = folder / "study.toml"
    path.write_text(path.read_text().replace('sae = "shipped:sae/smollm2-135m-instruct/layer_15"', f'sae = "{NAME}"'))
    opened = Study.open(folder)
    assert opened.config.sae == NAME
    return opened


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the client leaves on disk after a download, and no network."""
    snapshot = tmp_path / "hub" / "models--maker--saes" / "snapshots" / COMMIT
    shutil.copytree(SHIPPED / "sae" / "smollm2-135m-instruct" / "layer_15", snapshot / "layer_15")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return snapshot / "layer_15"


def test_it_is_encoded_as_from_a_folder(study: Study, cache: Path) -> None:
    before = json.loads((study.features / "quality.json").read_text())
    codes(study, silent)
    after = json.loads((study.features / "quality.json").read_text())
    assert after["fvu"] == pytest.approx(before["fvu"], rel=1e-5)
    assert len(after["weights_sha256"]) == 64
    assert sae_folder(study) == cache
    assert sae_files(study) == STEPS["codes"].inputs(study) == []


def test_not_downloaded_and_no_network(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert not sae_folder(study).exists()
    with pytest.raises(InputError, match="hf:maker/saes/layer_15: cannot be downloaded"):
        codes(study, silent)
    with pytest.raises(InputError):
        compute(study)
