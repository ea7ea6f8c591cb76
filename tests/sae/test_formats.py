"""SAE folders: what is written can be read, here and by SAELens; what is wrong is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from saebrain.errors import InputError
from saebrain.sae import formats
from saebrain.sae.layout import CONFIG, WEIGHTS, read_config
from saebrain.sae.topk import TopK

SHIPPED = Path(__file__).parent.parent.parent / "data" / "sae"
NAMES = ("W_enc", "b_enc", "W_dec", "b_dec")


def sae(**changes: Any) -> TopK:
    g = torch.Generator().manual_seed(0)
    plain = TopK(
        k=3,
        W_enc=torch.randn(5, 12, generator=g),
        b_enc=torch.randn(12, generator=g),
        W_dec=torch.randn(12, 5, generator=g),
        b_dec=torch.randn(5, generator=g),
        metadata={"layer": 15, "max_norm": 1204.96, "note": "Größe"},
    )
    return replace(plain, **changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    formats.write(sae(), tmp_path / "sae")
    return tmp_path / "sae"


@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
def test_round_trip(tmp_path: Path, apply_b_dec_to_input: bool) -> None:
    written = sae(apply_b_dec_to_input=apply_b_dec_to_input)
    formats.write(written, tmp_path)
    back = formats.read(tmp_path)
    assert (back.k, back.metadata, back.apply_b_dec_to_input) == (3, written.metadata, apply_b_dec_to_input)
    for name in NAMES:
        assert getattr(back, name).dtype == torch.float32
        assert torch.equal(getattr(back, name), getattr(written, name).half().float())
    assert sorted(path.name for path in tmp_path.iterdir()) == [CONFIG, WEIGHTS]


def test_weights_beyond_half_precision_are_kept(tmp_path: Path) -> None:
    large = sae(b_dec=torch.tensor([1e5, 0.1, 0.0, -3.0, 2.0]))
    formats.write(large, tmp_path)
    assert torch.equal(formats.read(tmp_path).b_dec, large.b_dec)
    assert load_file(tmp_path / WEIGHTS)["W_enc"].dtype == torch.float16


def test_files_follow_the_saelens_layout(folder: Path) -> None:
    """Field by field the config of SAELens' TopKSAEConfig (version 6), and the weights of its TopKSAE with their shapes."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    assert config == {
        "architecture": "topk",
        "d_in": 5,
        "d_sae": 12,
        "k": 3,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "rescale_acts_by_decoder_norm": False,
        "metadata": sae().metadata,
    }
    shapes = {name: tuple(weight.shape) for name, weight in load_file(folder / WEIGHTS).items()}
    assert shapes == {"W_enc": (5, 12), "b_enc": (12,), "W_dec": (12, 5), "b_dec": (5,)}


def test_a_config_without_our_own_fields_is_read(folder: Path) -> None:
    """As another program may write it, in another precision too."""
    (folder / CONFIG).write_text(json.dumps({"architecture": "topk", "d_in": 5, "d_sae": 12, "k": 3}))
    save_file({name: getattr(sae(), name).bfloat16() for name in NAMES}, folder / WEIGHTS)
    back = formats.read(folder)
    assert (back.apply_b_dec_to_input, back.metadata) == (True, {})
    assert torch.equal(back.W_dec, sae().W_dec.bfloat16().float())


@pytest.mark.parametrize("path", sorted(SHIPPED.rglob(CONFIG)), ids=lambda path: path.parent.name)
def test_shipped_saes_can_be_read(path: Path) -> None:
    shipped = formats.read(path.parent)
    assert shipped.d_in == 576
    torch.testing.assert_close(shipped.W_dec.norm(dim=1), torch.ones(shipped.n_features), rtol=0, atol=2e-3)


def refused(folder: Path, file: str) -> str:
    with pytest.raises(InputError) as caught:
        formats.read(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert file in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "jumprelu"}, "architecture 'jumprelu' is not supported; only 'topk' can be read so far"),
        ({"architecture": None}, "architecture None is not supported"),
        ({"normalize_activations": "layer_norm"}, "normalize_activations = 'layer_norm' is not supported (only 'none'); fold it into the weights"),
        ({"rescale_acts_by_decoder_norm": True}, "rescale_acts_by_decoder_norm = True is not supported (only False); fold it into the weights first"),
        ({"reshape_activations": "hook_z"}, "reshape_activations = 'hook_z' is not supported"),
        ({"d_in": "5"}, "d_in = '5' is no positive whole number; restore the file"),
        ({"k": 0}, "k = 0 is no positive whole number; restore the file"),
        ({"k": 13}, "k = 13 is more than the 12 features of d_sae; restore the file"),
        ({"metadata": None}, "metadata is a NoneType, not an object; restore the file"),
    ],
)
def test_configs_that_cannot_be_computed_are_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(json.dumps(config | change), encoding="utf-8")
    assert message in refused(folder, CONFIG)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'k': 3}", "not valid JSON"),
        ("", "not valid JSON"),
        ("\udcff", "not valid JSON"),
        ("[1, 2]", "holds a list, not an object; restore the file or train the SAE again"),
        ('{"architecture": "topk", "d_in": 5}', "d_sae, k missing; restore the file"),
    ],
)
def test_damaged_configs_are_refused(folder: Path, text: str, message: str) -> None:
    (folder / CONFIG).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert message in refused(folder, CONFIG)


def test_a_folder_without_a_config_is_told_the_next_step(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        assert "no cfg.json; give a folder with cfg.json and sae_weights.safetensors, or train one: python" in refused(folder, CONFIG)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def change(**weights: Any) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        save_file({name: weight for name, weight in (load_file(path) | weights).items() if weight is not None}, path)

    return act


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "weights cannot be read"),
        (truncate, "weights cannot be read"),
        (lambda path: path.write_bytes(b"\x80\x04."), "weights cannot be read"),
        (change(W_enc=torch.zeros(12, 5)), "W_enc should be (5, 12) by cfg.json, received (12, 5); weights and cfg.json do not belong together"),
        (change(b_enc=torch.zeros(11)), "b_enc should be (12,) by cfg.json, received (11,)"),
        (change(b_dec=None), "b_dec should be (5,) by cfg.json, received nothing"),
        (change(W_dec=torch.full((12, 5), torch.nan)), "W_dec holds NaN or infinite values; restore the file or train the SAE again"),
        (change(b_dec=torch.full((5,), torch.inf)), "b_dec holds NaN or infinite values"),
    ],
)
def test_damaged_weights_are_refused(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder / WEIGHTS)
    assert message in refused(folder, WEIGHTS)


def test_an_interrupted_write_leaves_no_folder_that_looks_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(formats, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        formats.write(sae(), tmp_path)
    with pytest.raises(InputError, match=r"no cfg\.json"):
        formats.read(tmp_path)


def test_config_alone_is_read_without_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    assert read_config(folder)["d_sae"] == 12
