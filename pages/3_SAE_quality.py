"""SAE quality: how well each SAE does, on which text, at which layer, and how its training went."""

from __future__ import annotations

import streamlit as st

from saebrain.ui import quality_page
from saebrain.ui.frame import TITLES, frame, heading
from saebrain.ui.selection import View

with frame("quality") as study:
    heading(TITLES["quality"], study)
    view = View("quality")
    chosen = quality_page.choose(view, study)
    if chosen:
        quality_page.show(view, study, chosen)
    else:
        st.info("No SAE is chosen.", icon=":material/info:")
