"""One file of the write-ahead log: its format, how it is read and checked.

A file has a fixed size, written with zeros when it is made, so that a batch later overwrites
allocated blocks and its sync carries no metadata::

    0       header frame: sequence number of the file, number of its first batch, size
    4096    batch frame, batch frame, ...      numbered without gaps through all files
            confirmed frame                    behind the last batch; the next batch overwrites it
            zeros, or what a recycled file held before (worthless: another salt)

What is a torn tail and what is damage is decided here, by `read_log_file`:

* Each batch is one frame whose checksum covers all of it: it counts whole or not at all.
* A batch is *confirmed*, its sync has returned, if anything was written behind it: the next
  batch, or the confirmed frame that is written (unsynced) right after the sync. It must be whole.
* The header of the next file says which batch is its first: everything before it is confirmed.
* What is neither whole nor confirmed was never acknowledged: the torn tail. It does not count.

Not here: making and dropping files (`log_folder`), writing batches (`write_ahead_log`), and the
entries of one store put together (`recovery`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from khepri.encoding import EncodingError, pack, unpack
from khepri.raft.types import Entry, EntryKind

from .file_header import FileFormat, corrupt, decode_file_header, encode_file_header, read_file
from .framing import HEADER_BYTES, FrameKind, decode_frame, decode_header, encode_frame
from .interface import Append

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .file_system import FileSystem

LOG_FORMAT = FileFormat("write-ahead log", 1)
DATA_OFFSET = 4096
"""Of the first batch: the header's page is never written again."""
_SALT_OFFSET = 16
"""Of the salt in a frame's header."""
_ENTRY_KINDS = tuple(EntryKind)


class LogHeader(NamedTuple):
    """What the header of a log file says."""

    sequence: int
    first_batch: int
    size_bytes: int
    salt: bytes


class LogFile(NamedTuple):
    """A file of the log, read and checked."""

    header: LogHeader
    path: str
    data: memoryview
    payloads: list[tuple[int, int]]
    """Where in `data` the payloads of its batches begin and end."""
    tail_is_confirmed: bool
    """False if nothing proves that the last batch was synced: it may be in the cache alone."""

    @property
    def end_batch(self) -> int:
        """Batches below this number count; what follows is the torn tail."""
        return self.header.first_batch + len(self.payloads)

    def last_frame(self) -> tuple[int, bytes]:
        """Give the last batch as it stands in the file, with its offset."""
        start, end = self.payloads[-1]
        return start - HEADER_BYTES, bytes(self.data[start - HEADER_BYTES : end])

    def appends(self) -> Iterator[tuple[int, Append]]:
        """Decode the batches one at a time: appends in order, with the offset of their batch.

        Raises:
            DataCorruptionError: a batch with a right checksum makes no sense.
        """
        for start, end in self.payloads:
            for append in _decode_batch(self.data[start:end], self.path, start):
                yield start, append


def encode_log_header(header: LogHeader) -> bytes:
    """Give the first frame of a file."""
    facts = [header.sequence, header.first_batch, header.size_bytes]
    return encode_file_header(LOG_FORMAT, header.salt, facts)


def encode_batch(number: int, salt: bytes, appends: Sequence[Append]) -> bytes:
    """Give the frame of a batch.

    Raises:
        ValueTooLargeError: it is beyond what a frame can carry.
    """
    return encode_frame(FrameKind.BATCH, number, salt, pack(appends))


def encode_confirmation(number: int, salt: bytes) -> bytes:
    """Give the frame that says a batch was synced."""
    return encode_frame(FrameKind.CONFIRMED, number, salt)


def read_log_header(file_system: FileSystem, path: str) -> LogHeader:
    """Read and check the header of a file alone.

    Raises:
        DataCorruptionError, UnknownFormatError: as `decode_file_header`.
    """
    file = file_system.open(path, writable=False)
    try:
        return _decode_log_header(memoryview(file.pread(DATA_OFFSET, 0)), path)
    finally:
        file.close()


def read_log_file(
    file_system: FileSystem, sequence: int, path: str, end_batch: int | None
) -> LogFile:
    """Read a file and check all of it that was confirmed. Changes nothing.

    Args:
        file_system: where it is.
        sequence: its number.
        path: its name.
        end_batch: the first batch of the next file; None for the newest file, which may end with
            a torn tail.

    Raises:
        DataCorruptionError: with path and offset of what is not as it was written.
        UnknownFormatError: another release wrote it.
    """
    data = memoryview(read_file(file_system, path))
    header = _decode_log_header(data, path)
    if header.sequence != sequence:
        raise corrupt(path, 0, f"it is log file {header.sequence}")
    if len(data) != header.size_bytes:
        offset = min(len(data), header.size_bytes)
        raise corrupt(path, offset, f"{len(data)} bytes instead of {header.size_bytes}")
    payloads: list[tuple[int, int]] = []
    offset, batch = DATA_OFFSET, header.first_batch
    confirmed = True
    while end_batch is None or batch < end_batch:
        frame = decode_frame(data, offset)
        if frame is None or frame.salt != header.salt:
            confirmed = not payloads
            break
        if (frame.kind, frame.sequence) != (FrameKind.BATCH, batch):
            confirmed = (frame.kind, frame.sequence) == (FrameKind.CONFIRMED, batch - 1)
            break
        payloads.append((offset + HEADER_BYTES, frame.end))
        offset, batch = frame.end, batch + 1
    if end_batch is None:
        if _is_confirmed(data, header.salt, offset, batch):
            raise corrupt(path, offset, f"batch {batch} was confirmed and is not whole")
    elif batch != end_batch:
        raise corrupt(path, offset, f"batch {batch} is missing; the next file has {end_batch}")
    return LogFile(header, path, data, payloads, confirmed)


def decode_entries(plain: Iterable[tuple[int, int, int, bytes]]) -> list[Entry]:
    """Give entries from what msgpack made of them.

    Unchecked beyond their shape, unlike `Entry.from_plain`: a checksum stood over the bytes.

    Raises:
        TypeError, ValueError, IndexError: it is something else.
    """
    kinds, make = _ENTRY_KINDS, Entry._make
    return [make((index, term, kinds[kind], data)) for index, term, kind, data in plain]


def _decode_log_header(data: memoryview, path: str) -> LogHeader:
    header = decode_file_header(data, LOG_FORMAT, path)
    match header.facts:
        case [int(sequence), int(first_batch), int(size_bytes)]:
            return LogHeader(sequence, first_batch, size_bytes, header.salt)
        case _:
            raise corrupt(path, 0, "the header makes no sense")


def _is_confirmed(data: memoryview, salt: bytes, offset: int, batch: int) -> bool:
    """Look for proof, anywhere from `offset` on, that `batch` had been synced.

    The salt is random and never leaves the file, so no value that a user stored looks like it.
    """
    content = data.obj
    assert isinstance(content, bytes)
    at = content.find(salt, offset + _SALT_OFFSET)
    while at >= 0:
        header = decode_header(data, at - _SALT_OFFSET)
        if header is not None and header.salt == salt:
            proves_up_to = header.sequence - (header.kind == FrameKind.BATCH)
            if proves_up_to >= batch:
                return True
        at = content.find(salt, at + 1)
    return False


def _decode_batch(payload: memoryview, path: str, offset: int) -> list[Append]:
    try:
        return [
            Append(uid, first_index, decode_entries(entries))
            for uid, first_index, entries in unpack(payload)
        ]
    except (EncodingError, TypeError, ValueError, IndexError) as error:
        raise corrupt(path, offset, f"the batch makes no sense: {error}") from error
