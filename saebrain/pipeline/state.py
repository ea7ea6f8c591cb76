"""How far a study has come: which steps are done, and the commands that run the others."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from saebrain.errors import MissingStepError
from saebrain.pipeline.registry import STEPS
from saebrain.pipeline.steps import AT_A_LAYER, Step, in_order, is_done, read_record
from saebrain.study import DEMO, PROJECT, Study

COMMAND = "python -m saebrain"


@dataclass(frozen=True)
class State:
    """Where one step stands.

    condition : "out of date" if a record is there but does not belong to the study as it is now.
    finished : when it last finished, ISO 8601 (UTC); None if it never has.
    seconds : how long it took then.
    """

    title: str
    condition: Literal["done", "out of date", "not run"]
    command: str
    finished: str | None
    seconds: float | None


def states(study: Study) -> list[State]:
    """The state of every step, in the order of the pipeline."""
    return [_state(study, step) for step in STEPS.values()]


def check(study: Study, name: str) -> None:
    """Make sure that a step's result can be shown: it is there, with all before it, and is not made from older ones than these.

    Results that belong to an earlier study.toml or input file pass (`states` tells them): they are whole, and what they were.

    Raises
    ------
    MissingStepError
        Naming the first result that is missing, and the command of the step ``name``.
    """
    for step in in_order(STEPS, name):
        record = read_record(study, step.name)
        there = bool(record) and all(path.exists() for path in step.outputs(study))
        older = any(str(read_record(study, need).get("finished")) > str(record.get("finished")) for need in step.needs)
        if not there or (older and not is_done(study, step, STEPS)):
            raise MissingStepError(f"result of step '{step.title}'", _command(study, STEPS[name]))


def commands_for(study: Study, command: str) -> list[str]:
    """The commands that are still to be run for a result, in order, the given one last.

    ``command`` is that of a `MissingStepError`. One that runs no step of the pipeline is returned as it is.
    """
    words = command.removeprefix(COMMAND).split()
    for step in STEPS.values():
        if command.startswith(COMMAND) and words[: len(step.verb.split())] == step.verb.split():
            before = [_command(study, other) for other in in_order(STEPS, step.name) if other != step and not is_done(study, other, STEPS)]
            special = "--" in command and is_done(study, step, STEPS)  # one result more than the step makes
            return [*before, command if special else _command(study, step)]
    return [command]


def _state(study: Study, step: Step) -> State:
    record = read_record(study, step.name)
    done = is_done(study, step, STEPS)
    return State(
        step.title, "done" if done else "out of date" if record else "not run", _command(study, step), record.get("finished"), record.get("seconds")
    )


def _command(study: Study, step: Step) -> str:
    named = study.folder.resolve() != (PROJECT / DEMO).resolve()
    at_a_layer = step.name in AT_A_LAYER and study.layer != study.main_layer
    return " ".join([COMMAND, step.verb, *([shlex.quote(str(study.folder))] if named else []), *([f"--layer {study.layer}"] if at_a_layer else [])])
