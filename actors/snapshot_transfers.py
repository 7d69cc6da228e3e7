"""Snapshots of one store on their way to and from other members, piece by piece.

What the core asks of the files, answered by the core's own events. The SnapshotWorker and its
simulated twin both go by this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.errors import StorageError
from khepri.raft.effects import DiscardSnapshot
from khepri.raft.events import (
    SnapshotAcceptFailed,
    SnapshotChunkRead,
    SnapshotChunkStored,
    SnapshotReadFailed,
)

if TYPE_CHECKING:
    from khepri.log.interface import SnapshotAcceptor, SnapshotReader, Snapshots
    from khepri.raft.effects import (
        EndSnapshotSend,
        ReadSnapshotChunk,
        StoreSnapshotChunk,
    )


class SnapshotTransfers:
    """The open files of the transfers, by the numbers that the core gives these. One thread."""

    def __init__(self, snapshots: Snapshots) -> None:
        """Begin without any transfer.

        Args:
            snapshots: of the store.
        """
        self._snapshots = snapshots
        self._readers: dict[int, SnapshotReader] = {}
        self._acceptors: dict[int, SnapshotAcceptor] = {}

    @property
    def open_readers(self) -> int:
        """How many transfers hold a snapshot open."""
        return len(self._readers)

    def read(self, wanted: ReadSnapshotChunk) -> SnapshotChunkRead | SnapshotReadFailed:
        """Read a piece for another member."""
        try:
            reader = self._readers.get(wanted.transfer_id)
            if reader is None:
                reader = self._snapshots.open_reader()
                self._readers[wanted.transfer_id] = reader
            if reader.meta != wanted.meta:
                return SnapshotReadFailed(wanted.transfer_id, "a newer snapshot has replaced it")
            data, done = reader.read(wanted.offset, wanted.max_bytes)
        except StorageError as error:
            return SnapshotReadFailed(wanted.transfer_id, str(error))
        return SnapshotChunkRead(wanted.transfer_id, wanted.offset, data, done)

    def end_send(self, one: EndSnapshotSend) -> None:
        """Nothing more is read for that transfer."""
        reader = self._readers.pop(one.transfer_id, None)
        if reader is not None:
            reader.close()

    def store(self, chunk: StoreSnapshotChunk) -> SnapshotChunkStored | SnapshotAcceptFailed:
        """Store a piece that has come; the first one begins a transfer and ends any other."""
        try:
            if chunk.offset == 0:
                self._acceptors.clear()  # `Snapshots.accept` puts the one before away
                self._acceptors[chunk.transfer_id] = self._snapshots.accept(chunk.meta)
            self._acceptors[chunk.transfer_id].append(chunk.offset, chunk.data)
        except (StorageError, KeyError) as error:
            self.discard(DiscardSnapshot(chunk.transfer_id))  # it may be what fills the disk
            return SnapshotAcceptFailed(chunk.transfer_id, str(error))
        return SnapshotChunkStored(chunk.transfer_id, chunk.offset + len(chunk.data))

    def take_received(self, transfer_id: int) -> SnapshotAcceptor | None:
        """Hand over what has come with a transfer, to be put in place; None if nothing has."""
        return self._acceptors.pop(transfer_id, None)

    def discard(self, one: DiscardSnapshot) -> None:
        """Put away what has come with a transfer."""
        acceptor = self.take_received(one.transfer_id)
        if acceptor is not None:
            acceptor.abort()

    def close(self) -> None:
        """Put everything away."""
        for reader in self._readers.values():
            reader.close()
        for acceptor in self._acceptors.values():
            acceptor.abort()
