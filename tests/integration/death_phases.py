"""What a process was in the middle of when it was killed.

A board in shared memory has one byte for each phase: how many calls are within it. The process
that is killed cannot say anything any more, but whoever forked it can still read the board.
"""

from __future__ import annotations

import mmap
from enum import IntEnum
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from khepri.actors import ra_server, storage
from khepri.log.directory import DataDirectory
from khepri.log.log_folder import LogFolder
from khepri.log.recovery import recover
from khepri.log.segments import SegmentWriter
from khepri.log.snapshots import Snapshots
from khepri.log.write_ahead_log import WriteAheadLog

if TYPE_CHECKING:
    from collections.abc import Callable

LOG_FILE_BYTES = 16 * 1024
"""So small that the log rolls over many times in a life of a tenth of a second."""
TICK_SECONDS = 0.01
"""A server considers a snapshot at each tick; so short a life would not see one otherwise."""


class Phase(IntEnum):
    """Some phases contain others: recovery belongs to a start, a roll-over to a write."""

    START = 0
    OPENING = 1
    RECOVERY = 2
    WRITE = 3
    ROLL_OVER = 4
    SEGMENT = 5
    DROP_OF_LOG_FILE = 6
    SNAPSHOT = 7
    DROP_OF_SEGMENTS = 8


_METHODS: tuple[tuple[Phase, type, str], ...] = (
    (Phase.OPENING, DataDirectory, "open"),
    (Phase.RECOVERY, storage.Storage, "recover"),
    (Phase.WRITE, WriteAheadLog, "write"),
    (Phase.ROLL_OVER, LogFolder, "prepare"),
    (Phase.ROLL_OVER, LogFolder, "publish"),
    (Phase.SEGMENT, SegmentWriter, "flush"),
    (Phase.DROP_OF_LOG_FILE, LogFolder, "drop"),
    (Phase.SNAPSHOT, Snapshots, "write"),
    (Phase.DROP_OF_SEGMENTS, SegmentWriter, "release"),
)


class Board:
    """Made before the fork, written by the child, read by the parent after the child's death."""

    def __init__(self) -> None:
        self._bytes = mmap.mmap(-1, len(Phase))

    def clear(self) -> None:
        """Begin a new life."""
        self._bytes[:] = bytes(len(Phase))

    def under_way(self) -> list[Phase]:
        """Give the phases that were begun and not ended."""
        return [phase for phase in Phase if self._bytes[phase]]

    def within(self, phase: Phase, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give a function that does the same and stands on the board meanwhile."""

        @wraps(function)
        def noted(*arguments: object, **options: object) -> object:
            self._bytes[phase] += 1
            try:
                return function(*arguments, **options)
            finally:
                self._bytes[phase] -= 1

        return noted

    def watch(self) -> None:
        """Note the phases of this process."""
        for phase, owner, name in _METHODS:
            found: Any = owner.__dict__[name]
            if name == "open":
                setattr(owner, name, classmethod(self.within(phase, found.__func__)))
            else:
                setattr(owner, name, self.within(phase, found))


def make_eventful() -> None:
    """Have the log roll over and the server tick often in this process."""
    small_files = partial(recover, max_log_file_bytes=LOG_FILE_BYTES)
    setattr(storage, "recover", small_files)  # noqa: B010 - a name imported there
    setattr(ra_server, "TICK_SECONDS", TICK_SECONDS)  # noqa: B010 - a constant there
