"""The layer profile: where in the model the brain is predicted best."""

from __future__ import annotations

import streamlit as st

from saebrain.errors import InputError
from saebrain.pipeline.layer_profile import layer_profile
from saebrain.pipeline.runs import Run
from saebrain.pipeline.selection import ALL, NUISANCE
from saebrain.study import Study
from saebrain.taxonomy import SEMANTIC
from saebrain.ui.encoding_data import Shown
from saebrain.ui.encoding_plots import layer_profile_chart
from saebrain.ui.selection import View
from saebrain.ui.text import escaped, plain

SERIES = {ALL: "all features", SEMANTIC: "semantic", NUISANCE: "nuisance alone"}


def show(view: View, study: Study, found: Shown | None, run: Run | None) -> None:
    """Draw the section; it is about the study, whatever is selected."""
    try:
        profile = layer_profile(study)
    except InputError as error:
        st.error(plain(error), icon=":material/error:")
        return
    rows = [
        {"layer": layer["layer"], "series": title, "subject": subject, "r": r}
        for layer in profile["layers"]
        for name, title in SERIES.items()
        for subject, r in layer[name]["by_subject"].items()
        if r is not None
    ]
    left, right = st.columns([3, 2], gap="large")
    with left:
        chart = layer_profile_chart(rows, [layer["layer"] for layer in profile["layers"]])
        st.vega_lite_chart(chart, alt="r of all, semantic and no features at every layer")
        st.caption("Lines: means over subjects; open circles: subjects. r over predicted cortex, in held-out runs.")
    with right:
        body = "".join(
            f"<tr><td>{layer['layer']}</td>" + "".join(f'<td class="num">{_r(layer[name]["r"])}</td>' for name in SERIES) + "</tr>"
            for layer in profile["layers"]
        )
        head = "<tr><th>Layer</th>" + "".join(f'<th class="num">{escaped(title)}</th>' for title in SERIES.values()) + "</tr>"
        st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>')
        if len(profile["layers"]) > 1:
            st.caption(f"All features predict best at layer {profile['best']}: a description, no test.")
        st.caption("Each layer has its own SAE and its own labels: what differs may be these.")
    if profile["missing"]:
        missing = ", ".join(str(layer["layer"]) for layer in profile["missing"])
        st.markdown(f"Not encoded yet: layer {missing}. Run in a terminal, and reload the page:")
        st.code("\n".join(layer["command"] for layer in profile["missing"]), language="bash")


def _r(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "−")
