"""The quality page: which SAEs, their figures side by side, over layers, and the course of their training."""

from __future__ import annotations

import shlex
from typing import Any, cast

import pandas as pd
import streamlit as st

from saebrain.pipeline.sae_figures import Measurement, Text
from saebrain.pipeline.sae_quality import KnownSAE, known_saes, progress, state_of, training_log
from saebrain.study import Study
from saebrain.ui import quality_plots as plots
from saebrain.ui.frame import export_name
from saebrain.ui.quality_table import figures_frame, figures_table
from saebrain.ui.selection import View
from saebrain.ui.text import plain

REFRESH_S = 5


def choose(view: View, study: Study) -> list[KnownSAE]:
    """Draw the choice of SAEs; returns the chosen ones."""
    known = known_saes(study)
    for sae in known:
        if sae.problem:
            st.warning(plain(sae.problem), icon=":material/folder_off:")
    by_key = {sae.key: sae for sae in known if not sae.problem}
    default = list(by_key)[: plots.POSSIBLE]
    keys = view.several("saes", list(by_key), default)[: plots.POSSIBLE]
    st.multiselect(
        "SAEs",
        list(by_key),
        format_func=lambda key: _name(by_key[key]),
        max_selections=plots.POSSIBLE,
        help="The study's own, those that come with saebrain for the same model, and the folders that study.toml names under sae_folders.",
        placeholder="Choose some",
        **view.widget("saes", keys, default),
    )
    return [by_key[key] for key in keys]


def show(view: View, study: Study, saes: list[KnownSAE]) -> None:
    """Draw everything about the chosen SAEs."""
    st.subheader("Figures", anchor=False)
    st.html(figures_table(saes))
    st.caption(
        "FVU: fraction of variance unexplained, 0 is perfect. L0: active features a token. Dead: share of the features active on none of the tokens, "
        "so the more the fewer tokens. Cross-entropy recovered: what is left of the model's next-token prediction when it runs on the "
        "reconstruction, 0% being that with zeros in its place."
    )
    _verdicts(saes)
    _missing(study, saes)
    table = figures_frame(saes)
    _download("Figures (CSV)", table, export_name(study, "sae-figures"))
    _over_layers(saes)
    _densities(view, saes)
    running = any(sae.state == "training" for sae in saes)
    st.fragment(_training, run_every=REFRESH_S if running else None)(view, study, saes)


def _verdicts(saes: list[KnownSAE]) -> None:
    """What the import check says against a SAE."""
    for sae in saes:
        for found in sae.measured:
            if found.check and found.check.status != "ok":
                sentence = " ".join([*found.check.reasons, *found.check.remedies])
                told = f"**{plain(sae.label)}**, on {plain(found.text)}: {plain(sentence)}"
                (st.error if found.check.status == "mismatch" else st.warning)(told, icon=":material/rule:")


def _missing(study: Study, saes: list[KnownSAE]) -> None:
    """The commands that measure what is not measured yet."""
    wanting = [sae for sae in saes if sae.state == "finished" and all(found.ce_recovered is None for found in sae.measured if found.of != "claimed")]
    if wanting:
        with st.expander(f"Cross-entropy is not measured for {', '.join(plain(sae.label) for sae in wanting)}"):
            st.markdown("Run this in a terminal, in the folder of saebrain; texts that the SAE was not trained on are best (`--texts FOLDER`).")
            source = shlex.quote(study.config.model.source)
            st.code(
                "\n".join(f"python -m saebrain sae check {shlex.quote(str(sae.folder))} --model {source} --write" for sae in wanting), language="bash"
            )


def _over_layers(saes: list[KnownSAE]) -> None:
    st.subheader("Over layers", anchor=False)
    measured = [found for sae in saes if sae.layer is not None for found in sae.measured]
    for row in (plots.FIGURES[:2], plots.FIGURES[2:]):
        for column, figure in zip(st.columns(2, gap="large"), row, strict=True):
            with column:
                if any(getattr(found, figure.field) is not None for found in measured):
                    st.vega_lite_chart(plots.by_layer(figure, saes), alt=f"{figure.title} over layers")
                else:
                    st.caption(f"{figure.title}: not measured.")


