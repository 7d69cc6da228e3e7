"""Reading one store again while its Ra system runs: its server is started, or started again.

The same reading as at a recovery (`recovery`), of one store, and nothing is changed. Where the
log ends is known here: what a failed write left behind the last durable batch does not count,
though the page cache may still show it whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.errors import StorageError

from .paths import (
    SEGMENT_SUFFIX,
    SNAPSHOT_SUFFIX,
    list_numbered,
    segments_folder,
    snapshots_folder,
)
from .readings import complete_reading, read_log, read_store_files

if TYPE_CHECKING:
    from .directory import DataDirectory
    from .interface import RecoveredStore


def read_store(directory: DataDirectory, store_id: str) -> RecoveredStore:
    """Give a store as it is on disk now.

    Call it on the thread that writes the log, between two writes. The segment writer may move
    entries meanwhile, from log files to segments, and snapshots may be replaced: what was read
    is only taken if no file came or went.

    Args:
        directory: locked, opened and recovered.
        store_id: a registered store.

    Raises:
        StorageError: the files cannot be read, or are not what was written.
    """
    uid = directory.stores[store_id]
    while True:
        before = _list_files(directory, uid)
        try:
            reading = read_store_files(directory, store_id, uid)
            read_log(directory, {uid: reading}, directory.log_folder.next_batch)
        except StorageError:
            if _list_files(directory, uid) == before:
                raise
        else:
            if _list_files(directory, uid) == before:
                found = complete_reading(directory, reading)
                _make_durable(directory, uid)
                return found


def _make_durable(directory: DataDirectory, uid: str) -> None:
    """Sync the folders whose renames count: the sync that belonged to one may have failed."""
    folder = directory.store_folder(uid)
    for inner in (segments_folder(folder), snapshots_folder(folder)):
        directory.file_system.fsync_directory(inner)


def _list_files(directory: DataDirectory, uid: str) -> list[tuple[int, str]]:
    file_system, folder = directory.file_system, directory.store_folder(uid)
    return [
        *list_numbered(file_system, segments_folder(folder), SEGMENT_SUFFIX),
        *list_numbered(file_system, snapshots_folder(folder), SNAPSHOT_SUFFIX),
        *directory.log_folder.list_files(),
    ]
