"""Failures of a host's own function, logged once and not each time.

A function that raises for every change would fill the log. The same failure is logged again
after ten seconds at the earliest, with how often it happened meanwhile, also if others come in
between.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from logging import Logger

MUTED_SECONDS: Final = 10.0

MAX_KINDS: Final = 20
"""So many different failures are known at once; of more, the one known longest is forgotten."""


class RepeatedFailures:
    """The failures of one function. One thread at a time."""

    __slots__ = ("_known", "_logger", "_muted")

    def __init__(self, logger: Logger) -> None:
        """Begin with none.

        Args:
            logger: where they are told.
        """
        self._logger = logger
        self._known: dict[tuple[object, ...], float] = {}
        """Until when a kind is muted."""
        self._muted = 0

    def note(self, what: str, error: BaseException) -> None:
        """Take note of one; it is logged with its traceback unless it repeats.

        Args:
            what: whose it was, and at what.
            error: what was raised.
        """
        kind, now = _kind_of(error), time.monotonic()
        if now < self._known.get(kind, now):
            self._muted += 1
            return
        more = f" (after {self._muted} more like those before)" if self._muted else ""
        self._muted = 0
        self._known.pop(kind, None)
        if len(self._known) >= MAX_KINDS:
            del self._known[next(iter(self._known))]
        self._known[kind] = now + MUTED_SECONDS
        self._logger.error("%s failed%s", what, more, exc_info=error)


def _kind_of(error: BaseException) -> tuple[object, ...]:
    """Give what makes two failures the same: what was raised, and at which line."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = () if frame is None else (frame.tb_frame.f_code, frame.tb_lineno)
    return (type(error), *where)
