"""The write-ahead log: one batch, one write, one sync, for all stores of a Ra system.

The life of a batch:

1. What would leave a hole in a store's log is put aside as a `Gap`.
2. The rest becomes one frame, written behind the last one with a single pwrite.
3. One fdatasync. When it returns the batch is durable: this is the moment of acknowledgement.
4. The confirmed frame is written behind it, not synced: it proves after the death of the process
   that the batch was acknowledged, and the next batch overwrites it. Who writes may first answer
   those who wait for the batch.

When the batch does not fit, the next file is made first; the filled one goes to the segment
writer. When a write or sync fails, the file is never written again (a later fdatasync would say
nothing about the lost write) and the batch is written to a new file, whose header voids whatever
the failed write left behind.

Not here: the format (`log_file`), the files (`log_folder`), reading it all back (`recovery`).
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from khepri.errors import DiskFullError, StorageError
from khepri.raft.types import Index

from .file_header import NO_SALT
from .framing import HEADER_BYTES
from .interface import ClosedFile, Gap
from .log_file import DATA_OFFSET, encode_batch, encode_confirmation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .interface import Append
    from .log_folder import LogFolder, NewLogFile

_logger = logging.getLogger("khepri.log.write_ahead_log")

FIRST_FILE_BYTES = 1 << 20
"""Size of the first file of a run: a small store does not pay for a large one."""
MAX_FILE_BYTES = 64 << 20
_ALIGNMENT = 4096
_BEFORE_THE_LOG = Index(0)
_GROWTH = 2
"""Each filled file makes the next one so many times larger, up to the maximum."""


class WriteAheadLog:
    """The writing end of the log. One thread; see `interface.WriteAheadLog` for the promises."""

    def __init__(
        self,
        folder: LogFolder,
        *,
        next_sequence: int,
        last_indexes: Mapping[str, Index],
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        """Continue a log that was read; the first file is made by the first write.

        Args:
            folder: its files, and the number of the next batch.
            next_sequence: number of the next file, above all there are or were.
            last_indexes: where the log of each store ends, by uid.
            max_file_bytes: files grow up to this size; a larger batch gets a file of its own.
        """
        self._folder = folder
        self._next_sequence = next_sequence
        self._last_indexes = dict(last_indexes)
        self._covered: dict[str, Index] = {}
        self._max_file_bytes = _aligned(max_file_bytes)
        self._file_bytes = min(FIRST_FILE_BYTES, self._max_file_bytes)
        folder.wanted_spare_bytes = self._file_bytes
        self._current: NewLogFile | None = None
        self._offset = DATA_OFFSET
        self._is_confirmed = True
        self._closed: list[ClosedFile] = []

    def write(
        self,
        appends: Sequence[Append],
        *,
        confirm: bool = True,
        meanwhile: Callable[[], object] | None = None,
    ) -> list[Gap]:
        """See `interface.WriteAheadLog.write`."""
        accepted: list[Append] = []
        gaps: list[Gap] = []
        reached: dict[str, Index] = {}
        for append in appends:
            uid, first_index, entries = append
            last = reached.get(uid, self._last_indexes.get(uid, _BEFORE_THE_LOG))
            if entries:
                whole = max(last, self._covered.get(uid, _BEFORE_THE_LOG))
                if first_index > whole + 1:
                    gaps.append(Gap(uid, Index(whole + 1)))
                    continue
                reached[uid] = entries[-1].index
            else:
                # Written even where it seems to do nothing: a failed write may have left more.
                reached[uid] = min(last, Index(first_index - 1))
            accepted.append(append)
        if accepted:
            self._write_batch(accepted, meanwhile)
            self._last_indexes.update(reached)
            if confirm:
                self.confirm()
        return gaps

    def confirm(self) -> None:
        """See `interface.WriteAheadLog.confirm`."""
        current = self._current
        if self._is_confirmed or current is None:
            return
        self._is_confirmed = True
        newest = self._folder.next_batch - 1
        try:
            current.file.pwrite(encode_confirmation(newest, current.header.salt), self._offset)
        except StorageError:
            self._retire_current()  # the batch is durable all the same

    def take_closed_files(self) -> list[ClosedFile]:
        """See `interface.WriteAheadLog.take_closed_files`."""
        closed, self._closed = self._closed, []
        return closed

    def set_last_index(self, uid: str, last_index: Index) -> None:
        """See `interface.WriteAheadLog.set_last_index`."""
        # Kept apart from where the log ends: an older write that the disk had refused may still
        # come, and must not hide that a snapshot covers what follows it.
        self._covered[uid] = max(last_index, self._covered.get(uid, _BEFORE_THE_LOG))

    def resume(self, uid: str, last_index: Index) -> None:
        """See `interface.WriteAheadLog.resume`."""
        self._last_indexes.setdefault(uid, last_index)

    def forget(self, uid: str) -> None:
        """See `interface.WriteAheadLog.forget`."""
        self._last_indexes.pop(uid, None)
        self._covered.pop(uid, None)

    def close(self) -> None:
        """See `interface.WriteAheadLog.close`."""
        self.confirm()
        current, self._current = self._current, None
        if current is not None:
            with suppress(StorageError):  # all batches are durable, only the last proof is not
                current.file.fdatasync()
            with suppress(StorageError):
                current.file.close()

    def _write_batch(
        self, appends: Sequence[Append], meanwhile: Callable[[], object] | None
    ) -> None:
        current, file_bytes = self._current, self._file_bytes
        if current is not None:
            frame = encode_batch(self._folder.next_batch, current.header.salt, appends)
            if self._offset + len(frame) + HEADER_BYTES <= current.header.size_bytes:
                try:
                    self._write_frame(current, frame, meanwhile)
                except StorageError as error:
                    _logger.warning(
                        "%s is given up, trying with a new file: %s", current.path, error
                    )
                else:
                    return
            else:
                file_bytes = self._grown(file_bytes)
        self._write_to_next_file(appends, file_bytes)

    def _write_to_next_file(self, appends: Sequence[Append], file_bytes: int) -> None:
        """Write a batch that the current file cannot take: none, full, or failed."""
        frame = encode_batch(self._folder.next_batch, NO_SALT, appends)
        needed = _aligned(DATA_OFFSET + len(frame) + HEADER_BYTES)
        smallest = min(FIRST_FILE_BYTES, self._max_file_bytes)
        try:
            new = self._prepare(max(file_bytes, needed))
        except StorageError as error:
            self._next_file_is_of(smallest)  # it may find room
            if not isinstance(error, DiskFullError) or max(smallest, needed) >= file_bytes:
                raise
            file_bytes = smallest
            new = self._prepare(max(smallest, needed))
        if file_bytes > self._file_bytes:
            self._next_file_is_of(file_bytes)
        # Whatever comes of the publication, it may have sealed the current file.
        self._retire_current()
        try:
            self._folder.publish(new)
        except StorageError:
            new.file.close()
            raise
        self._next_sequence += 1
        self._current = new
        self._offset = DATA_OFFSET
        self._write_frame(new, encode_batch(self._folder.next_batch, new.header.salt, appends))

    def _prepare(self, size_bytes: int) -> NewLogFile:
        return self._folder.prepare(self._next_sequence, self._folder.next_batch, size_bytes)

    def _write_frame(
        self,
        current: NewLogFile,
        frame: bytes,
        meanwhile: Callable[[], object] | None = None,
    ) -> None:
        """Write and sync. A file that fails once is never written again."""
        file = current.file
        try:
            file.pwrite(frame, self._offset)
            if meanwhile is not None:
                file.begin_writing(self._offset, len(frame))
                meanwhile()
            file.fdatasync()
        except StorageError:
            self._retire_current()
            raise
        self._offset += len(frame)
        self._folder.next_batch += 1
        self._is_confirmed = False

    def _next_file_is_of(self, size_bytes: int) -> None:
        self._file_bytes = size_bytes
        self._folder.wanted_spare_bytes = self._grown(size_bytes)

    def _grown(self, size_bytes: int) -> int:
        return min(size_bytes * _GROWTH, self._max_file_bytes)

    def _retire_current(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            sequence = current.header.sequence
            self._closed.append(ClosedFile(sequence, current.path, self._folder.next_batch))
            with suppress(StorageError):
                current.file.close()


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT) * _ALIGNMENT
