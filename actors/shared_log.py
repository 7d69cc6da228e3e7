"""The write-ahead log of a Ra system, and the turns in which two threads may write it.

It belongs to the WalWriter. A server may write a small batch in its own thread while the WalWriter
has nothing to do (`command_flow.py`): that saves the way to the WalWriter and back. One blocking
caller is 1.3 times as fast by that, 16 are 1.2 times; with more commands in a batch it is worth
more that the server can apply one while the next is being written. A disk that stalls would stall
the thread with it: after a slow write all writes go to the WalWriter for a while.
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from contextlib import contextmanager, nullcontext
from math import inf
from typing import TYPE_CHECKING, Final

from khepri.log.interface import Append

from .segment_writer import FlushFile

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from contextlib import AbstractContextManager

    from khepri.log.interface import WriteAheadLog
    from khepri.raft.types import Entry

    from .reference import ActorReference

NO_ABSENCE: Final = nullcontext()
"""Of a server that keeps its turn."""

SLOW_WRITE_SECONDS = 0.05
"""A write that takes longer shows that the disk stalls; half of a heartbeat's interval."""

STALL_SECONDS = 1.0
"""So long after a slow write no server waits for the disk."""


class SharedLog:
    """Who writes the log, writes alone."""

    __slots__ = ("_clock", "_is_wanted", "_lock", "_log", "_segment_writer", "_stalled_until")

    def __init__(
        self,
        log: WriteAheadLog,
        segment_writer: Callable[[], ActorReference],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Share a log that was recovered.

        Args:
            log: it.
            segment_writer: gives who takes the files that are full, as of now.
            clock: monotonic seconds.
        """
        self._clock = clock
        self._stalled_until = -inf
        self._log: WriteAheadLog | None = log
        self._lock = allocate_lock()
        self._is_wanted = False
        self._segment_writer = segment_writer

    @contextmanager
    def turn(self) -> Generator[WriteAheadLog]:
        """Have the log to oneself: the WalWriter, which goes before any server.

        What it writes is confirmed at the end of the turn.
        """
        self._is_wanted = True
        with self._lock:
            self._is_wanted = False
            log = self._log
            assert log is not None, "the WalWriter has not closed it"
            yield log
            log.confirm()

    def write_now(
        self,
        uid: str,
        entries: Sequence[Entry],
        meanwhile: Callable[[], object] | None = None,
        absence: AbstractContextManager[object] = NO_ABSENCE,
    ) -> bool:
        """Write entries in this thread if nobody else wants the log; a server.

        Only with all that this store had written before confirmed: nothing of it may be on its
        way to the WalWriter. To be followed by `confirm`, after all that others wait for.

        Args:
            uid: the store's.
            entries: what to write, at least one.
            meanwhile: as for `khepri.log.interface.WriteAheadLog.write`.
            absence: entered as long as the disk is waited for, and left before anybody else can
                write: what others append meanwhile comes behind this.

        Returns:
            whether they are durable. If not, the WalWriter is to write them: it will see what is
            wrong, if anything is, and knows what to do about it.
        """
        started = self._clock()
        if (
            self._is_wanted
            or started < self._stalled_until
            or not self._lock.acquire(blocking=False)
        ):
            return False
        try:
            log = self._log
            append = Append(uid, entries[0].index, entries)
            if log is None:
                return False
            with absence:
                gaps = log.write([append], confirm=False, meanwhile=meanwhile)
            if gaps:
                return False
            ended = self._clock()
            if ended - started > SLOW_WRITE_SECONDS:
                self._stalled_until = ended + STALL_SECONDS
            self.hand_on_full_files(log)
        except Exception:  # noqa: BLE001 - the WalWriter meets it again and answers for it
            return False
        finally:
            self._lock.release()
        return True

    def confirm(self) -> None:
        """Confirm what was written last; whoever has the turn at the moment will do it itself."""
        if self._lock.acquire(blocking=False):
            try:
                if self._log is not None:
                    self._log.confirm()
            finally:
                self._lock.release()

    def hand_on_full_files(self, log: WriteAheadLog) -> None:
        """Give the files that are full to the SegmentWriter; by whoever has the turn."""
        for closed_file in log.take_closed_files():
            self._segment_writer().cast(FlushFile(closed_file))

    def close(self) -> None:
        """Close the log, after whoever writes it at the moment."""
        with self.turn() as log:
            self._log = None
            log.close()
