"""What the actors call: the values and objects of the disk room, with their promises.

Here are the small values that cross the border and, as protocols, the objects behind it. The
classes carry the same names in their own modules (`write_ahead_log`, `segments`, `snapshots`,
`meta`, `directory`); starting is in `recovery` and `rereading`; `docs/explanation/disk.md` has
the file formats and what is detected when.

Rules that hold for every object here:

* One thread owns an object at a time. Nothing in this room locks, waits, or starts a thread.
* A method that returns has done what it says *durably*: it survives a power cut, unless its
  docstring says otherwise. A method that raises has acknowledged nothing.
* Errors are `khepri.errors.StorageError` subclasses only. `DiskFullError` leaves everything as it
  was and the same call works again once there is space. `DataCorruptionError` and
  `UnknownFormatError` come before anything was modified.

The walk of the files::

    directory = DataDirectory.open(file_system, path, node_name)       # lock, identity, registry
    system = recover(directory)                                        # reads and checks
    system.stores["orders"].entries                                    # -> RaftCore
    system.write_ahead_log.write([Append(uid, first_index, entries)])  # WalWriter actor
    system.segment_writer.flush(closed_file)                           # SegmentWriter actor
    directory.snapshots(uid).write(meta, chunks)                       # SnapshotWorker actor
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from khepri.raft.types import Entry, HardState, Index, SnapshotMeta

    from .directory import Registration


class Append(NamedTuple):
    """One store's share of a write-ahead-log batch.

    Everything the store wrote before at `first_index` or above is void from here on (Raft
    §5.3: a conflicting suffix is deleted). Without entries it is a pure truncation.
    """

    uid: str
    first_index: Index
    entries: Sequence[Entry]
    """Contiguous, the first one at `first_index`."""


class Gap(NamedTuple):
    """A refused `Append`: it would have left a hole in the store's log (case W19)."""

    uid: str
    expected_index: Index
    """The highest `first_index` that would have been accepted: write again from here."""


class ClosedFile(NamedTuple):
    """A write-ahead-log file that is no longer written; `SegmentWriter.flush` takes it over."""

    sequence: int
    path: str
    end_batch: int
    """Batches below this sequence number are confirmed; later ones in the file do not count."""


@dataclass(frozen=True, slots=True)
class RecoveredStore:
    """What one store's server starts from. All of it was checked against its checksums."""

    store_id: str
    uid: str
    hard_state: HardState
    snapshot: SnapshotMeta | None
    """Of the newest snapshot; its chunks come from `Snapshots.open_reader`."""
    entries: list[Entry]
    """Contiguous from ``snapshot.index + 1`` (or 1); every one of them is durable."""


class WriteAheadLog(Protocol):
    """The one log of a Ra system, shared by its stores. Owner: the WalWriter actor."""

    def write(
        self,
        appends: Sequence[Append],
        *,
        confirm: bool = True,
        meanwhile: Callable[[], object] | None = None,
    ) -> list[Gap]:
        """Make one batch durable: one pwrite and one fdatasync for all stores in it.

        On return every append is on disk, except those of the returned gaps, of which nothing
        was written. Gaps of one store do not hold up the others.

        A failed write or fsync is answered inside: the file is closed for good, a new one is
        opened and the same batch is written there. Only when that fails too it raises. What
        raised is *not acknowledged*; after a crash it may be there or not.

        Args:
            appends: of any stores, oldest first.
            confirm: whether to call `confirm` at once.
            meanwhile: called once the disk has begun, before anything is durable, or not at all;
                must not raise. The batch waits for it, so it should be short.

        Raises:
            DiskFullError: no space. Nothing changed; a later call works when there is space.
            DiskFailedError: the disk refuses writes. A later call tries again with a new file.
            ValueTooLargeError: the batch is beyond what one frame can carry.
        """
        ...

    def confirm(self) -> None:
        """Note in the file that the newest batch was synced; nothing if that is noted already.

        The note proves, should the batch be damaged later, that it was acknowledged and no torn
        tail. Any later batch proves it too, so a writer may answer first who waits, and write the
        note then. Never raises: the batch is durable all the same.
        """
        ...

    def take_closed_files(self) -> list[ClosedFile]:
        """Hand over the files that were filled (or given up) since the last call, oldest first."""
        ...

    def set_last_index(self, uid: str, last_index: Index) -> None:
        """Say what a durable snapshot covers: the log may go on right behind it.

        Called after an installed snapshot made the log jump, and after a snapshot of the store's
        own: it may reach beyond what the disk has taken of the log so far. The next append may
        then start at any index up to ``last_index + 1``. A lower index than before changes
        nothing. A store that was never named ends at 0.
        """
        ...

    def resume(self, uid: str, last_index: Index) -> None:
        """Say where the log of a store ends that was just read; nothing if that is known.

        It is not known of one that could not be read at the start and can be by now.
        """
        ...

    def forget(self, uid: str) -> None:
        """Drop the memory of a store that was deleted."""
        ...

    def close(self) -> None:
        """Sync and close. The directory then says of its last batch that it was confirmed."""
        ...


