"""What all SAEs share."""

from __future__ import annotations

import torch

from saebrain.sae.jumprelu import JumpReLU
from saebrain.sae.scaling import Scaling


def test_a_sae_on_another_device_is_the_same_but_for_where_its_weights_are() -> None:
    weights = {
        name: torch.randn(*shape) for name, shape in (("W_enc", (3, 5)), ("W_dec", (5, 3)), ("b_enc", (5,)), ("b_dec", (3,)), ("threshold", (5,)))
    }
    scaling, metadata = Scaling("constant", 2.0), {"layer": 4}
    sae = JumpReLU(
        W_enc=weights["W_enc"],
        W_dec=weights["W_dec"],
        b_enc=weights["b_enc"],
        b_dec=weights["b_dec"],
        threshold=weights["threshold"],
        apply_b_dec_to_input=False,
        scaling=scaling,
        metadata=metadata,
    )
    moved = sae.on("meta")
    assert {getattr(moved, name).device.type for name in weights} == {"meta"}
    assert (moved.apply_b_dec_to_input, moved.scaling, moved.metadata) == (False, scaling, metadata)
    assert all(getattr(sae, name) is value for name, value in weights.items())
    assert all(getattr(sae.on("cpu"), name) is value for name, value in weights.items())  # nothing is copied that is there
