"""FreeSurfer's sphere: where each vertex of fsaverage5 lies once its hemisphere is blown up to a ball. For spin tests, not for show."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Float32

from saebrain.errors import InputError
from saebrain.surface.mesh import FSAVERAGE5_PER_HEMISPHERE, HEMISPHERES


@lru_cache(maxsize=1)
def fsaverage5_sphere() -> Float32[np.ndarray, "vertices 3"]:
    """Coordinates on the sphere of radius 100 mm, left hemisphere first, each centred on 0 (Fischl et al. 1999); read-only.

    x points right in both hemispheres, so that mirror images differ in the sign of x.

    Raises
    ------
    InputError
        If nilearn, whose files these are, is missing or has other ones.
    """
    spec = importlib.util.find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise InputError("the fsaverage5 sphere comes with nilearn, which is not installed; run: pip install nilearn")
    folder = Path(spec.origin).parent / "datasets" / "data" / "fsaverage5"
    halves = []
    for hemisphere in HEMISPHERES:
        path = folder / f"sphere_{hemisphere}.gii.gz"
        if not path.is_file():
            raise InputError(f"{path.name} is not in the installed nilearn ({path.parent}); run: pip install --force-reinstall nilearn")
        xyz = np.asarray(nibabel.load(path).darrays[0].data, np.float32)
        if xyz.shape != (FSAVERAGE5_PER_HEMISPHERE, 3):
            raise InputError(f"{path}: coordinates of shape {xyz.shape}, expected ({FSAVERAGE5_PER_HEMISPHERE:,}, 3); reinstall nilearn")
        halves.append(xyz)
    both = np.concatenate(halves)
    both.flags.writeable = False
    return both
