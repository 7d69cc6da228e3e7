"""The disk workers of a simulated node: what the WalWriter and the SegmentWriter do, in events.

The files are those of the real log code on a simulated disk; only the threads are missing. As in
`actors/wal_writer.py` a refused write stays here and is tried again, and as in
`actors/segment_writer.py` files move to segments in their order. Every piece of work takes
virtual time, so that a crash or a message can come in between.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from khepri.errors import DiskFailedError, DiskFullError, StorageError
from khepri.log.interface import Append
from khepri.raft.events import LogRecovered, LogWritten

if TYPE_CHECKING:
    from khepri.log.interface import ClosedFile
    from khepri.log.recovery import RecoveredSystem
    from khepri.raft.types import Entry, Index

    from .simulation_node import SimulatedNode
    from .simulation_server import SimulatedServer

WAL_RETRY_SECONDS = 0.2
SEGMENT_RETRY_SECONDS = 1.0


class Write(NamedTuple):
    """One `AppendEntries` that waits for the disk."""

    entries: tuple[Entry, ...]
    sequence: int
    server: SimulatedServer


class WriteFailed(NamedTuple):
    """To a server: the disk did not take the log; it will be tried again."""

    error: StorageError


class SimulatedWalWriter:
    """Writes the log of one node: whatever waits, in one batch, one batch at a time."""

    def __init__(self, node: SimulatedNode, system: RecoveredSystem) -> None:
        """Go on with a recovered log."""
        self._node = node
        self._system = system
        self.log = system.write_ahead_log
        self.unwritten: list[Write] = []
        self.voiding: Index | None = None
        """From here on the log may be void on disk, though nobody has said so yet."""
        self._told: set[SimulatedServer] = set()
        self._is_busy = False

    def append(self, write: Write) -> None:
        """Take entries; `LogWritten` comes when they are durable."""
        self.unwritten.append(write)
        if not self._is_busy:
            self._is_busy = True
            self._node.later(self._node.sync_seconds(), self._complete)

    def _complete(self) -> None:
        self._is_busy = False
        self.write()

    def write(self) -> None:
        """Write all that waits; on return it is durable, or will be tried again."""
        writes = self.unwritten
        if not writes:
            return
        node = self._node
        appends = [Append(node.uid, write.entries[0].index, write.entries) for write in writes]
        try:
            gaps = self.log.write(appends)
        except (DiskFullError, DiskFailedError) as error:
            self._retry_later(error)
            return
        self.unwritten = []
        self.voiding = None
        self._told.clear()
        node.observer.log_written(node, () if gaps else appends)
        newest = {write.server: write for write in writes}
        for server, write in newest.items():
            if gaps:
                node.later(0.0, server.arrive, LogRecovered())
            else:
                last = write.entries[-1]
                notice = LogWritten(last.index, last.term, write.sequence)
                node.later(node.handover_seconds(), server.arrive, notice)
        for closed_file in self.log.take_closed_files():
            node.segment_writer.flush(closed_file)

    def void(self, first_index: Index) -> None:
        """Void the log from an index on: a snapshot is about to take its place.

        Raises:
            StorageError: the disk refuses.
        """
        self.write()
        refused, self.unwritten = self.unwritten, []
        for server in {write.server for write in refused}:
            self._told.discard(server)
            self._node.later(0.0, server.arrive, LogRecovered())
        append = Append(self._node.uid, first_index, ())
        self.voiding = first_index
        self.log.write([append])
        self.voiding = None
        self._node.observer.log_written(self._node, [append])

    def _retry_later(self, error: StorageError) -> None:
        if not self._is_busy:
            self._is_busy = True
            self._node.later(WAL_RETRY_SECONDS, self._complete)
        for write in self.unwritten:
            if write.server not in self._told:
                self._told.add(write.server)
                self._node.later(0.0, write.server.arrive, WriteFailed(error))


class SimulatedSegmentWriter:
    """Moves what is needed of full log files to segments, oldest first."""

    def __init__(self, node: SimulatedNode, system: RecoveredSystem) -> None:
        """Take over the files that the last run has left."""
        self._node = node
        self._segments = system.segment_writer
        self._waiting: deque[ClosedFile] = deque(system.closed_files)
        self._is_busy = False
        self._released: Index | None = None
        if self._waiting:
            self._begin(0.0)

    @property
    def waiting(self) -> int:
        """How many files are not moved yet."""
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._is_busy

    def flush(self, closed_file: ClosedFile) -> None:
        """Take a file that is full."""
        self._waiting.append(closed_file)
        self._begin(self._node.sync_seconds())

    def release(self, snapshot_index: Index) -> None:
        """Drop what a durable snapshot covers."""
        self._released = snapshot_index
        self._begin(self._node.sync_seconds())

    def _begin(self, delay: float) -> None:
        if not self._is_busy:
            self._is_busy = True
            self._node.later(delay, self._work)

    def _work(self) -> None:
        self._is_busy = False
        try:
            if self._released is not None:
                index, self._released = self._released, None
                self._segments.release(self._node.uid, index)
            if self._waiting:
                self._segments.flush(self._waiting[0])
                self._waiting.popleft()
        except (DiskFullError, DiskFailedError):
            self._begin(SEGMENT_RETRY_SECONDS)
            return
        if self._waiting:
            self._begin(self._node.sync_seconds())
