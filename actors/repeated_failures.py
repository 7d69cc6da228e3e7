"""Failures of a host's own function, logged once and not each time.

A function that raises for every change would fill the log. The same failure is logged again
after ten seconds at the earliest, with how often it happened meanwhile; also if others came in
between, as where a function fails for different reasons in turn.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from logging import Logger

MUTED_SECONDS: Final = 10.0

KINDS: Final = 32
"""So many different failures are remembered; those that happened least recently go first."""


class RepeatedFailures:
    """The failures of one function. One thread at a time."""

    __slots__ = ("_kinds", "_logger")

    def __init__(self, logger: Logger) -> None:
        """Begin with none.

        Args:
            logger: where they are told.
        """
        self._logger = logger
        self._kinds: dict[tuple[object, ...], tuple[float, int]] = {}  # until when muted, how many

    def note(self, what: str, error: BaseException) -> None:
        """Take note of one; it is logged with its traceback unless it repeats.

        Args:
            what: whose it was, and at what.
            error: what was raised.
        """
        kinds, kind, now = self._kinds, _kind_of(error), time.monotonic()
        until, muted = kinds.pop(kind, (0.0, 0))
        if now < until:
            kinds[kind] = (until, muted + 1)
            return
        if len(kinds) >= KINDS:
            del kinds[next(iter(kinds))]
        kinds[kind] = (now + MUTED_SECONDS, 0)
        more = f" (after {muted} more of the same)" if muted else ""
        with suppress(BaseException):  # a handler of logs that raises is not to be the end of more
            self._logger.error("%s failed%s", what, more, exc_info=error)


def _kind_of(error: BaseException) -> tuple[object, ...]:
    """Give what makes two failures the same: what was raised, and at which line."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = () if frame is None else (frame.tb_frame.f_code, frame.tb_lineno)
    return (type(error), *where)
