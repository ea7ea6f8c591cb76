"""One selection against another, or against a recorded run: figures side by side, both maps, and their difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from saebrain.errors import InputError
from saebrain.pipeline import live, runs
from saebrain.pipeline.cortical import Part, reach
from saebrain.pipeline.results import read_result
from saebrain.pipeline.runs import Run
from saebrain.pipeline.selection import ALL, NUISANCE
from saebrain.pipeline.space import study_space
from saebrain.study import Study
from saebrain.ui import cortex
from saebrain.ui import encoding_data as data
from saebrain.ui.encoding_data import Shown
from saebrain.ui.encoding_parcels import part_of
from saebrain.ui.frame import export_name
from saebrain.ui.selection import View
from saebrain.ui.text import MEAN, escaped, plain, whose

PREVIOUS = "previous"


def show(view: View, study: Study, found: Shown | None, run: Run | None) -> None:
    """Draw the section."""
    assert found is not None
    recorded = {each.id: each for each in runs.all_runs(study) if run is None or each.id != run.id}
    names = {ALL: "all features", NUISANCE: "nuisance alone"}
    earlier = runs.previous_run(study, found.selection) if run is None else next((each for each in recorded.values() if each.id < run.id), None)
    if earlier is not None:
        names[PREVIOUS] = f"the previous run: {earlier.name}"
    names |= {number: f"{each.name} · {each.started[:16].replace('T', ' ')}" for number, each in recorded.items()}
    against = view.choice("against", list(names), ALL)
    st.selectbox("Against", list(names), format_func=names.__getitem__, **view.widget("against", against, ALL))
    other_run = earlier if against == PREVIOUS else recorded.get(against)
    if other_run is not None and not found.by_vertex:
        st.info("Recorded runs are compared vertex by vertex: map every vertex of this selection first.", icon=":material/compare:")
        return
    try:
        other = data.of_result(study, other_run.selection, runs.run_result(study, other_run)) if other_run else _counterpart(study, found, against)
    except InputError as error:
        st.error(plain(error), icon=":material/error:")
        return
    name = names[against].removeprefix("the previous run: ")
    _figures(study, found, other, name)
    _maps(view, study, found, other, name)


def _counterpart(study: Study, found: Shown, selection: str) -> Shown:
    """A selection scored as the one that is shown: parcels are not compared with means over vertices.

    Raises
    ------
    MissingStepError
        If its map has not been computed.
    """
    if not found.by_vertex:
        return data.of_answer(study, selection, data.answer(study, selection), 0 if selection == NUISANCE else len(data.labels(study)))
    return data.of_result(study, selection, read_result(study, selection))


def _figures(study: Study, found: Shown, other: Shown, name: str) -> None:
    where = data.cortex(study)
    rows: list[tuple[str, float, float, str]] = [("Features", found.n_features, other.n_features, "d")]
    ours, theirs = found.mean_r(where), other.mean_r(where)
    rows.append(("r, group", _mean(ours), _mean(theirs), ".3f"))
    rows += [(f"r, {subject}", ours[subject], theirs[subject], ".3f") for subject in ours if subject in theirs]
    if found.n_features and other.n_features:
        rows.append(("r of the features' part, group", _mean(found.mean_r(where, "features")), _mean(other.mean_r(where, "features")), ".3f"))
    rows += _shares(study, found, other)
    body = "".join(
        f'<tr><td>{escaped(title)}</td><td class="num"><b>{_written(a, form)}</b></td><td class="num">{_written(b, form)}</td>'
        f'<td class="num">{_written(a - b, form, sign=True)}</td><td class="num">{f"{a / b:.0%}" if b > 0 else "–"}</td></tr>'
        for title, a, b, form in rows
    )
    head = (
        f'<tr><th>Mean over predicted cortex</th><th class="num">{escaped(data.named(found.selection))}</th><th class="num">{escaped(name)}</th>'
        '<th class="num">difference</th><th class="num">share</th></tr>'
    )
    st.html(f'<div class="sb"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>')


def _shares(study: Study, found: Shown, other: Shown) -> list[tuple[str, float, float, str]]:
    """What is known of both once their statistics are computed: r beside the noise ceiling and beside all features."""
    if not (found.by_vertex and other.by_vertex):
        return []
    ours, theirs = (live.read_statistics(study, shown.selection) or {} for shown in (found, other))
    titles = {"r_normalised": "r / noise ceiling", "fraction_of_peak": "Fraction of the peak"}
    known = {title: (ours.get(name), theirs.get(name)) for name, title in titles.items()}
    return [(title, _or_nan(a), _or_nan(b), ".0%") for title, (a, b) in known.items() if a is not None or b is not None]


def _maps(view: View, study: Study, found: Shown, other: Shown, name: str) -> None:
    subjects = [subject for subject in found.subjects if subject in other.subjects]
    wanted = view.choice("subject", [MEAN, *found.subjects], MEAN)
    if wanted not in subjects and (wanted != MEAN or not subjects):
        st.info(f"The other has no subject {plain(wanted)}.", icon=":material/person_off:")
        return
    chosen = part_of(view.choice("part", ["whole", "features"], "whole"), found)
    part: Part = chosen if other.n_features else "whole"
    ours, theirs = (_values(shown, part, subjects if wanted == MEAN else [wanted]) for shown in (found, other))
    surface = view.choice("surface", cortex.SURFACES, cortex.SURFACES[0])
    look = cortex.Look(surface, 0.0, not found.by_vertex)
    end = max(reach(ours), reach(theirs))
    what = "features' part" if part == "features" else "whole prediction"
    for column, values, title in zip(st.columns(2, gap="large"), (ours, theirs), (data.named(found.selection), name), strict=True):
        with column:
            st.markdown(f"**{plain(title)}**")
            cortex.show_map(study_space(study), values, cortex.Scale(f"r of the {what}, {whose(wanted)}", end), look, alt=f"r of {title}", rows=2)
    difference = ours - theirs
    st.markdown(f"**Difference: {plain(data.named(found.selection))} − {plain(name)}**")
    scale = cortex.Scale(f"Difference in r, {what}, {whose(wanted)}", reach(difference, 0.05))
    cortex.show_map(study_space(study), difference, scale, look, alt=f"Difference in r from {name}")
    st.caption("A description: no test is applied to the difference.")
    stem = export_name(study, "difference", found.selection.replace("/", "-")[:40], wanted)
    cortex.map_downloads(study_space(study), difference, scale, look, stem=stem, title=f"{data.named(found.selection)[:40]} - {name[:40]}")


def _values(shown: Shown, part: Part, subjects: list[str]) -> Any:
    return np.mean([shown.values(part, subject) for subject in subjects], axis=0)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _mean(r: dict[str, float]) -> float:
    return float(np.mean(list(r.values())))


def _written(value: float, form: str, *, sign: bool = False) -> str:
    if not np.isfinite(value):
        return "–"
    return format(int(value) if form == "d" else value, ("+" if sign else "") + ("," if form == "d" else "") + form).replace("-", "−")
