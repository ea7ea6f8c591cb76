"""The page's end of the process that reads texts with the model: starts it, sends texts, keeps the answers, stops it.

Nothing of a model is ever loaded here. One process serves everybody who looks at a study; texts wait for their turn.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from saebrain.errors import InputError
from saebrain.study import PROJECT

MOST_TOKENS = 512
MOST_CHARACTERS = 4000
IDLE_S = 900.0
"""After so long without a text the process ends and gives its memory back."""
ANSWERS_KEPT = 64
STOP_S = 3.0

State = Literal["waiting", "loading", "reading", "done", "failed", "cancelled"]
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True)
class Answer:
    """How a text stands: tokens, and codes as parallel lists, once it is done."""

    state: State
    message: str = ""
    tokens: list[str] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    token: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)


class Worker:
    """The process of one study; it is started with the first text, and again after it was stopped. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: OrderedDict[int, Answer] = OrderedDict()
        self._numbers = itertools.count(1)

    def ask(self, layer: int, text: str) -> int:
        """Send a text to be read at a layer; returns the number to ask for its answer with.

        Raises
        ------
        InputError
            If the text is empty or too long.
        """
        if not text.strip():
            raise InputError("no text; type or paste some")
        if len(text) > MOST_CHARACTERS:
            raise InputError(f"text of {len(text):,} characters: at most {MOST_CHARACTERS:,}; shorten it")
        with self._lock:
            number = next(self._numbers)
            self._keep(number, Answer("waiting"))
            line = json.dumps({"id": number, "layer": layer, "text": text}).encode() + b"\n"
            try:
                self._send(line)
            except BrokenPipeError:  # it ended of itself just now
                self._process = None
                self._send(line)
            return number

    def answer(self, number: int) -> Answer:
        """How a text stands."""
        with self._lock:
            return self._answers.get(number, Answer("failed", "its answer is no longer kept; send the text again"))

    def cancel(self, number: int) -> None:
        """Stop reading a text. A model cannot be interrupted, so the process is stopped; others' texts are told so and can be sent again."""
        with self._lock:
            if self.answer(number).state not in ENDED:
                self._keep(number, Answer("cancelled"))
                self.stop("stopped when another text was cancelled; send the text again")

    def stop(self, why: str = "stopped; send the text again") -> None:
        """End the process; what it has not answered has failed."""
        with self._lock:
            process, self._process = self._process, None
            self._fail(why)
        if process is not None and process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @property
    def pid(self) -> int | None:
        """The process that is running, if there is one."""
        with self._lock:
            return self._process.pid if self._process is not None and self._process.poll() is None else None

    def _send(self, line: bytes) -> None:
        if self.pid is None:
            self._start()
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "saebrain.pipeline.feature_reading", str(self._folder)],
            cwd=PROJECT,
            env={**os.environ, "TQDM_DISABLE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a group of its own, which can be stopped as a whole
        )
        assert self._process.stdout is not None
        threading.Thread(target=self._listen, args=(self._process, self._process.stdout), daemon=True).start()

    def _listen(self, process: subprocess.Popen[bytes], answers: IO[bytes]) -> None:
        for line in answers:
            with self._lock:
                if process is self._process:
                    self._take(json.loads(line))
        code = process.wait()
        with self._lock:
            if process is self._process:
                self._process = None
                self._fail(f"the model's process ended (code {code}): what the server prints says why; send the text again")

    def _take(self, said: dict[str, Any]) -> None:
        number = int(said.pop("id"))
        said.pop("loaded_s", None)
        if self.answer(number).state not in ENDED:
            self._keep(number, Answer(**said))

    def _fail(self, why: str) -> None:
        for number, answer in self._answers.items():
            if answer.state not in ENDED:
                self._answers[number] = Answer("failed", why)

    def _keep(self, number: int, answer: Answer) -> None:
        self._answers[number] = answer
        while len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)
