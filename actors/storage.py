"""The files of one Ra system, and who owns which of them.

Shared by the actors of the system. Each object inside has one owner: the directory belongs to the
RaSystem, the write-ahead log to the WalWriter (which lends it, see `shared_log.py`), the segments
to the SegmentWriter; term, vote and snapshots of a store to its server and its SnapshotWorker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.log.directory import DataDirectory
from khepri.log.recovery import RecoveredSystem, recover
from khepri.log.rereading import read_store

if TYPE_CHECKING:
    from khepri.log.file_system import FileSystem
    from khepri.log.interface import (
        ClosedFile,
        RecoveredStore,
        SegmentWriter,
        WriteAheadLog,
    )

    from .reference import ActorReference
    from .server_setup import ServerSetup
    from .shared_log import SharedLog


class Storage:
    """What the actors of a Ra system share."""

    wal_writer: ActorReference
    """The running WalWriter; set when it starts, before every actor that uses it."""

    shared_log: SharedLog
    """The log of the running WalWriter; the same."""

    segment_writer: ActorReference
    """The running SegmentWriter; the same."""

    stores: ActorReference
    """The running supervisor of the stores; the same."""

    def __init__(self, file_system: FileSystem, path: str, node_name: str) -> None:
        """Name the directory; `open` opens it.

        Args:
            file_system: real, or simulated.
            path: the data directory, absolute.
            node_name: whose it is.
        """
        self.path = path
        self._file_system = file_system
        self._node_name = node_name
        self._recovered: RecoveredSystem | None = None
        self.directory: DataDirectory
        self.wanted: dict[str, ServerSetup] = {}
        """The stores that shall run; those a restarted RaSystem starts again."""

    def open(self) -> None:
        """Create, lock and identify the directory (RaSystem's thread).

        Raises:
            StorageError: it is locked, not ours, not readable, of an unknown format.
        """
        self.directory = DataDirectory.open(self._file_system, self.path, self._node_name)

    def close(self) -> None:
        """Release the lock (RaSystem's thread, after all others have ended)."""
        self.directory.close()

    def recover(self) -> WriteAheadLog:
        """Read what is on disk and open the log (WalWriter's thread).

        Raises:
            StorageError: the files cannot be read, or are not what was written.
        """
        self._recovered = recover(self.directory)
        return self._recovered.write_ahead_log

    def take_segments(self) -> tuple[SegmentWriter, list[ClosedFile]]:
        """Hand the segments to the SegmentWriter, and the files that wait for it."""
        assert self._recovered is not None
        waiting = list(self._recovered.closed_files)
        self._recovered.closed_files.clear()
        return self._recovered.segment_writer, waiting

    def read_store(self, store_id: str) -> RecoveredStore:
        """Give a store as it is on disk now (WalWriter's thread, between two writes).

        Raises:
            StorageError: the store's files are damaged.
        """
        assert self._recovered is not None
        recovered = self._recovered.stores.pop(store_id, None)  # else it has to be read again
        if recovered is not None and recovered.uid == self.directory.stores[store_id]:
            return recovered
        return read_store(self.directory, store_id)

    def forget_unread(self) -> None:
        """Let go of the logs of stores that nobody has started so far (WalWriter's thread)."""
        assert self._recovered is not None
        self._recovered.stores.clear()
