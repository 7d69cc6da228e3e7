"""Files that are written once as a whole: a header, blocks, an end. Segments and snapshots.

Under its own name such a file is complete: it is written under a temporary name, synced, renamed,
and the folder is synced. So everything that is not right in one is damage, and every byte of it
is covered by a checksum or compared::

    header frame      format, version, facts; a salt of its own
    block frames      numbered 1, 2, ...
    end frame         numbered like a block that would follow; nothing behind it

Not here: what the blocks contain.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from khepri.errors import StorageError

from .file_header import (
    TEMPORARY_SUFFIX,
    FileHeader,
    corrupt,
    decode_file_header,
    encode_file_header,
)
from .framing import (
    HEADER_BYTES,
    FrameKind,
    decode_header,
    encode_frame,
    payload_matches,
)
from .paths import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .file_header import FileFormat
    from .file_system import File, FileSystem

_FIRST_READ_BYTES = 4096
"""Holds most headers; a longer one is read once more."""

PORTION_BYTES = 1 << 20
"""So much of a large file waits for a sync at most."""


class BlockFileWriter:
    """Writes one file. Either `finish` or `abort` ends it."""

    def __init__(
        self,
        file_system: FileSystem,
        path: str,
        file_format: FileFormat,
        facts: Sequence[object],
        salt: bytes,
    ) -> None:
        """Begin a file that will have the name `path` when it is finished."""
        self._file_system = file_system
        self._path = path
        self._salt = salt
        self._next_block = 1
        self._offset = 0
        # A name of its own: who was left behind may still be at the one before.
        suffix = path.rpartition("/")[2].partition(".")[2]
        number = int.from_bytes(salt)
        temporary = f"{folder_of(path)}/{number}.{suffix}{TEMPORARY_SUFFIX}"
        self._file = file_system.create(temporary)
        self._portions = Portions(self._file)
        try:
            self._write(encode_file_header(file_format, salt, facts))
        except StorageError:
            self.abort()
            raise

    def append(self, payload: bytes) -> None:
        """Write a block; not durable yet."""
        self._write(encode_frame(FrameKind.BLOCK, self._next_block, self._salt, payload))
        self._next_block += 1

    def finish(self) -> None:
        """Complete the file; on return it is there under its name, durably."""
        self._write(encode_frame(FrameKind.END, self._next_block, self._salt))
        publish_file(self._file_system, self._file, self._path)

    def abort(self) -> None:
        """Remove what was written."""
        discard_file(self._file_system, self._file)

    def _write(self, frame: bytes) -> None:
        self._portions.pwrite(frame, self._offset)
        self._offset += len(frame)


class Portions:
    """Writes a large file and syncs it every now and then, for the sake of others.

    What is durable before the last sync helps nobody. But whoever syncs another file of the same
    disk waits behind all that a single sync brings: 130 MiB at once held the write-ahead log up
    for 60 to 160 milliseconds, in portions of a mebibyte for less than 20.
    """

    def __init__(self, file: File) -> None:
        """Begin with a file that holds nothing unsynced."""
        self._file = file
        self._unsynced_bytes = 0

    def pwrite(self, data: bytes, offset: int) -> None:
        """Write; see `File.pwrite`. An error may be that of a sync: the file is not to be used."""
        self._file.pwrite(data, offset)
        self._unsynced_bytes += len(data)
        if self._unsynced_bytes >= PORTION_BYTES:
            self._file.fdatasync()
            self._unsynced_bytes = 0


def publish_file(file_system: FileSystem, file: File, path: str) -> None:
    """Sync a temporary file, close it and give it its name, durably."""
    file.fdatasync()
    file.close()
    file_system.rename(file.path, path)
    file_system.fsync_directory(folder_of(path))


def discard_file(file_system: FileSystem, file: File) -> None:
    """Close and remove a temporary file, if it has not got its name already.

    As well as the disk allows: a leftover is overwritten or removed later.
    """
    file.close()
    with suppress(StorageError):
        if file_system.exists(file.path):
            file_system.unlink(file.path)


def read_header(file: File, file_format: FileFormat) -> FileHeader:
    """Check the header of a block file.

    Raises:
        DataCorruptionError, UnknownFormatError: as `decode_file_header`.
    """
    data = file.pread(_FIRST_READ_BYTES, 0)
    frame = decode_header(data)
    if frame is not None and HEADER_BYTES + frame.length > len(data):
        data = file.pread(min(HEADER_BYTES + frame.length, file.size()), 0)
    return decode_file_header(memoryview(data), file_format, file.path)


def read_blocks(file: File, header: FileHeader) -> Iterator[tuple[int, bytes]]:
    """Give the blocks in order with their offsets, each checked, and at last check the end.

    Raises:
        DataCorruptionError: with the offset of the first frame that is not as it was written.
    """
    offset, number, size = header.end, 1, file.size()
    while True:
        frame = decode_header(file.pread(HEADER_BYTES, offset))
        if frame is None or frame.salt != header.salt or frame.sequence != number:
            raise corrupt(file.path, offset, f"block {number} is not whole")
        start = offset + HEADER_BYTES
        if frame.length > size - start:
            raise corrupt(file.path, offset, f"block {number} is cut off")
        payload = file.pread(frame.length, start)
        if not payload_matches(frame, payload):
            raise corrupt(file.path, offset, f"block {number} has a wrong checksum")
        if frame.kind == FrameKind.END:
            if start != size:
                raise corrupt(file.path, start, "bytes behind the end")
            return
        yield offset, payload
        offset, number = start + frame.length, number + 1
