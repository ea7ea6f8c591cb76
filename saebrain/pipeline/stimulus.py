"""The stimulus as the encoding model sees it: features pooled over words, brought to samples, with the nuisance bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse

from saebrain import design
from saebrain.codes import SparseCodes
from saebrain.pipeline.timing import check_length, run_samples
from saebrain.store import read_table
from saebrain.study import Study
from saebrain.tokens import word_surprisal


@dataclass(frozen=True)
class Stimulus:
    """The stimulus as the encoding model sees it, run by run."""

    run_lengths: list[int]
    words: pd.DataFrame
    pooled: dict[str, sparse.csr_array]
    downsampling: dict[str, Float[np.ndarray, "samples words"]]
    nuisance: Float[np.ndarray, "all_samples bands"]

    def courses(self, features: Int[np.ndarray, " chosen"] | None, *, unit: bool) -> Float[np.ndarray, "all_samples features"]:
        """Downsampled, within-run standardised courses of some features (all if None)."""
        blocks = []
        for run, matrix in self.downsampling.items():
            values = self.pooled[run] if features is None else self.pooled[run][:, features]
            blocks.append(design.standardise((sparse.csr_array(matrix.astype(np.float32)) @ values).toarray().astype(np.float32), unit=unit))
        return np.concatenate(blocks)


def load_stimulus(study: Study, codes: SparseCodes) -> Stimulus:
    """Words, codes and nuisance bands of a study, ready for kernels."""
    words = read_table(study.words, "python -m saebrain stimulus")
    tokens = read_table(study.tokens, "python -m saebrain activations")
    section, tr_s = study.config.encoding, study.config.responses.tr_s
    lengths = run_samples(study)
    pooled, down, nuisance = {}, {}, []
    for samples, (run, group) in zip(lengths, words.groupby("run", sort=False), strict=True):
        check_length(group, samples, tr_s)
        rows = np.flatnonzero((tokens["run"] == run).to_numpy())
        inside = (codes.token >= rows[0]) & (codes.token <= rows[-1])
        pooled[run] = design.pool_tokens(
            codes.feature[inside],
            codes.token[inside] - rows[0],
            codes.value[inside],
            tokens["word"].to_numpy()[rows],
            n_words=len(group),
            n_features=codes.n_features,
            how=section.pooling,
        )
        down[run] = design.downsampling(group["onset_s"].to_numpy(), samples=samples, tr_s=tr_s, how=section.downsampling)
        bands = design.nuisance(group, word_surprisal(tokens.iloc[rows], len(group)))
        nuisance.append(design.standardise(down[run] @ bands, unit=True))
    return Stimulus(lengths, words, pooled, down, np.concatenate(nuisance))
