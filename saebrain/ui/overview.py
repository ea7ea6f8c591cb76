"""The parts of the overview."""

from __future__ import annotations

from typing import Any

import streamlit as st

from saebrain.pipeline.state import State
from saebrain.study import Study
from saebrain.ui.text import escaped

PAPER = "arXiv:2605.23035"
_MARKS = {"done": "✓", "out of date": "↻", "not run": "–"}


def introduction(study: Study, figures: dict[str, Any]) -> str:
    """The study in two sentences; escaped for HTML."""
    who = "simulated subjects, as if they heard it" if study.simulated else "subjects who heard or read it"
    return (
        f"{escaped(figures['model'])} reads {figures['n_words']:,} words. A sparse autoencoder (SAE) splits its hidden states at layer "
        f"{figures['layer']} into {figures['n_features']:,} features, machine annotators sort them into categories, and encoding models ask which "
        f"categories predict the cortical responses of {figures['n_subjects']} {who}."
    )


def facts(figures: dict[str, Any]) -> dict[str, dict[str, str]]:
    """What the study is made of: title of a group, then name and value of each figure."""
    minutes = figures["n_samples"] * figures["tr_s"] / 60
    return {
        "Model and SAE": {
            "Model": str(figures["model"]),
            "Layer": str(figures["layer"]),
            "Features": f"{figures['n_features']:,}",
            f"FVU, {figures['quality_measured_on']}": f"{figures['fvu']:.3f}",
            "L0, active a token": f"{figures['l0']:.0f}",
            "Dead features": f"{figures['dead_fraction']:.1%}",
        },
        "Stimulus": {
            "Words": f"{figures['n_words']:,}",
            "Tokens": f"{figures['n_tokens']:,}",
            "Runs": str(figures["n_runs"]),
            "Duration": f"{minutes:.0f} min",
            "Features with a clear label": f"{figures['n_features'] - figures['n_labelled'].get('unclear', 0):,}",
            "Codebook": f"version {figures['codebook']}",
        },
        "Responses" + (" (simulated)" if figures["simulated"] else ""): {
            "Subjects": str(figures["n_subjects"]),
            "Samples a subject": f"{figures['n_samples']:,}",
            "Repetition time (TR)": f"{figures['tr_s']:g} s",
            "Vertices with data": f"{figures['n_vertices_scored']:,} of {figures['n_vertices']:,}",
            "r, all features": f"{figures['r_all']:.3f}",
            "r, 99th percentile": f"{figures['r_best_vertices']:.3f}",
        },
    }


def fact_list(title: str, values: dict[str, str]) -> None:
    """One group of figures."""
    rows = "".join(f'<tr><td class="faint">{escaped(name)}</td><td class="num"><b>{escaped(value)}</b></td></tr>' for name, value in values.items())
    st.html(f'<div class="sb"><b>{escaped(title)}</b><table style="margin-top:0.4rem"><tbody>{rows}</tbody></table></div>')


def claims(figures: dict[str, Any]) -> None:
    """Headline figures beside those of the paper, and why the two cannot be compared."""
    kappa = figures["machine_kappa"]
    rows = [
        (
            "r, semantic features alone",
            "absent" if figures["r_semantic"] is None else f"{figures['r_semantic']:.3f}",
            "0.285",
            f"The abstract gives one r beside the 94%; ours for all features is {figures['r_all']:.3f}.",
        ),
        (
            "Semantic r as a share of all features' r",
            "absent" if figures["fraction_of_peak"] is None else f"{figures['fraction_of_peak']:.0%}",
            "94%",
            "The paper's peak is its own; ours is all features of this layer.",
        ),
        (
            "Agreement of annotators (Cohen's κ)",
            "undefined" if kappa is None else f"{kappa:.2f}",
            "≥ 0.74",
            "Ours is between two machine annotators; theirs was validated by people.",
        ),
    ]
    body = "".join(
        f'<tr><td>{escaped(name)}</td><td class="num"><b>{escaped(ours)}</b></td><td class="num">{escaped(theirs)}</td>'
        f'<td class="faint">{escaped(note)}</td></tr>'
        for name, ours, theirs, note in rows
    )
    head = f'<tr><th>Figure</th><th class="num">This study</th><th class="num">{PAPER}</th><th>Note</th></tr>'
    st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>')
    other = "another model, simulated responses" if figures["simulated"] else "another model, other subjects"
    st.caption(
        f"The two stand side by side for orientation and are **not comparable**: {other}, and our own definition of categories, parcels and r. "
        "r: correlation of prediction and response in the held-out run, mean over runs, over the vertices of all parcels that the codebook predicts "
        "for any semantic subcategory, and over subjects."
    )


def pipeline(states: list[State]) -> None:
    """Every step: where it stands, and the command that runs it."""
    rows = "".join(
        f"<tr><td>{_MARKS[state.condition]} {escaped(state.condition)}</td><td>{escaped(state.title)}</td>"
        f'<td class="num">{"" if state.seconds is None else f"{state.seconds:,.1f} s"}</td>'
        f'<td class="num faint">{"" if state.finished is None else escaped(state.finished[:16].replace("T", " "))}</td>'
        f"<td><code>{escaped(state.command)}</code></td></tr>"
        for state in states
    )
    head = '<tr><th>State</th><th>Step</th><th class="num">Took</th><th class="num">Finished (UTC)</th><th>Command</th></tr>'
    st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>')
