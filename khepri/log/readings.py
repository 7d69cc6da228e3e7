"""Reading what a directory holds: of one store its own files, of all the shared log.

Nothing is changed here. Who reads when is in `recovery` (a start) and `rereading` (one store of
a system that runs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .file_header import corrupt
from .interface import ClosedFile, RecoveredStore
from .log_tail import LogTail, Source
from .meta import read_meta
from .paths import (
    SEGMENT_SUFFIX,
    list_numbered,
    meta_path,
    segments_folder,
    snapshots_folder,
)
from .segments import read_segment
from .snapshots import check_newest_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from khepri.raft.types import HardState, SnapshotMeta

    from .directory import DataDirectory
    from .log_file import LogFile


class StoreReading(NamedTuple):
    """What was read of one store so far."""

    store_id: str
    uid: str
    hard_state: HardState
    snapshot: SnapshotMeta | None
    tail: LogTail
    flushed_up_to: int
    """Log files up to this number have said all they have to say to the segments; 0 for none."""


def read_store_files(directory: DataDirectory, store_id: str, uid: str) -> StoreReading:
    """Read and check the files that belong to one store alone.

    Raises:
        DataCorruptionError, UnknownFormatError: one of them is not what was written.
    """
    file_system, folder = directory.file_system, directory.store_folder(uid)
    for needed in (meta_path(folder), segments_folder(folder), snapshots_folder(folder)):
        if not file_system.exists(needed):
            raise corrupt(needed, 0, "it is missing")
    record = read_meta(file_system, meta_path(folder), uid)
    snapshot = check_newest_snapshot(file_system, snapshots_folder(folder))
    tail, flushed_up_to = LogTail(), 0
    for sequence, path in list_numbered(file_system, segments_folder(folder), SEGMENT_SUFFIX):
        segment = read_segment(file_system, path, uid, sequence)
        source = Source(path, 0)
        tail.follow(segment, source)
        flushed_up_to = sequence
    return StoreReading(store_id, uid, record.hard_state, snapshot, tail, flushed_up_to)


def read_log(
    directory: DataDirectory, readings: Mapping[str, StoreReading], end_batch: int | None
) -> tuple[list[ClosedFile], LogFile | None]:
    """Do the appends of the log upon the tails; those of other uids are ignored (case W26).

    A file that was not dropped yet though a store has its segment is not done again for that
    store: what came first in the file may have been made void by what came later, far below, and
    would leave a hole now (case W25).

    Args:
        directory: whose log.
        readings: by uid.
        end_batch: where the log ends; None to find out from the newest file.

    Returns:
        the log's files, and the newest one with its content.

    Raises:
        DataCorruptionError, UnknownFormatError: the log is not what was written.
    """
    closed_files: list[ClosedFile] = []
    newest: LogFile | None = None
    for log_file in directory.log_folder.read_all(end_batch):
        newest = log_file
        sequence = log_file.header.sequence
        closed_files.append(ClosedFile(sequence, log_file.path, log_file.end_batch))
        for offset, (uid, first_index, entries) in log_file.appends():
            reading = readings.get(uid)
            if reading is not None and sequence > reading.flushed_up_to:
                reading.tail.append(first_index, entries, Source(log_file.path, offset))
    return closed_files, newest


def complete_reading(directory: DataDirectory, reading: StoreReading) -> RecoveredStore:
    """Put together what was read, when the whole log has been.

    Raises:
        DataCorruptionError: entries are missing, or the term is behind them.
    """
    store_id, uid, hard_state, snapshot, tail, _ = reading
    entries = tail.after_snapshot(snapshot.index if snapshot else 0)
    term = entries[-1].term if entries else snapshot.term if snapshot else 0
    if term > hard_state.term:
        path = meta_path(directory.store_folder(uid))
        raise corrupt(path, 0, f"term {hard_state.term} is behind the log's term {term}")
    return RecoveredStore(store_id, uid, hard_state, snapshot, entries)
