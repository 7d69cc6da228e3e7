"""What a process was in the middle of when it was killed.

A board in shared memory has one byte for each phase: how many calls are within it. The process
that is killed cannot say anything any more, but whoever forked it can still read the board.
"""

from __future__ import annotations

import mmap
from enum import IntEnum
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from khepri.actors import storage
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
        """Note the phases of this process, and make them come often: log files are small."""
        setattr(storage, "recover", partial(recover, max_log_file_bytes=LOG_FILE_BYTES))  # noqa: B010 - a name that another module has imported
        for phase, owner, name in _METHODS:
            found = owner.__dict__[name]
            if isinstance(found, classmethod):
                setattr(owner, name, classmethod(self.within(phase, found.__func__)))
            else:
                setattr(owner, name, self.within(phase, found))
