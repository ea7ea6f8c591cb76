"""The viewer on a page: which maps it leafs through, and what happens when it is used.

The mesh goes to the browser once in a session, by a component of its own. Maps go there once each: what the browser holds
is kept in the session, and whatever it misses after all (a message may be skipped when reruns overtake each other) it asks for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import monotonic
from typing import Any

import streamlit as st

from saebrain.surface.atlas import Atlas, desikan_killiany
from saebrain.surface.mesh import Surfaces, fsaverage5
from saebrain.ui.viewer.code import mount_code, store_code
from saebrain.ui.viewer.payload import MATTERS, State, SurfaceMap, mesh_bytes, mesh_name, view_bytes

AROUND = 4
"""Maps before and after the current one that the browser holds ready."""
OTHERS_S = 0.15
"""Seconds that one rerun spends on them; what is not there then, the browser asks for again."""

_viewer = st.components.v2.component("saebrain_viewer", js=mount_code())
_store = st.components.v2.component("saebrain_store", js=store_code())


@dataclass(frozen=True)
class Leaves:
    """Maps to leaf through.

    Parameters
    ----------
    prefix : str
        What makes these maps differ from others of the same names: study, subject and so on.
    order : sequence of str
        Their names, as they follow each other.
    title : function
        The name of a map as people read it.
    make : function
        The map of that name. Called only for maps that the browser needs.
    """

    prefix: str
    order: Sequence[str]
    title: Callable[[str], str]
    make: Callable[[str], SurfaceMap]

    def around(self, current: str) -> tuple[list[str], bool, bool]:
        """Names from some before to some after one; whether they begin with the first and end with the last of all."""
        if current not in self.order:
            return [current], True, True
        at = self.order.index(current)
        low, high = max(0, at - AROUND), min(len(self.order), at + AROUND + 1)
        return list(self.order[low:high]), low == 0, high == len(self.order)


@dataclass(frozen=True)
class Acts:
    """What to do when the reader flips to another map, pins a vertex (None: unpins it), or changes how maps are drawn."""

    flip: Callable[[str], None] = lambda name: None
    pick: Callable[[int | None], None] = lambda vertex: None
    look: Callable[[Mapping[str, Any]], None] = lambda look: None


@dataclass
class _Session:
    """What is known of the browser of this session."""

    meshes: set[str] = field(default_factory=set)
    maps: set[str] = field(default_factory=set)
    seen: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MATTERS, 0))
    wanted: list[str] = field(default_factory=list)
    flipped: bool = False
    missing: bool = False


def session() -> _Session:
    """The browser's side, as this session knows it."""
    found: _Session = st.session_state.setdefault("surface viewer", _Session())
    return found


def without_webgl() -> bool:
    """Whether this browser has said that it cannot draw the viewer."""
    return session().missing


def show(
    key: str,
    leaves: Leaves,
    current: str,
    *,
    look: Mapping[str, Any],
    defaults: Mapping[str, Any],
    pinned: int | None,
    acts: Acts,
    surfaces: Surfaces | None = None,
    atlas: Atlas | None = None,
) -> None:
    """Draw the viewer; to be called in a fragment, as prefetching reruns only that. A flip reruns the whole page.

    Raises
    ------
    InputError
        If a map does not fit the mesh.
    """
    known, surfaces, atlas = session(), surfaces or fsaverage5(), atlas or desikan_killiany()
    if known.flipped:
        known.flipped = False
        st.rerun()
    name, data = _mesh(surfaces, atlas)
    around, first, last = leaves.around(current)
    nearest = sorted(set(known.wanted) & set(around), key=lambda each: abs(around.index(each) - around.index(current)))
    known.wanted = []
    maps = _made(leaves, current, nearest, known.maps)
    state = State(
        mesh=name,
        prefix=leaves.prefix,
        current=leaves.prefix + current,
        around={leaves.prefix + each: leaves.title(each) for each in around},
        first=first,
        last=last,
        look=look,
        defaults=defaults,
        pinned=pinned,
        seen=known.seen,
    )
    _viewer(key=key, data=view_bytes(state, maps, surfaces), on_report_change=lambda: _heard(key, leaves, acts))
    known.maps |= maps.keys()
    place = st.container()
    if name not in known.meshes:
        with place:
            _store(key=f"{key} mesh", data=data)
        known.meshes.add(name)


def _made(leaves: Leaves, current: str, others: Iterable[str], there: Collection[str]) -> dict[str, SurfaceMap]:
    """The current map and others that the browser lacks, as far as these do not take long together."""
    maps, until = {}, math.inf
    for each in [current, *others]:
        if monotonic() > until:
            break
        if leaves.prefix + each not in there:
            maps[leaves.prefix + each] = leaves.make(each)
        if each == current:
            until = monotonic() + OTHERS_S
    return maps


def _heard(key: str, leaves: Leaves, acts: Acts) -> None:
    """Act on what the browser reports. Each matter has a number: what was dealt with before is told again until the answer is there."""
    if key not in st.session_state:  # the reader has left that page
        return
    known, report, cut = session(), dict(st.session_state[key]["report"]), len(leaves.prefix)
    known.maps = {each for each in known.maps if not each.startswith(leaves.prefix)} | set(map(str, report["have"]))
    known.wanted = [str(each)[cut:] for each in report.get("need", [])]
    known.missing = known.missing or bool(report.get("missing"))
    if report.get("mesh"):
        known.meshes.clear()
    new = {matter: report[matter] for matter in known.seen if matter in report and report[matter]["at"] > known.seen[matter]}
    known.seen = known.seen | {matter: int(value["at"]) for matter, value in new.items()}
    if "look" in new:
        acts.look(new["look"])
    if "pick" in new:
        vertex = new["pick"]["vertex"]
        acts.pick(None if vertex is None else int(vertex))
    if "flip" in new and (target := str(new["flip"]["to"])[cut:]) in leaves.order:
        near = leaves.around(target)[0]
        known.wanted = [near[0], near[-1]]  # what comes into reach is sent along
        known.flipped = True
        acts.flip(target)


@lru_cache(maxsize=4)
def _mesh(surfaces: Surfaces, atlas: Atlas) -> tuple[str, bytes]:
    name = mesh_name(surfaces, atlas)
    return name, mesh_bytes(surfaces, atlas, name)