def _densities(view: View, saes: list[KnownSAE]) -> None:
    st.subheader("How often features are active", anchor=False)
    kinds: list[Text] = [text for text in ("other", "study") if any((found := sae.on(text)) and found.density for sae in saes)]
    if not kinds:
        st.caption("No density is measured for these SAEs.")
        return
    text = cast(Text, view.choice("text", kinds, kinds[0]))
    if len(kinds) > 1:
        st.segmented_control(
            "Measured on",
            kinds,
            format_func=lambda kind: plots.TEXTS[kind],
            required=True,
            **view.widget("text", text, kinds[0]),
        )
    shown: dict[str, Measurement] = {sae.label: found for sae in saes if (found := sae.on(text)) and found.density}
    histograms = {label: found.density for label, found in shown.items() if found.density}
    st.vega_lite_chart(plots.densities(histograms, [sae.label for sae in saes]), alt="Histogram of the features' densities")
    never = "; ".join(f"{plain(label)}: {density['never']:,}" for label, density in histograms.items())
    where = "; ".join(dict.fromkeys(plain(found.text) for found in shown.values()))
    st.caption(f"Measured on {where}. Features that are active on none of its tokens are in no bin ({never}).")


def _training(view: View, study: Study, saes: list[KnownSAE]) -> None:
    """Progress and curves; drawn again every few seconds while a run goes on, and the whole page once it has ended."""
    st.subheader("Training", anchor=False)
    for sae in saes:
        if sae.state != "finished":
            if state_of(sae.folder) == "finished":
                st.rerun()
            _progress(sae)
    logs = {sae.label: log for sae in saes if (log := training_log(sae.folder)) is not None and not log.empty}
    without = [plain(sae.label) for sae in saes if sae.label not in logs]
    if without:
        st.caption(f"No training log: {', '.join(without)}.")
    if not logs:
        return
    axes = [column for column in plots.OVER if any(column in log for log in logs.values())]
    over = view.choice("over", axes, axes[0])
    st.segmented_control("Over", axes, format_func=lambda axis: plots.OVER[axis], required=True, **view.widget("over", over, axes[0]))
    labels = [sae.label for sae in saes]
    curves = [figure for figure in plots.CURVES if any(figure.field in log for log in logs.values())]
    for first in range(0, len(curves), 2):
        for column, figure in zip(st.columns(2, gap="large"), curves[first : first + 2], strict=False):
            with column:
                st.vega_lite_chart(plots.curve(figure, logs, over, labels), alt=f"{figure.title} in training")
    st.caption("Measured on the batch of the step: training text, not held out. Dead: active on none of the last tokens that training looks back on.")
    _download("Training curves (CSV)", pd.concat([log.assign(sae=label) for label, log in logs.items()]), export_name(study, "sae-training"))


def _progress(sae: KnownSAE) -> None:
    """How far a run is, in a line and a bar."""
    now = progress(sae)
    if now is None:
        st.info(f"**{plain(sae.label)}**: nothing logged yet.", icon=":material/hourglass_top:")
        return
    share = f"step {now.done:,}" + (f" of {now.total:,} ({now.done / now.total:.0%})" if now.total else "")
    if sae.state == "stopped":
        told = f"**{plain(sae.label)}** stopped at {share}, {_duration(now.quiet_s)} ago; the same command goes on from there."
    else:
        left = "" if now.left_s is None else f", {_duration(now.left_s)} left"
        told = f"**{plain(sae.label)}** in training: {share}, {now.tokens / 1e6:.1f} million tokens, {now.tokens_per_s:,.0f} tokens/s{left}."
    if now.total:
        st.progress(min(1.0, now.done / now.total), text=told)
    else:
        st.markdown(told)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _name(sae: KnownSAE) -> str:
    """In the choice: the label with what tells SAEs apart."""
    marks = [*(["this study"] if sae.own else []), *([sae.state] if sae.state != "finished" else [])]
    return f"{sae.label} ({', '.join(marks)})" if marks else sae.label


def _download(label: str, table: pd.DataFrame, stem: str) -> None:
    options: dict[str, Any] = {"on_click": "ignore", "icon": ":material/download:", "type": "tertiary"}
    st.download_button(label, lambda: table.to_csv(index=False).encode(), f"{stem}.csv", "text/csv", **options)
