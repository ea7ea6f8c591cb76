"""The list of recorded runs: open, rename, delete, export; and where the open one comes from."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from saebrain.errors import SaebrainError
from saebrain.pipeline import runs
from saebrain.pipeline.runs import Run
from saebrain.study import Study
from saebrain.ui import encoding_data as data
from saebrain.ui.encoding_data import Shown
from saebrain.ui.encoding_jobs import duration
from saebrain.ui.frame import export_name
from saebrain.ui.selection import View
from saebrain.ui.text import escaped, plain

_WRONG = "encoding runs error"


def show(view: View, study: Study, found: Shown | None, run: Run | None) -> None:
    """Draw the section."""
    if message := st.session_state.pop(_WRONG, None):
        st.error(plain(message), icon=":material/error:")
    recorded = runs.all_runs(study)
    if not recorded:
        st.info(
            "No run is recorded yet: **Map every vertex** records one, **Record this run** keeps a map that is there.", icon=":material/bookmarks:"
        )
        return
    _listed(recorded)
    listed = runs.runs_table(recorded)
    by_id = {each.id: each for each in recorded}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Run",
            list(by_id),
            format_func=lambda number: f"{by_id[number].name} · {by_id[number].started[:16].replace('T', ' ')}",
            key="encoding run",
        )
        _actions(view, study, by_id[chosen])
        st.download_button(
            "Runs (CSV)",
            lambda: listed.to_csv(index=False).encode(),
            f"{export_name(study, 'encoding-runs')}.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/download:",
            type="tertiary",
        )
    with st.expander(f"Where {plain(by_id[chosen].name)} comes from", icon=":material/history_edu:"):
        _provenance(by_id[chosen])


def _listed(recorded: list[Run]) -> None:
    rows = pd.DataFrame(
        [
            {
                "name": each.name,
                "selection": data.named(each.selection),
                "layer": each.layer,
                "features": each.n_features,
                "r": each.r,
                "peak": None if each.fraction_of_peak is None else 100 * each.fraction_of_peak,
                "own": each.r_features,
                "when": each.started[:16].replace("T", " "),
                "took": "was there" if not each.seconds else duration(each.seconds),
                "user": each.user,
            }
            for each in recorded
        ]
    )
    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            "name": st.column_config.TextColumn("Name", width="medium"),
            "selection": st.column_config.TextColumn("Selection", width="medium"),
            "layer": st.column_config.NumberColumn("Layer", width=60),
            "features": st.column_config.NumberColumn("Features", format="localized", width=80),
            "r": st.column_config.NumberColumn("r", format="%.3f", width=65, help="Mean over predicted cortex and subjects."),
            "peak": st.column_config.NumberColumn("of peak", format="%.0f%%", width=75, help="Share of the r of all features."),
            "own": st.column_config.NumberColumn("r, features' part", format="%.3f", width=110),
            "when": st.column_config.TextColumn("When (UTC)", width=130),
            "took": st.column_config.TextColumn("Took", width=75),
            "user": st.column_config.TextColumn("By", width=75),
        },
        alt="Recorded runs with their figures",
    )


def _actions(view: View, study: Study, run: Run) -> None:
    def open_() -> None:
        view.set("run", run.id)
        view.set("pick", run.selection)
        view.set("layer", str(run.layer), str(study.main_layer))

    def rename() -> None:
        _try(lambda: runs.rename(study, run.id, st.session_state[f"encoding name {run.id}"]))

    def delete() -> None:
        if view.text("run") == run.id:
            view.set("run", None)
        _try(lambda: runs.delete(study, run.id))

    st.button("Open", icon=":material/open_in_full:", on_click=open_, help="Shows its map, with the selection it was made from.")
    with st.popover("Rename", icon=":material/edit:"):
        st.text_input("Name", run.name, max_chars=runs.LONGEST_NAME, key=f"encoding name {run.id}")
        st.button("Save the name", on_click=rename)
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(f"Delete **{plain(run.name)}**? Its map goes too, unless another run or a standard selection has it. This cannot be undone.")
        st.button("Delete this run", on_click=delete, type="primary")


def _try(change: object) -> None:
    assert callable(change)
    try:
        change()
    except SaebrainError as error:
        st.session_state[_WRONG] = str(error)  # said when the page is drawn: callbacks run before


def _provenance(run: Run) -> None:
    facts = {
        "Selection": run.selection,
        "Study": f"{run.study}, layer {run.layer}" + (" (simulated responses)" if run.simulated else ""),
        "Codebook": f"version {run.codebook}",
        "Labels": run.labels,
        "Result": f"encoding/{run.result}",
        "Started": f"{run.started} by {run.user}",
        "Took": "the map was there already" if not run.seconds else f"{run.seconds:.1f} s",
        "Settings": "; ".join(f"{name} {value}" for name, value in run.settings.items()),
        "Software": "; ".join(f"{name} {value}" for name, value in run.versions.items()),
    }
    rows = "".join(f'<tr><td class="faint">{escaped(name)}</td><td>{escaped(value)}</td></tr>' for name, value in facts.items())
    st.html(f'<div class="sb"><table><tbody>{rows}</tbody></table></div>')
