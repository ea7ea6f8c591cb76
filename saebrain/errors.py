"""The few exceptions of saebrain. Every message says what was received and what to do next."""

from __future__ import annotations


class SaebrainError(Exception):
    """Base of every error a person is meant to read; the command line prints it on one line and exits with 1."""


class InputError(SaebrainError):
    """A file, table or option that was brought from outside cannot be used as it is."""


class MissingStepError(SaebrainError):
    """A result is asked for that no step has written yet.

    Parameters
    ----------
    what : str
        The missing result, in plain words.
    command : str
        The command that makes it.
    """

    def __init__(self, what: str, command: str) -> None:
        super().__init__(f"{what} not found; run: {command}")
        self.what = what
        self.command = command
