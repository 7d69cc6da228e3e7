"""How a command ends: exit codes for scripts, one sentence for people."""

from __future__ import annotations

import contextlib
import os
import sys
from enum import IntEnum
from typing import Self, TextIO

from khepri.errors import KhepriError, MisuseError, NodeNotFoundError, StorageError


class ExitCode(IntEnum):
    """The exit codes; their texts stand in ``khepri --help``."""

    def __new__(cls, code: int, meaning: str = "") -> Self:
        """Make a member of a number and its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    meaning: str

    DONE = 0, "done"
    FAILED = 1, "the store or a file refused, or time ran out"
    MISUSE = 2, "a wrong command line, path, pattern or value"
    NOT_FOUND = 3, "there is no such tree node"
    STORAGE = 4, "the data directory is missing, not accessible, locked, damaged or full"
    INTERRUPTED = 130, "interrupted (Ctrl-C)"
    BROKEN_PIPE = 141, "the reader of the output went away"


class CommandError(Exception):
    """A command cannot go on for a reason outside the store.

    Attributes:
        exit_code: what the process ends with.
    """

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        """Keep one sentence for the user."""
        super().__init__(message)
        self.exit_code = exit_code


def exit_code_of(error: KhepriError) -> ExitCode:
    """Give the exit code for an error of khepri."""
    if isinstance(error, MisuseError):
        return ExitCode.MISUSE
    if isinstance(error, NodeNotFoundError):
        return ExitCode.NOT_FOUND
    if isinstance(error, StorageError):
        return ExitCode.STORAGE
    return ExitCode.FAILED


def complain(message: str) -> None:
    """Tell the user on standard error, in one line; where nobody can be told, nobody is.

    What the command says of itself must change neither what it does nor how it ends.
    """
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]  # closed by the shell
        return  # print would take standard output instead
    try:
        print("khepri:", " ".join(message.split()), file=sys.stderr, flush=True)
    except OSError:
        abandon(sys.stderr)


def abandon(stream: TextIO) -> None:
    """Let a stream that takes nothing any more lead nowhere.

    The interpreter flushes the standard streams once more at its end, and must not fail there.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError):  # no file behind it, as in a test
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def sentence(words: str) -> str:
    """Make a sentence of what a command does; other letters stay as they are."""
    return f"{words[0].upper()}{words[1:]}."
