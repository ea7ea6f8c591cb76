"""Adjudicate: features on which people differ, side by side, until each has a final label."""

from __future__ import annotations

from saebrain.pipeline.state import check
from saebrain.ui import adjudicate_page
from saebrain.ui.frame import TITLES, frame, heading
from saebrain.ui.selection import View

with frame("adjudicate") as study:
    heading(TITLES["adjudicate"], study)
    check(study, "labels")
    adjudicate_page.show(View("adjudicate"), study)
