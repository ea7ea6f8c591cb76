"""A training run that can be killed at any moment: all that the next step depends on, in one file.

``checkpoint.safetensors`` holds the tensors, and in its header as JSON the rest (step, place in the data, settings): a
single file, so that the two can never belong to different steps. It is written under another name, then renamed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from saebrain.atomic import replacing
from saebrain.errors import InputError

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Snapshot:
    """Tensors by name, and ``progress``, JSON values, of a run after some steps."""

    tensors: dict[str, Tensor]
    progress: dict[str, Any]


@dataclass
class Checkpoints:
    """Keeps the last snapshot of a run in a file.

    Parameters
    ----------
    run : dict
        What the run is, JSON values: a checkpoint of another run is refused.
    every_s : float
        Seconds between snapshots.
    every_steps : int, optional
        Steps between them, instead.
    before : callable
        Called before a snapshot is written: what it has seen must not be known to it alone.
    """

    path: Path
    run: dict[str, Any] = field(default_factory=dict)
    every_s: float = 300.0
    every_steps: int | None = None
    before: Callable[[], None] = lambda: None
    _saved: float = field(default_factory=time.monotonic, init=False)

    def due(self, steps: int) -> bool:
        """Whether to save after this many steps."""
        if self.every_steps:
            return steps % self.every_steps == 0
        return time.monotonic() - self._saved >= self.every_s

    def save(self, snapshot: Snapshot) -> None:
        """Write a snapshot in place of the last one."""
        self.before()
        header = {"progress": json.dumps(snapshot.progress, allow_nan=False), "run": json.dumps(self.run, allow_nan=False, sort_keys=True)}
        with replacing(self.path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in snapshot.tensors.items()}, temporary, metadata=header)
        self._saved = time.monotonic()

    def load(self) -> Snapshot | None:
        """The last snapshot of this run; None if there is none.

        Raises
        ------
        InputError
            If the file is damaged, or belongs to a run with other settings or data.
        """
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                header = file.metadata()
                run, progress = json.loads(header["run"]), json.loads(header["progress"])
                names: list[str] = list(file.keys())
                tensors = {name: file.get_tensor(name) for name in names}
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.path}: no checkpoint that can be read ({error}); remove it to train from the start") from error
        if changed := self._differences(run):
            raise InputError(f"{self.path}: belongs to a run with other {changed}; give the same options to resume it, or remove it to start again")
        return Snapshot(tensors, progress)

    def remove(self) -> None:
        """Once the run's result is safe."""
        self.path.unlink(missing_ok=True)

    def _differences(self, run: dict[str, Any]) -> str:
        mine = json.loads(json.dumps(self.run))
        return ", ".join(sorted(key for key in mine.keys() | run.keys() if mine.get(key) != run.get(key)))
