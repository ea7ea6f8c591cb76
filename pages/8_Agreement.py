"""Agreement: how well the people who label agree, how sure that is, and what is still to be labelled."""

from __future__ import annotations

from saebrain.ui import agreement_page
from saebrain.ui.frame import TITLES, frame, heading
from saebrain.ui.selection import View

with frame("agreement") as study:
    heading(TITLES["agreement"], study)
    agreement_page.show(View("agreement"), study)
