"""What an encoding model scores at every vertex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Scores:
    """Held-out accuracy of one selection in one subject; NaN where a vertex has no data.

    r : of the whole prediction (selection and nuisance).
    r_features : of the selection's part of that same prediction.
    alphas : chosen penalty, per held-out run and parcel.
    """

    r: Float[np.ndarray, " vertices"]
    r_features: Float[np.ndarray, " vertices"]
    alphas: Float[np.ndarray, "runs parcels"]
