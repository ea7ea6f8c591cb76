"""Topography: does each subcategory predict the parcels that the codebook says it should?"""

from __future__ import annotations

from saebrain.ui import topography_page
from saebrain.ui.frame import TITLES, frame, heading
from saebrain.ui.selection import View

with frame("topography") as study:
    heading(TITLES["topography"], study)
    topography_page.show(View("topography"), study)
