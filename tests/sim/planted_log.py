"""Bugs planted in the log room: what a disk does to a program that trusts it too much."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from khepri.errors import StorageError
from khepri.log import block_file, framing, segments
from khepri.log.log_file import read_log_file
from khepri.log.log_folder import LogFolder
from khepri.log.log_tail import LogTail, Source
from khepri.log.meta import MetaFile
from khepri.log.segments import SegmentWriter
from khepri.log.write_ahead_log import WriteAheadLog
from tests.sim.planting import Planted, planted

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG_BUGS: list[Planted] = []
_plant = planted(LOG_BUGS)


@_plant("the log is not synced", WriteAheadLog, "_write_frame")
def _write_frame(self: Any, current: Any, frame: bytes) -> None:
    current.file.pwrite(frame, self._offset)
    self._offset += len(frame)
    self._folder.next_batch += 1


@_plant("a failed sync of the log is taken for done", WriteAheadLog, "_write_frame")
def _write_frame_and_hope(self: Any, current: Any, frame: bytes) -> None:
    current.file.pwrite(frame, self._offset)
    with suppress(StorageError):
        current.file.fdatasync()
    self._offset += len(frame)
    self._folder.next_batch += 1
    self._is_confirmed = False


@_plant("a file is written on after its sync has failed", WriteAheadLog, "_write_frame")
def _write_frame_again(self: Any, current: Any, frame: bytes) -> None:
    current.file.pwrite(frame, self._offset)
    try:
        current.file.fdatasync()
    except StorageError:
        current.file.fdatasync()
    self._offset += len(frame)
    self._folder.next_batch += 1


@_plant("a truncation is not written", WriteAheadLog, "write")
def _write(self: Any, appends: Sequence[Any], **options: Any) -> Any:
    return _log_write(self, [append for append in appends if append.entries], **options)


_log_write = WriteAheadLog.write


@_plant("a new log file has no durable name", LogFolder, "publish")
def _publish(self: Any, new: Any) -> None:
    self._file_system.rename(new.file.path, new.path)


@_plant("term and vote are not synced", MetaFile, "_write_record")
def _write_record(self: Any, record: Any) -> None:
    from khepri.log import meta  # noqa: PLC0415 - its private parts are needed here alone

    self._file.pwrite(meta._encode_slot(record), meta._place_of(record.number))
    self._record = record


@_plant("term and vote have one slot", MetaFile, "_write_record")
def _write_record_in_place(self: Any, record: Any) -> None:
    from khepri.log import meta  # noqa: PLC0415 - as above

    for place in (0, meta._SLOT_BYTES):
        self._file.pwrite(meta._encode_slot(record), place)
    self._file.fdatasync()
    self._record = record


@_plant("a snapshot or segment gets its name before it is synced", block_file, "publish_file")
def _publish_file(file_system: Any, file: Any, path: str) -> None:
    file.close()
    file_system.rename(file.path, path)
    file_system.fsync_directory(path.rsplit("/", 1)[0])


@_plant("checksums of payloads are not looked at", framing, "payload_matches")
def _payload_matches(header: Any, payload: Any) -> bool:
    return bool(len(payload) == header.length)


@_plant("an overwritten suffix comes back", LogTail, "append")
def _tail_append(self: Any, first_index: Any, entries: Sequence[Any], source: Any) -> None:
    known = self.entries[-1].index if self.entries else 0
    fresh = [entry for entry in entries if entry.index > known]
    _log_tail_append(self, max(first_index, known + 1) if known else first_index, fresh, source)


_log_tail_append = LogTail.append


@_plant("a log file is dropped before its entries are in segments", SegmentWriter, "flush")
def _flush(self: Any, closed_file: Any) -> None:
    log_file = read_log_file(
        self._file_system, closed_file.sequence, closed_file.path, closed_file.end_batch
    )
    tails: dict[str, LogTail] = {}
    for offset, append in log_file.appends():
        tail = tails.setdefault(append.uid, LogTail())
        tail.append(append.first_index, append.entries, Source(closed_file.path, offset))
    self._log_folder.drop(closed_file.sequence)
    for uid, tail in tails.items():
        self._write_segment(self._segments_folder(uid), uid, closed_file.sequence, tail)


@_plant("too many segments are released", segments, "_find_needless")
def _find_needless(spans: Sequence[Any], snapshot_index: int) -> list[str]:
    return [span.path for span in spans if span.lowest_index <= snapshot_index]


@_plant("segments forget what they make void", SegmentWriter, "_write_segment")
def _write_segment(self: Any, folder: str, uid: str, sequence: int, tail: Any) -> None:
    if tail.entries:
        tail.lowest_index = tail.entries[0].index
        _segment_write(self, folder, uid, sequence, tail)


_segment_write = SegmentWriter._write_segment


@_plant("the number of the next batch starts anew", LogFolder, "read_all")
def _read_all(self: Any, end_batch: Any) -> Any:
    files = list(_folder_read_all(self, end_batch))
    return iter(files[:-1] if len(files) > 1 and not files[-1].tail_is_confirmed else files)


_folder_read_all = LogFolder.read_all
