"""Features: find one, and see what it is about and where on the cortex it predicts."""

from __future__ import annotations

from saebrain.pipeline.state import check
from saebrain.ui import data, feature_filters, feature_list, feature_page, feature_plane
from saebrain.ui.frame import frame, heading
from saebrain.ui.selection import View

with frame("features") as study:
    heading("Features", study)
    check(study, "labels")
    table = data.table(study)
    view = View("features")
    rows = feature_filters.filters(view, study, table)
    number = feature_list.choose(view, study, table, rows)
    feature_plane.show(view, study, table, rows, number)
    feature_page.show(view, study, table, rows, number)
