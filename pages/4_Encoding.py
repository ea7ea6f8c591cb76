"""Encoding: choose which features enter the model, and see the cortex answer."""

from __future__ import annotations

import time

from saebrain.ui import encoding_page
from saebrain.ui.frame import TITLES, frame, heading
from saebrain.ui.selection import View

started = time.perf_counter()
with frame("encoding") as study:
    heading(TITLES["encoding"], study)
    encoding_page.show(View("encoding"), study, started)
