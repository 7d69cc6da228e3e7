"""When the next commands go: at once, or a moment later with more of them.

Each group costs every member a handful of thread switches and a sync of its disk, however few
commands are in it; with blocking callers that is most of what a write costs. So

- while groups are under way, commands gather for the next one until they are as many as those,
  but no longer than `HOLD_SECONDS`: on a slow network groups follow each other without waiting
  for the answer;
- when callers were answered, most of them come back with their next command, and the next group
  waits for as many, but no longer than it takes them to wake up (`gather_seconds`).

A caller who is alone never waits: nothing is under way, and one command is as many as expected.
Here are only numbers: no actor, no clock.
"""

from __future__ import annotations

from typing import Final

HOLD_SECONDS: Final = 0.005
GATHER_BASE_SECONDS: Final = 0.0005
GATHER_SECONDS_PER_CALLER: Final = 0.00005
GATHER_MAX_SECONDS: Final = 0.005


def gather_seconds(callers: int) -> float:
    """Give how long that many callers are waited for: they wake one after the other."""
    return min(GATHER_MAX_SECONDS, GATHER_BASE_SECONDS + callers * GATHER_SECONDS_PER_CALLER)


class Pacing:
    """The pace of one server. One thread."""

    __slots__ = ("_expected", "_gather_until", "_hold_until", "_not_before", "_under_way")

    def __init__(self) -> None:
        """Begin with nothing under way and nobody expected."""
        self._expected = 0
        self._under_way = 0
        self._gather_until = 0.0
        self._hold_until = 0.0
        self._not_before = 0.0

    def sent(self, commands: int, now: float) -> None:
        """Take note that so many commands have gone; if none could, try again a little later."""
        self._under_way += commands
        self._hold_until = now + HOLD_SECONDS
        self._not_before = 0.0 if commands else self._hold_until

    def answered(self, commands: int, callers: int, now: float) -> None:
        """Take note that so many commands were answered together, and that so many had waited.

        Who has not waited, but keeps many commands in flight, is not expected to come back.
        """
        self._under_way = max(0, self._under_way - commands)
        self._expected = callers
        self._gather_until = now + gather_seconds(callers)

    def due(self, waiting: int, *, is_under_way: bool) -> float:
        """Give the time from which the waiting commands should go; in the past: now."""
        if not is_under_way:
            self._under_way = 0  # whatever became of them
        if waiting >= (self._under_way if is_under_way else self._expected):
            return self._not_before
        return max(self._hold_until if is_under_way else self._gather_until, self._not_before)
