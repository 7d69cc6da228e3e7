"""Why an actor ended, in OTP's words; what its supervisor decides by.

OTP's reason ``shutdown`` has two kinds here, since a supervisor must tell them apart: a host may
stop any of our actors behind our back (`pykka.ActorRegistry.stop_all`), and that is an order, not
a failure to repair.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ExitKind(enum.Enum):
    """What kind of end it was."""

    NORMAL = "normal"
    """The actor stopped itself: its work is done."""

    SHUTDOWN = "shutdown"
    """It was told to stop, by its supervisor or by the host."""

    GAVE_UP = "gave up"
    """A supervisor stopped itself: its children were restarted too often (OTP: shutdown)."""

    CRASHED = "crashed"
    """An exception nobody expected, or a failing start."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How an actor ended."""

    kind: ExitKind
    error: BaseException | None = None

    def __str__(self) -> str:
        """Give the reason for a log line."""
        return self.kind.value if self.error is None else f"{self.kind.value}: {self.error!r}"


NORMAL = Exit(ExitKind.NORMAL)
SHUTDOWN = Exit(ExitKind.SHUTDOWN)


def crash(error: BaseException) -> Exit:
    """Give the reason of an actor that an exception ended."""
    return Exit(ExitKind.CRASHED, error)
