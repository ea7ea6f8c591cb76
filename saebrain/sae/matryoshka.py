"""Matryoshka BatchTopK sparse autoencoder (Bussmann et al. 2025, arXiv:2503.17547).

The first m features of each prefix size m must reconstruct the input by themselves, so early features stay general
while later ones specialise. At inference it is a BatchTopK SAE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from saebrain.sae.batch_topk import BatchTopK


@dataclass(frozen=True, kw_only=True)
class Matryoshka(BatchTopK):
    """A BatchTopK SAE with nested dictionaries; ``prefixes`` are their sizes, ascending, the last one all features."""

    architecture: ClassVar[str] = "matryoshka_batchtopk"
    prefixes: tuple[int, ...]
