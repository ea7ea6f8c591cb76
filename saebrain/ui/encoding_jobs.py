"""Long work that a page starts, follows and cancels. It runs in a process of its own: a closed page or server does not end it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import streamlit as st

from saebrain import jobs
from saebrain.jobs import Job
from saebrain.pipeline.live import labels_stamp
from saebrain.study import Study
from saebrain.ui.text import plain

REFRESH_S = 1.0


@dataclass(frozen=True)
class Work:
    """What a button starts: a function of saebrain.jobs, and how people read it."""

    target: str
    arguments: dict[str, Any]
    title: str
    button: str
    help: str
    unit: str = "parts"

    def key(self, study: Study) -> str:
        """What the work depends on: two of the same key are the same work."""
        arguments = {name: value for name, value in self.arguments.items() if name != "name"}
        return json.dumps([self.target, study.layer, arguments, labels_stamp(study)], sort_keys=True)


def offer(study: Study, work: Work, *, place: str) -> None:
    """The button that starts some work; while it runs its progress, with a button to cancel it. ``place`` tells buttons apart."""
    job = _newest(study, work)
    running = job is not None and job.status().state == "running"
    st.fragment(_follow if running else _button, run_every=REFRESH_S if running else None)(study, work, place)


def others(study: Study, *shown: Work) -> None:
    """What else is running in this study."""
    keys = {work.key(study) for work in shown}
    if any(job.key not in keys for job in jobs.running(study.folder / "jobs")):
        st.fragment(_others, run_every=REFRESH_S)(study, keys)


def _button(study: Study, work: Work, place: str) -> None:
    job = _newest(study, work)
    status = None if job is None else job.status()
    if status is not None and status.state == "failed":
        st.error(f"{plain(work.title)} failed: {plain(status.message)}", icon=":material/error:")
    if status is not None and status.state == "cancelled":
        st.caption(f"{plain(work.title)} was cancelled after {duration(status.seconds)}.")
    if st.button(work.button, help=work.help, icon=":material/play_arrow:", key=f"start {place}", type="primary"):
        folder = study.folder / "jobs"
        jobs.prune(folder)
        jobs.start(
            folder,
            study.folder,
            work.target,
            {"layer": study.layer, **work.arguments},
            title=work.title,
            unit=work.unit,
            key=work.key(study),
        )
        st.rerun()


def _follow(study: Study, work: Work, place: str) -> None:
    job = _newest(study, work)
    if job is None or job.status().state != "running":
        st.rerun()
    else:
        _progress(job, place)


def _others(study: Study, keys: set[str]) -> None:
    going = [job for job in jobs.running(study.folder / "jobs") if job.key not in keys]
    if not going:
        st.rerun()
    for job in going:
        _progress(job, job.id)


def _progress(job: Job, place: str) -> None:
    status = job.status()
    left = "" if status.seconds_left is None else f", about {duration(status.seconds_left)} left"
    share = f"{status.fraction:.0%}" if status.total else "starting"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(status.fraction, text=f"{plain(job.title)}: {share}, {duration(status.seconds)}{left}")
        if st.button("Cancel", icon=":material/cancel:", key=f"cancel {place}"):
            with st.spinner("Stopping"):
                job.cancel()
            st.rerun()


def _newest(study: Study, work: Work) -> Job | None:
    key = work.key(study)
    return next((job for job in jobs.all_jobs(study.folder / "jobs") if job.key == key), None)


def duration(seconds: float) -> str:
    """A time as people read it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
