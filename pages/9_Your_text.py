"""Your text: type or paste some, and see which features it activates, token by token."""

from __future__ import annotations

from saebrain.pipeline.state import check
from saebrain.ui import data, feature_text
from saebrain.ui.frame import frame, heading
from saebrain.ui.selection import View

with frame("text") as study:
    heading("Your text", study)
    check(study, "labels")
    feature_text.show(View("text"), study, data.table(study))
