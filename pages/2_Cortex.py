"""Cortex: which features predict which parts of it."""

from __future__ import annotations

from saebrain.ui import cortex_page
from saebrain.ui.frame import frame, heading
from saebrain.ui.selection import View

with frame("cortex") as study:
    heading("Cortex", study)
    view = View("cortex")
    controls = cortex_page.controls(view, study)
    if controls.show == "categories":
        cortex_page.categories(view, study, controls)
    else:
        cortex_page.selection(view, study, controls)
