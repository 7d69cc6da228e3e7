"""What the tests of the disk room share: entries, a deterministic directory, and what it holds.

`LogHarness` is a whole disk room over one file system: open it, use it, crash it, open it again.
`Contents` is what a directory holds as far as its users can tell; recovery is right when it gives
the contents that were acknowledged.
"""

from __future__ import annotations

import os
import random
import weakref
from typing import TYPE_CHECKING, NamedTuple

from khepri.log.directory import DataDirectory
from khepri.log.framing import HEADER_BYTES
from khepri.log.interface import Append
from khepri.log.log_file import read_log_file
from khepri.log.paths import LOG_SUFFIX, list_numbered, wal_folder
from khepri.log.recovery import recover
from khepri.raft.types import (
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Index,
    Member,
    MemberKind,
    ServerId,
    SnapshotMeta,
    Term,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from khepri.log.file_system import FileSystem
    from khepri.log.interface import Gap, RecoveredStore
    from khepri.log.memory_file_system import Operation
    from khepri.log.meta import MetaFile
    from khepri.log.recovery import RecoveredSystem
    from khepri.log.snapshots import Snapshots

NODE = "alice@127.0.0.1"
ALICE = ServerId("orders", NODE)
SMALLEST_FILE_BYTES = 8192


def entry(index: int, term: int = 1, data: bytes = b"") -> Entry:
    return Entry(Index(index), Term(term), EntryKind.COMMANDS, data or b"%d:%d" % (index, term))


def entries(first: int, last: int, term: int = 1, *, size_bytes: int = 0) -> list[Entry]:
    """Give entries with data that tells them apart, each of at least `size_bytes`."""
    return [
        entry(index, term, (b"%d:%d" % (index, term)).ljust(size_bytes, b"."))
        for index in range(first, last + 1)
    ]


def append(uid: str, some: Sequence[Entry]) -> Append:
    return Append(uid, some[0].index, some)


def truncation(uid: str, first_index: int) -> Append:
    return Append(uid, Index(first_index), ())


def configuration(uid: str = "UID") -> Configuration:
    return Configuration((Member(ALICE, uid, MemberKind.VOTER),))


def snapshot_meta(index: int, term: int = 1) -> SnapshotMeta:
    return SnapshotMeta(Index(index), Term(term), configuration())


def chunks_of(meta: SnapshotMeta, count: int = 3) -> list[bytes]:
    return [b"chunk %d of %d:%d" % (number, meta.index, meta.term) for number in range(count)]


def hard_state(term: int, voted_for: ServerId | None = None) -> HardState:
    return HardState(Term(term), voted_for)


def terms(some: Iterable[Entry]) -> dict[int, int]:
    """Give index -> term, which is how the cases of the specification write a log."""
    return {one.index: one.term for one in some}


def seeded_bytes(seed: int = 0) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


_generators: weakref.WeakKeyDictionary[FileSystem, random.Random] = weakref.WeakKeyDictionary()


def random_bytes_for(file_system: FileSystem) -> Callable[[int], bytes]:
    """Give a generator that goes on when a directory is opened again: salts must not repeat."""
    return _generators.setdefault(file_system, random.Random(0)).randbytes


class StoreContents(NamedTuple):
    """What one store holds."""

    hard_state: HardState
    snapshot: SnapshotMeta | None
    chunks: tuple[bytes, ...]
    entries: tuple[Entry, ...]


class LogHarness:
    """One data directory, opened."""

    def __init__(
        self,
        file_system: FileSystem,
        path: str,
        *,
        max_log_file_bytes: int = SMALLEST_FILE_BYTES,
    ) -> None:
        self.file_system = file_system
        self.path = path
        self.directory = DataDirectory.open(
            file_system, path, NODE, random_bytes=random_bytes_for(file_system)
        )
        try:
            self.system: RecoveredSystem = recover(
                self.directory, max_log_file_bytes=max_log_file_bytes
            )
        except BaseException:
            self.directory.close()
            raise
        self._metas: dict[str, MetaFile] = {}
        self._snapshots: dict[str, Snapshots] = {}

    def register(self, store_id: str = "orders", term: int = 1) -> str:
        """Register a store and give its uid; a term is set, since entries have one."""
        uid = self.directory.register(store_id)
        self.vote(uid, term)
        return uid

    def vote(self, uid: str, term: int, voted_for: ServerId | None = None) -> None:
        if uid not in self._metas:
            self._metas[uid] = self.directory.meta(uid)
        self._metas[uid].write(hard_state(term, voted_for))

    def write(self, *appends: Append) -> list[Gap]:
        return self.system.write_ahead_log.write(appends)

    def snapshots(self, uid: str) -> Snapshots:
        if uid not in self._snapshots:
            self._snapshots[uid] = self.directory.snapshots(uid)
        return self._snapshots[uid]

    def take_snapshot(self, uid: str, meta: SnapshotMeta) -> None:
        """Write a snapshot and drop what it makes needless."""
        self.snapshots(uid).write(meta, chunks_of(meta))
        self.system.segment_writer.release(uid, meta.index)

    def flush(self) -> None:
        """Move closed log files to segments: those found at the start, and those since."""
        closed_files = self.system.closed_files
        closed_files += self.system.write_ahead_log.take_closed_files()
        while closed_files:
            self.system.segment_writer.flush(closed_files[0])
            closed_files.pop(0)

    def store(self, store_id: str = "orders") -> RecoveredStore:
        return self.system.stores[store_id]

    def log(self, store_id: str = "orders") -> dict[int, int]:
        """Give what was recovered of the log as index -> term."""
        return terms(self.store(store_id).entries)

    def contents(self) -> dict[str, StoreContents]:
        """Give what was recovered, damaged stores excepted."""
        return {
            store_id: StoreContents(
                store.hard_state,
                store.snapshot,
                self._read_chunks(store),
                tuple(store.entries),
            )
            for store_id, store in self.system.stores.items()
        }

    def close(self) -> None:
        self.system.write_ahead_log.close()
        for meta in self._metas.values():
            meta.close()
        self.directory.close()

    def _read_chunks(self, store: RecoveredStore) -> tuple[bytes, ...]:
        if store.snapshot is None:
            return ()
        reader = self.snapshots(store.uid).open_reader()
        try:
            return tuple(reader.chunks())
        finally:
            reader.close()


def reopened(harness: LogHarness, **options: int) -> LogHarness:
    """Close a directory and open it again."""
    harness.close()
    return LogHarness(harness.file_system, harness.path, **options)


class Place(NamedTuple):
    """Where something stands in a file."""

    path: str
    start: int
    end: int


def batches_of(file_system: FileSystem, folder: str) -> list[Place]:
    """Give where the batches of the newest log file stand, headers included."""
    sequence, path = list_numbered(file_system, wal_folder(folder), LOG_SUFFIX)[-1]
    log_file = read_log_file(file_system, sequence, path, None)
    return [Place(path, start - HEADER_BYTES, end) for start, end in log_file.payloads]


def overwrite(file_system: FileSystem, path: str, offset: int, data: bytes) -> None:
    """Change bytes behind the log's back."""
    file = file_system.open(path, writable=True)
    file.pwrite(data, offset)
    file.fdatasync()
    file.close()


CHANGES = (
    "create",
    "pwrite",
    "fdatasync",
    "rename",
    "unlink",
    "make_directory",
    "remove_directory",
    "fsync_directory",
)


def fail(
    number: int, *names: str, skip: int = 0, times: int = 1, path_part: str = ""
) -> Callable[[Operation], None]:
    """Give a hook that makes operations of these names fail with that errno.

    Args:
        number: the errno.
        names: of the operations.
        skip: so many succeed before.
        times: so many fail then.
        path_part: what their paths contain.
    """
    seen = 0

    def hook(operation: Operation) -> None:
        nonlocal seen
        if operation.name in names and path_part in operation.path:
            seen += 1
            if skip < seen <= skip + times:
                raise OSError(number, os.strerror(number))

    return hook
