"""Failures of a host's own function, logged once and not each time.

A function that raises for every change would fill the log. The same failure is logged again
after ten seconds at the earliest, with how often it happened meanwhile.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from logging import Logger

MUTED_SECONDS: Final = 10.0


class RepeatedFailures:
    """The failures of one function. One thread at a time."""

    __slots__ = ("_kind", "_logger", "_muted", "_until")

    def __init__(self, logger: Logger) -> None:
        """Begin with none.

        Args:
            logger: where they are told.
        """
        self._logger = logger
        self._kind: tuple[object, ...] = ()
        self._until = 0.0
        self._muted = 0

    def note(self, what: str, error: BaseException) -> None:
        """Take note of one; it is logged with its traceback unless it repeats.

        Args:
            what: whose it was, and at what.
            error: what was raised.
        """
        kind, now = _kind_of(error), time.monotonic()
        if kind == self._kind and now < self._until:
            self._muted += 1
            return
        more = f" (after {self._muted} more like the one before)" if self._muted else ""
        self._kind, self._until, self._muted = kind, now + MUTED_SECONDS, 0
        with suppress(BaseException):  # a handler of logs that raises is not to be the end of more
            self._logger.error("%s failed%s", what, more, exc_info=error)


def _kind_of(error: BaseException) -> tuple[object, ...]:
    """Give what makes two failures the same: what was raised, and at which line."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = () if frame is None else (frame.tb_frame.f_code, frame.tb_lineno)
    return (type(error), *where)