class SegmentWriter(Protocol):
    """Moves entries out of closed write-ahead-log files. Owner: the SegmentWriter actor."""

    def release(self, uid: str, snapshot_index: Index) -> None:
        """Drop segments made needless by a snapshot, which must be durable already."""
        ...

    def flush(self, closed_file: ClosedFile) -> None:
        """Write what is still needed of the file to segments, sync them, then drop the file.

        Needed are entries above the snapshot (see `release`) of stores that have a folder: those
        of a deleted store are skipped (cases W26, W27). Files must come oldest first. Idempotent:
        after a crash or an error in the middle the file is still there, repeat the call.

        Raises:
            DiskFullError, DiskFailedError: the file stays, repeat the call later.
            DataCorruptionError: the file no longer holds what was written; it stays.
        """
        ...


class MetaFile(Protocol):
    """Term and vote of one store, one synced record (Raft figure 2). Owner: the RaServer."""

    @property
    def hard_state(self) -> HardState:
        """What is durable now."""
        ...

    def write(self, hard_state: HardState) -> None:
        """Make term and vote durable together: one pwrite, one fdatasync.

        Does nothing when nothing changes.

        Raises:
            DiskFullError, DiskFailedError: the old record stands, unless a crash follows, after
                which it may be either. Do not act on the new vote.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class Snapshots(Protocol):
    """The snapshots of one store; at most the newest is kept. Owner: the SnapshotWorker."""

    @property
    def current(self) -> SnapshotMeta | None:
        """The newest durable snapshot."""
        ...

    def write(self, meta: SnapshotMeta, chunks: Iterable[bytes]) -> bool:
        """Write a snapshot from the machine's chunks and make it the current one.

        When a newer one is already there the new one is dropped and the answer is False.
        Any error, one raised by `chunks` included, removes what was written so far.
        """
        ...

    def write_in_steps(
        self, meta: SnapshotMeta, chunks: Iterable[bytes]
    ) -> Generator[None, None, bool]:
        """Do the same, a chunk with each step; to close it before its end breaks it off.

        Meanwhile no other snapshot may become the current one.
        """
        ...

    def accept(self, meta: SnapshotMeta) -> SnapshotAcceptor:
        """Begin to receive a snapshot from a peer. It replaces an unfinished one."""
        ...

    def open_reader(self) -> SnapshotReader:
        """Open the current snapshot. It stays readable when a newer one replaces it."""
        ...


class SnapshotReader(Protocol):
    """One snapshot, open. Any one thread; to be closed."""

    meta: SnapshotMeta
    size_bytes: int

    def chunks(self) -> Iterator[bytes]:
        """Give the chunks in order, as the machine yielded them, each checked.

        Raises:
            DataCorruptionError: the file is not what was written.
        """
        ...

    def read(self, offset: int, max_bytes: int) -> tuple[bytes, bool]:
        """Give a piece of the file for a peer (`ReadSnapshotChunk`) and whether it is the last.

        Not checked here: the file carries its checksums, and the receiver's commit checks all.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class SnapshotAcceptor(Protocol):
    """A snapshot that is being received. Invisible until it is committed."""

    @property
    def next_offset(self) -> int:
        """How many bytes came so far."""
        ...

    def append(self, offset: int, data: bytes) -> None:
        """Take the next piece (`StoreSnapshotChunk`); not durable yet. `offset` must fit."""
        ...

    def commit(self) -> bool:
        """Verify all checksums, sync, rename: on return the snapshot is current and durable.

        Before it a conflicting log must be voided durably:
        ``write_ahead_log.write([Append(uid, meta.index, ())])``; after it call
        ``write_ahead_log.set_last_index(uid, meta.index)`` and
        ``segment_writer.release(uid, meta.index)``.

        False when a snapshot as new is already there. On any error the partial one is removed.

        Raises:
            DataCorruptionError: what came is not a whole snapshot of the promised meta.
            UnknownFormatError: the peer writes a format this release does not know.
        """
        ...

    def abort(self) -> None:
        """Remove what came so far."""
        ...


class DataDirectory(Protocol):
    """The locked directory of a Ra system: identity and registry of stores. Owner: RaSystem."""

    @property
    def stores(self) -> dict[str, str]:
        """Store id -> uid of every registered store."""
        ...

    def register(self, store_id: str, cluster_id: bytes | None = None) -> str:
        """Create the folder of a new store and register it durably; gives its new uid.

        With `cluster_id` the store is to join that cluster; without it founds one of its own.
        """
        ...

    def registration(self, store_id: str) -> Registration:
        """Give what was durably noted when the store was registered."""
        ...

    def unregister(self, store_id: str) -> None:
        """Delete a store: durably unregistered first, then its files are removed."""
        ...

    def meta(self, uid: str) -> MetaFile:
        """Open term and vote of a store."""
        ...

    def snapshots(self, uid: str) -> Snapshots:
        """Open the snapshots of a store."""
        ...

    def close(self) -> None:
        """Release the lock."""
        ...
