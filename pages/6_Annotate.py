"""Annotate: one feature at a time, its evidence beside the codebook, blind to maps and to what others say."""

from __future__ import annotations

from saebrain.pipeline.state import check
from saebrain.ui import annotate_page
from saebrain.ui.frame import TITLES, frame, heading
from saebrain.ui.selection import View

with frame("annotate") as study:
    heading(TITLES["annotate"], study)
    check(study, "labels")
    annotate_page.show(View("annotate"), study)
