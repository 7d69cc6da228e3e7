"""The time that a leader writes into log entries: its wall clock, without the jumps.

Times to live run on it, and locks rest on those: all of them must not end at once because somebody
has set the clock of the leader's machine. So it goes on with the seconds that really pass, and
only leans towards the wall clock, by so little that no time to live notices. Where the log is
ahead, because its time came from a leader with another clock, it goes on from there: else the
time of the log would stand still until this clock had come there.

A member that is started takes its wall clock as it is.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LEANING: Final = 0.01
"""It runs faster or slower by this share at most: a minute is made up for in 100 minutes."""


def _wall_clock_milliseconds() -> int:
    return time.time_ns() // 1_000_000


class LogClock:
    """The clock of one member. One thread, but for `look`."""

    __slots__ = ("_milliseconds", "_now", "_wall_milliseconds")

    def __init__(self, wall_milliseconds: Callable[[], int] = _wall_clock_milliseconds) -> None:
        """Make a clock; it is set when it is first read, and to be read every now and then.

        Args:
            wall_milliseconds: gives what the wall clock shows.
        """
        self._wall_milliseconds = wall_milliseconds
        self._milliseconds: float | None = None
        self._now = 0.0

    def read(self, now: float, log_milliseconds: int) -> int:
        """Give the time of an entry that is made now, in milliseconds, not before the log's.

        Args:
            now: seconds on a clock that is never set, the same at each call.
            log_milliseconds: the time of the log, as far as it is applied here.
        """
        wall = self._wall_milliseconds()
        if self._milliseconds is None:
            steady = float(wall)
        else:
            # Comparisons and no calls: a single put passes here.
            passed = (now - self._now) * 1000 if now > self._now else 0.0
            steady = self._milliseconds + passed
            most, behind = passed * LEANING, wall - steady
            if behind > most:
                steady += most
            elif behind < -most:
                steady -= most
            else:
                steady = float(wall)
        self._now = now
        if steady < log_milliseconds:
            steady = float(log_milliseconds)
        self._milliseconds = steady
        return int(steady)

    def look(self, now: float) -> int:
        """Give about what it shows, in milliseconds, and leave it as it is. Any thread.

        It may be off by what has passed between two reads of the thread whose clock it is: a
        quarter of a second at most.

        Args:
            now: as for `read`.
        """
        read_at, milliseconds = self._now, self._milliseconds
        if milliseconds is None:
            return self._wall_milliseconds()
        return int(milliseconds + max(0.0, now - read_at) * 1000)
