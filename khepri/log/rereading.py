"""Reading one store again while its Ra system runs: its server is started, or started again.

The same readings as at a recovery (`recovery.py`), of one store, and nothing is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.errors import StorageError

from .paths import SEGMENT_SUFFIX, list_numbered, segments_folder
from .recovery import complete_reading, read_log, read_store_files

if TYPE_CHECKING:
    from .directory import DataDirectory
    from .interface import RecoveredStore


def read_store(directory: DataDirectory, store_id: str) -> RecoveredStore:
    """Give a store as it is on disk now.

    Call it on the thread that writes the log, between two writes. The segment writer may move
    entries meanwhile, from log files to segments: what was read is only taken if it did not.

    Args:
        directory: locked and opened.
        store_id: a registered store.

    Raises:
        StorageError: the files cannot be read, or are not what was written.
    """
    uid = directory.stores[store_id]
    while True:
        before = _files(directory, uid)
        try:
            reading = read_store_files(directory, store_id, uid)
            read_log(directory, {uid: reading})
        except StorageError:
            if _files(directory, uid) == before:
                raise
        else:
            if _files(directory, uid) == before:
                return complete_reading(directory, reading)


def _files(directory: DataDirectory, uid: str) -> tuple[list[tuple[int, str]], ...]:
    segments = segments_folder(directory.store_folder(uid))
    return (
        list_numbered(directory.file_system, segments, SEGMENT_SUFFIX),
        directory.log_folder.list_files(),
    )
