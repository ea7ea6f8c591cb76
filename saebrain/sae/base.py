"""What all sparse autoencoders share: weights, the scale of their input, sparse codes.

Every architecture here computes, for a hidden state x brought to the SAE's scale (:mod:`saebrain.sae.scaling`)::

    z = W_enc^T (x - b_dec) + b_enc        (without b_dec if ``apply_b_dec_to_input`` is False)
    f = activate(z),   x_hat = W_dec^T f + b_dec

and differs in ``activate`` alone. Codes are sparse by nature, so they are kept as compressed rows from the start.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from saebrain.sae.scaling import Scaling


@dataclass(frozen=True)
class Codes:
    """Active features of some tokens, token after token: those of token t are at ``offsets[t]:offsets[t + 1]``.

    Values are positive; within a token the order of the features is not defined.
    """

    offsets: Int[Tensor, " tokens_plus_1"]
    features: Int[Tensor, " active"]
    values: Float[Tensor, " active"]

    @classmethod
    def select(cls, z: Float[Tensor, "tokens n_features"], on: Bool[Tensor, "tokens n_features"]) -> Self:
        """The entries of ``z`` where ``on``."""
        rows, features = on.nonzero(as_tuple=True)
        return cls(_offsets(torch.bincount(rows, minlength=len(z))), features, z[rows, features])

    @classmethod
    def top(cls, values: Float[Tensor, "tokens k"], features: Int[Tensor, "tokens k"]) -> Self:
        """The positive ones of k candidates a token."""
        on = values > 0
        return cls(_offsets(on.sum(dim=1)), features[on], values[on])

    @property
    def n_tokens(self) -> int:
        return len(self.offsets) - 1

    @property
    def tokens(self) -> Int[Tensor, " active"]:
        """Token of each entry."""
        return torch.repeat_interleave(torch.arange(self.n_tokens, device=self.offsets.device), self.offsets.diff())

    def dense(self, n_features: int) -> Float[Tensor, "tokens n_features"]:
        """As a full matrix."""
        full = self.values.new_zeros(self.n_tokens, n_features)
        full[self.tokens, self.features] = self.values
        return full


def _offsets(counts: Int[Tensor, " tokens"]) -> Int[Tensor, " tokens_plus_1"]:
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


@dataclass(frozen=True, kw_only=True)
class SAE(ABC):
    """A sparse autoencoder ready for use; all weights float32.

    ``metadata`` says where it comes from and what it was made for: ``model_name``, ``layer``, ``hook_name``,
    ``prefix``, ``context_size``, ``max_norm`` (norm above which a hidden state is unlike any in training), ``source``
    (format, hash) and the figures its maker claims; every entry may be missing.
    """

    architecture: ClassVar[str]

    W_enc: Float[Tensor, "d_in n_features"]
    b_enc: Float[Tensor, " n_features"]
    W_dec: Float[Tensor, "n_features d_in"]
    b_dec: Float[Tensor, " d_in"]
    apply_b_dec_to_input: bool = True
    scaling: Scaling = field(default_factory=Scaling)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def d_in(self) -> int:
        return self.W_enc.shape[0]

    @property
    def n_features(self) -> int:
        return self.W_enc.shape[1]

    def on(self, device: torch.device | str) -> Self:
        """The same SAE with its weights on a device; hidden states have to be there too."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)

    @abstractmethod
    def activate(self, z: Float[Tensor, "tokens n_features"]) -> Codes:
        """Codes from pre-activations."""

    def encode(self, x: Float[Tensor, "tokens d_in"]) -> Codes:
        """Codes of hidden states, in the SAE's own scale."""
        return self.activate(self._preactivations(self.scaling.frame(x).enter(x)))

    def split(self, x: Float[Tensor, "tokens d_in"]) -> tuple[Codes, Float[Tensor, "tokens d_in"]]:
        """Codes of hidden states, and their reconstruction in the units of ``x``."""
        frame = self.scaling.frame(x)
        codes = self.activate(self._preactivations(frame.enter(x)))
        return codes, frame.leave(self.decode(codes))

    def decode(self, codes: Codes) -> Float[Tensor, "tokens d_in"]:
        """Reconstruction in the SAE's own scale; :meth:`split` gives it in that of the hidden states."""
        bags = embedding_bag(codes.features, self.W_dec, codes.offsets, per_sample_weights=codes.values, mode="sum", include_last_offset=True)
        return bags + self.b_dec

    def _preactivations(self, x: Float[Tensor, "tokens d_in"]) -> Float[Tensor, "tokens n_features"]:
        centred = x - self.b_dec if self.apply_b_dec_to_input else x
        return torch.addmm(self.b_enc, centred, self.W_enc)
