"""Start-up: everything is read and checked, then made durable, then the leftovers go.

The order of a recovery:

1. Of each registered store: term and vote, the newest snapshot, the segments.
2. The write-ahead log, oldest file first; its appends are done upon what the segments gave.
3. The entries above the snapshot must be without a gap, and the term must not be behind them.
   Up to here nothing was modified: a refusal leaves the directory as it was.
4. What was read but perhaps never synced, because the process died in between, is synced now:
   folders whose renames count, and the last batch of the log if nothing proves its sync.
5. Leftovers are removed: temporary files, stores that are not registered, older snapshots.

Old log files are not continued: they go to the segment writer, and the first write makes a new
file, whose header voids the torn tail of the one before.

Not here: reading and checking (`readings`), what makes a single file valid (`log_file`,
`block_file`, `meta`).
"""

from __future__ import annotations

import gc
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from khepri.errors import StorageError
from khepri.raft.types import Index

from .directory import remove_store_files
from .file_header import TEMPORARY_SUFFIX
from .log_file import encode_confirmation
from .paths import SEGMENT_SUFFIX, list_numbered, segments_folder, snapshots_folder, wal_folder
from .readings import complete_reading, read_log, read_store_files
from .segments import SegmentWriter
from .snapshots import remove_snapshots_but
from .write_ahead_log import MAX_FILE_BYTES, WriteAheadLog

if TYPE_CHECKING:
    from collections.abc import Generator

    from .directory import DataDirectory
    from .interface import ClosedFile, RecoveredStore
    from .log_file import LogFile
    from .readings import StoreReading

_NO_INDEX = Index(0)


@dataclass(frozen=True, slots=True)
class RecoveredSystem:
    """What a Ra system starts from.

    Attributes:
        stores: by store id.
        damaged: stores whose own files are damaged, by store id; the others are not held up
            (case W28). What the log has of them is kept.
        write_ahead_log: for the WalWriter.
        segment_writer: for the SegmentWriter.
        closed_files: left by the last run: to be flushed first, in this order.
    """

    stores: dict[str, RecoveredStore]
    damaged: dict[str, StorageError]
    write_ahead_log: WriteAheadLog
    segment_writer: SegmentWriter
    closed_files: list[ClosedFile]


def recover(
    directory: DataDirectory, *, max_log_file_bytes: int = MAX_FILE_BYTES
) -> RecoveredSystem:
    """Read a directory and give all that is needed to go on with it.

    Args:
        directory: locked and opened.
        max_log_file_bytes: see `WriteAheadLog`.

    Raises:
        DataCorruptionError, UnknownFormatError: the log that the stores share is damaged;
            nothing was modified. A store whose own files are damaged is in ``damaged`` instead.
        DiskFailedError, DirectoryAccessError: what was read cannot be made durable.
    """
    with _garbage_collector_paused():
        readings, damaged = _read_stores(directory)
        closed_files, newest = read_log(directory, readings, None)
    stores: dict[str, RecoveredStore] = {}
    for reading in readings.values():
        try:
            stores[reading.store_id] = complete_reading(directory, reading)
        except StorageError as error:
            damaged[reading.store_id] = error
    _make_durable(directory, newest)
    segment_writer = _make_segment_writer(directory, stores)
    _remove_leftovers(directory, stores, segment_writer)
    directory.log_folder.next_batch = closed_files[-1].end_batch if closed_files else 1
    write_ahead_log = WriteAheadLog(
        directory.log_folder,
        next_sequence=_next_sequence(directory, closed_files),
        last_indexes={store.uid: _last_index(store) for store in stores.values()},
        max_file_bytes=max_log_file_bytes,
    )
    return RecoveredSystem(stores, damaged, write_ahead_log, segment_writer, closed_files)


@contextmanager
def _garbage_collector_paused() -> Generator[None]:
    """Make many objects without the collector walking them again and again.

    Measured with 400,000 entries: 0.25 instead of 1.0 seconds. All that is made here lives on.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_stores(
    directory: DataDirectory,
) -> tuple[dict[str, StoreReading], dict[str, StorageError]]:
    """Read the files that belong to one store each; damage in them concerns only that store."""
    readings: dict[str, StoreReading] = {}
    damaged: dict[str, StorageError] = {}
    for store_id, uid in directory.stores.items():
        try:
            readings[uid] = read_store_files(directory, store_id, uid)
        except StorageError as error:
            damaged[store_id] = error
    return readings, damaged


def _make_durable(directory: DataDirectory, newest: LogFile | None) -> None:
    """Sync what a process that died may have left in the cache alone."""
    file_system = directory.file_system
    folders = [directory.path, wal_folder(directory.path), directory.stores_folder]
    for uid in directory.stores.values():
        folder = directory.store_folder(uid)
        folders += [folder, segments_folder(folder), snapshots_folder(folder)]
    for folder in folders:
        if file_system.exists(folder):
            file_system.fsync_directory(folder)
    if newest is None or newest.tail_is_confirmed:
        return
    # Written again and not only synced: a sync that failed before has marked the pages clean.
    offset, frame = newest.last_frame()
    file = file_system.open(newest.path, writable=True)
    try:
        file.pwrite(frame, offset)
        file.fdatasync()
        confirmation = encode_confirmation(newest.end_batch - 1, newest.header.salt)
        file.pwrite(confirmation, offset + len(frame))
    finally:
        file.close()


def _make_segment_writer(
    directory: DataDirectory, stores: dict[str, RecoveredStore]
) -> SegmentWriter:
    """Of stores that are damaged all entries are kept, as if they had no snapshot."""
    return SegmentWriter(
        directory.file_system,
        directory.log_folder,
        directory.stores_folder,
        snapshot_indexes={
            store.uid: store.snapshot.index for store in stores.values() if store.snapshot
        },
        is_registered=lambda uid: uid in directory.stores.values(),
        random_bytes=directory.random_bytes,
    )


def _next_sequence(directory: DataDirectory, closed_files: list[ClosedFile]) -> int:
    """Give a number above all log files and segments: their order is the order of writing."""
    highest = closed_files[-1].sequence if closed_files else 0
    for uid in directory.stores.values():
        folder = segments_folder(directory.store_folder(uid))
        if directory.file_system.exists(folder):
            names = list_numbered(directory.file_system, folder, SEGMENT_SUFFIX)
            highest = max(highest, *(number for number, _ in names), 0)
    return highest + 1


def _last_index(store: RecoveredStore) -> Index:
    if store.entries:
        return store.entries[-1].index
    return store.snapshot.index if store.snapshot else _NO_INDEX


def _remove_leftovers(
    directory: DataDirectory, stores: dict[str, RecoveredStore], segment_writer: SegmentWriter
) -> None:
    """Remove what a crash left, as well as the disk allows; damaged stores are not touched."""
    file_system = directory.file_system
    folders = [directory.path, wal_folder(directory.path)]
    with suppress(StorageError):
        for store in stores.values():
            folder = directory.store_folder(store.uid)
            if store.snapshot is not None:
                remove_snapshots_but(file_system, snapshots_folder(folder), store.snapshot.index)
                segment_writer.release(store.uid, store.snapshot.index)
            folders += [folder, segments_folder(folder), snapshots_folder(folder)]
        for folder in folders:
            for name in file_system.listdir(folder):
                if name.endswith(TEMPORARY_SUFFIX):
                    file_system.unlink(f"{folder}/{name}")
        registered = set(directory.stores.values())
        for uid in file_system.listdir(directory.stores_folder):
            if uid not in registered:
                remove_store_files(file_system, directory.store_folder(uid))
