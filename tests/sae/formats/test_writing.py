"""SAEs are read back as they were written; files are complete or not there."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from saebrain.errors import InputError
from saebrain.sae import formats
from saebrain.sae.base import SAE
from saebrain.sae.formats import writing
from saebrain.sae.formats.layout import CONFIG, WEIGHTS
from saebrain.sae.group_max import GroupMax
from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.scaling import Scaling
from tests.sae.formats.examples import ARCHITECTURES, SCALINGS, D, N, edit, reweigh, sae, states

SHIPPED = Path(__file__).parents[3] / "data" / "sae"


def alike(found: SAE, expected: SAE, *, tolerance: float = 0.0) -> None:
    """The same class with the same values; metadata may have been added."""
    assert type(found) is type(expected)
    for field in fields(expected):
        value, wanted = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(wanted, Tensor):
            assert value.dtype == torch.float32
            torch.testing.assert_close(value, wanted, rtol=tolerance, atol=0)
        elif field.name == "metadata":
            assert value | wanted == value
        else:
            assert value == wanted, field.name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda scaling: scaling.kind)
@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
def test_every_architecture_comes_back(tmp_path: Path, architecture: str, scaling: Scaling, apply_b_dec_to_input: bool) -> None:
    written = sae(architecture, scaling=scaling, apply_b_dec_to_input=apply_b_dec_to_input)
    formats.write(written, tmp_path, dtype="float32")
    back = formats.read(tmp_path)
    alike(back, written, tolerance=3e-7 if scaling.kind == "constant" else 0.0)  # folded and unfolded: two roundings
    codes, expected = back.encode(states()), written.encode(states())
    assert torch.equal(codes.features.sort().values, expected.features.sort().values)
    torch.testing.assert_close(codes.dense(N), expected.dense(N), rtol=1e-5, atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CONFIG, WEIGHTS]


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda scaling: scaling.kind)
def test_writing_again_changes_nothing(tmp_path: Path, scaling: Scaling) -> None:
    """A factor is folded once, however often a SAE is read and written."""
    formats.write(sae(scaling=scaling), tmp_path / "0", dtype="float32")
    for turn in range(3):
        formats.write(formats.read(tmp_path / str(turn)), tmp_path / str(turn + 1), dtype="float32")
    alike(formats.read(tmp_path / "3"), sae(scaling=scaling), tolerance=1e-6)


def test_metadata_say_where_a_sae_comes_from_and_its_units(tmp_path: Path) -> None:
    formats.write(sae(scaling=Scaling("constant", 0.5)), tmp_path / "made")
    first = formats.read(tmp_path / "made").metadata
    assert first["scaling"] == {"kind": "constant", "factor": 0.5}
    assert first["codes_in"] == "normalised"
    assert first["source"]["format"] == "saelens"
    assert first["source"]["path"] == str(tmp_path / "made")
    assert len(first["source"]["sha256"]) == 64
    formats.write(formats.read(tmp_path / "made"), tmp_path / "copied")
    assert formats.read(tmp_path / "copied").metadata == first
    formats.write(sae(), tmp_path / "raw")
    assert formats.read(tmp_path / "raw").metadata["codes_in"] == "raw"


def test_matrices_are_stored_in_half_precision_unless_told_otherwise(tmp_path: Path) -> None:
    fine = replace(sae("jumprelu"), W_enc=torch.randn(D, N, generator=torch.Generator().manual_seed(2)))
    formats.write(fine, tmp_path / "half")
    stored = {name: weight.dtype for name, weight in load_file(tmp_path / "half" / WEIGHTS).items()}
    assert {name for name, dtype in stored.items() if dtype == torch.float16} == {"W_enc", "W_dec"}
    assert torch.equal(formats.read(tmp_path / "half").W_enc, fine.W_enc.half().float())
    formats.write(fine, tmp_path / "full", dtype="float32")
    assert torch.equal(formats.read(tmp_path / "full").W_enc, fine.W_enc)


def test_weights_that_share_memory_are_written(tmp_path: Path) -> None:
    zero = torch.zeros(N)
    tied = sae("gated", b_enc=zero, r_mag=zero, b_mag=zero, W_enc=sae().W_dec.T)
    formats.write(tied, tmp_path, dtype="float32")
    alike(formats.read(tmp_path), tied)


@pytest.mark.parametrize("factor", [1e5, 1e-7])  # too large for half precision; too small
def test_weights_that_half_precision_would_lose_are_kept(tmp_path: Path, factor: float) -> None:
    odd = replace(sae(), W_dec=sae().W_dec * factor)
    formats.write(odd, tmp_path)
    assert torch.equal(formats.read(tmp_path).W_dec, odd.W_dec)
    assert load_file(tmp_path / WEIGHTS)["W_enc"].dtype == torch.float16


def test_files_follow_the_layout_of_saelens(tmp_path: Path) -> None:
    formats.write(sae(), tmp_path)
    assert json.loads((tmp_path / CONFIG).read_text(encoding="utf-8")) == {
        "architecture": "topk",
        "k": 4,
        "d_in": 6,
        "d_sae": 20,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "rescale_acts_by_decoder_norm": False,
        "metadata": sae().metadata | {"scaling": {"kind": "none"}, "codes_in": "raw", "sae_lens_version": "6.0.0"},
    }
    shapes = {name: tuple(weight.shape) for name, weight in load_file(tmp_path / WEIGHTS).items()}
    assert shapes == {"W_enc": (6, 20), "b_enc": (20,), "W_dec": (20, 6), "b_dec": (6,)}


def test_thresholds_that_came_to_differ_make_a_jumprelu(tmp_path: Path) -> None:
    """As another tool may leave them, by folding decoder norms into them."""
    formats.write(sae("batchtopk"), tmp_path)
    reweigh(tmp_path / WEIGHTS, threshold=torch.linspace(0.1, 1.0, N))
    back = formats.read(tmp_path)
    assert isinstance(back, JumpReLU)
    assert torch.equal(back.threshold, torch.linspace(0.1, 1.0, N))


def test_an_architecture_that_saelens_has_not_cannot_be_written(tmp_path: Path) -> None:
    weights = {name: getattr(sae(), name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    with pytest.raises(InputError, match="architecture 'groupmax': SAELens has none like it"):
        formats.write(GroupMax(k=4, **weights), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_no_folder_that_looks_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        formats.write(sae(), tmp_path)
    with pytest.raises(InputError, match=r"no layout of a SAE, but sae_weights\.safetensors"):
        formats.read(tmp_path)


@pytest.mark.parametrize("path", sorted(SHIPPED.rglob(CONFIG)), ids=lambda path: path.parent.name)
def test_shipped_saes_can_be_read(path: Path) -> None:
    shipped = formats.read(path.parent)
    assert shipped.d_in == 576
    assert shipped.metadata["layer"] == int(path.parent.name.removeprefix("layer_"))
    torch.testing.assert_close(shipped.W_dec.norm(dim=1), torch.ones(shipped.n_features), rtol=0, atol=2e-3)


def test_folders_written_before_there_was_a_scale_are_read(tmp_path: Path) -> None:
    formats.write(sae(), tmp_path)
    edit(tmp_path / CONFIG, metadata={"layer": 3})
    assert formats.read(tmp_path).metadata["codes_in"] == "raw"
