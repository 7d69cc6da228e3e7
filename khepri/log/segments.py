"""Segments: the entries of one store that a filled log file still had to keep.

One segment holds what one log file did to one store's log, summed up: from which index on it made
the log void, and the entries it left behind. It carries the number of the log file, so the order
of segments is the order of writing. The header frame of the block file has the uid, the log file
number, the lowest index, and first and last index of the entries (0, 0 if there are none); the
blocks have the entries, up to a mebibyte in each.

Not here: reading log files (`log_file`), putting segments together (`readings`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from khepri.encoding import EncodingError, pack, unpack
from khepri.errors import DataCorruptionError, StorageError, UnknownFormatError
from khepri.raft.types import Index

from .block_file import BlockFileWriter, read_blocks, read_header
from .file_header import FileFormat, corrupt
from .framing import SALT_BYTES
from .log_file import decode_entries, read_log_file
from .log_tail import LogTail, Source
from .paths import (
    SEGMENT_SUFFIX,
    folder_of,
    list_numbered,
    numbered,
    segments_folder,
    store_folder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from khepri.raft.types import Entry

    from .file_header import FileHeader
    from .file_system import FileSystem
    from .interface import ClosedFile
    from .log_folder import LogFolder

SEGMENT_FORMAT = FileFormat("segment", 1)

SEGMENTS_MAX = 64
"""So many of a store become one with the next: each start of a program may leave another one."""

_BLOCK_BYTES = 1 << 20


class SegmentSpan(NamedTuple):
    """What the header of a segment says."""

    path: str
    lowest_index: Index
    """The log from here on, as older segments have it, is void."""
    last_index: Index
    """Of its entries; 0 if it has none."""


def read_segment(file_system: FileSystem, path: str, uid: str, sequence: int) -> LogTail:
    """Read and check a segment.

    Raises:
        DataCorruptionError, UnknownFormatError: it is not what was written.
    """
    file = file_system.open(path, writable=False)
    try:
        header = read_header(file, SEGMENT_FORMAT)
        lowest_index, first_index, last_index = _check_facts(header, path, uid, sequence)
        tail = LogTail()
        tail.append(lowest_index, (), Source(path, 0))
        expected = first_index
        for offset, block in read_blocks(file, header):
            entries = _decode_block(block, path, offset)
            if entries[0].index != expected:
                raise corrupt(path, offset, f"entry {expected} is missing")
            tail.append(expected, entries, Source(path, offset))
            expected = Index(expected + len(entries))
        if expected != (last_index + 1 if last_index else first_index):
            raise corrupt(path, file.size(), f"entry {expected} is missing")
    finally:
        file.close()
    return tail


class SegmentWriter:
    """Empties closed log files; see `interface.SegmentWriter` for the promises. One thread."""

    def __init__(
        self,
        file_system: FileSystem,
        log_folder: LogFolder,
        stores_folder: str,
        *,
        snapshot_indexes: Mapping[str, Index],
        is_registered: Callable[[str], bool],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Begin with what recovery found.

        Args:
            file_system: where all is.
            log_folder: of the write-ahead log.
            stores_folder: has one folder for each uid.
            is_registered: tells, as of now, whether a uid is of a store; entries of others are
                dropped.
            snapshot_indexes: by uid: the index that the durable snapshot covers; 0 if left out.
            random_bytes: gives that many random bytes.
        """
        self._file_system = file_system
        self._log_folder = log_folder
        self._stores_folder = stores_folder
        self._is_registered = is_registered
        self._snapshot_indexes = dict(snapshot_indexes)
        self._random_bytes = random_bytes

    def release(self, uid: str, snapshot_index: Index) -> None:
        """See `interface.SegmentWriter.release`.

        Segments go oldest first, each removal durable before the next: a segment that makes an
        older one void must not be gone while that one is still there (case W08).
        """
        folder = self._segments_folder(uid)
        if not self._file_system.exists(folder):
            return
        known = self._snapshot_indexes.get(uid, snapshot_index)
        self._snapshot_indexes[uid] = max(known, snapshot_index)
        for path in _find_needless(self._read_spans(folder), snapshot_index):
            self._file_system.unlink(path)
            self._file_system.fsync_directory(folder)

    def flush(self, closed_file: ClosedFile) -> None:
        """See `interface.SegmentWriter.flush`."""
        sequence, path, end_batch = closed_file
        names = self._log_folder.list_files()
        if all(number != sequence for number, _ in names):
            self._log_folder.sync()  # a call before dropped it, and may have failed right then
            return
        if names[0][0] != sequence:
            raise AssertionError("log files are flushed oldest first")
        log_file = read_log_file(self._file_system, sequence, path, end_batch)
        tails: dict[str, LogTail] = {}
        for offset, append in log_file.appends():
            tail = tails.setdefault(append.uid, LogTail())
            tail.append(append.first_index, append.entries, Source(path, offset))
        for uid, tail in tails.items():
            folder = self._segments_folder(uid)
            if tail.entries and self._is_registered(uid):
                self._make_again(folder)
            try:
                self._write_segment(folder, uid, sequence, tail)
            except StorageError:
                if self._file_system.exists(folder):
                    raise
                # Else the store was deleted, perhaps this moment: nothing is missed (case W27).
        self._log_folder.drop(sequence)

    def _make_again(self, folder: str) -> None:
        """Make the folder of a damaged store that has none: nobody has deleted the store.

        The entries are all that is needed of it, or its start finds that others are missing.
        """
        for inner in (folder_of(folder), folder):
            if not self._file_system.exists(inner):
                self._file_system.make_directory(inner)
                self._file_system.fsync_directory(folder_of(inner))

    def _write_segment(self, folder: str, uid: str, sequence: int, tail: LogTail) -> None:
        found = list_numbered(self._file_system, folder, SEGMENT_SUFFIX)
        if found and found[-1][0] == sequence:
            # Whole, by a call before that failed later. It may hold what older ones held.
            self._file_system.fsync_directory(folder)
            return
        merged = self._merge(uid, found, tail) if len(found) >= SEGMENTS_MAX else None
        self._write_tail(folder, uid, sequence, tail if merged is None else merged)
        if merged is not None:
            for _, path in found:  # one by one, as in `release`
                self._file_system.unlink(path)
                self._file_system.fsync_directory(folder)

    def _merge(
        self, uid: str, older: Sequence[tuple[int, str]], newest: LogTail
    ) -> LogTail | None:
        """Give what segments and a log file say together; None if a segment is damaged.

        A damaged one is left for the store's own start, which names it.
        """
        merged = LogTail()
        try:
            for number, path in older:
                segment = read_segment(self._file_system, path, uid, number)
                merged.follow(segment, Source(path, 0))
        except (DataCorruptionError, UnknownFormatError):
            return None
        merged.follow(newest, Source(older[-1][1], 0))
        return merged

    def _write_tail(self, folder: str, uid: str, sequence: int, tail: LogTail) -> None:
        snapshot_index = self._snapshot_indexes.get(uid, 0)
        entries = [entry for entry in tail.entries if entry.index > snapshot_index]
        if not entries and not list_numbered(self._file_system, folder, SEGMENT_SUFFIX):
            return  # nothing to keep and nothing that must be made void
        first, last = (entries[0].index, entries[-1].index) if entries else (0, 0)
        writer = BlockFileWriter(
            self._file_system,
            numbered(folder, sequence, SEGMENT_SUFFIX),
            SEGMENT_FORMAT,
            [uid, sequence, tail.lowest_index, first, last],
            self._random_bytes(SALT_BYTES),
        )
        try:
            for block in _split_into_blocks(entries):
                writer.append(pack(block))
            writer.finish()
        except StorageError:
            writer.abort()
            raise

    def _segments_folder(self, uid: str) -> str:
        return segments_folder(store_folder(self._stores_folder, uid))

    def _read_spans(self, folder: str) -> list[SegmentSpan]:
        names = list_numbered(self._file_system, folder, SEGMENT_SUFFIX)
        return [self._read_span(path) for _, path in names]

    def _read_span(self, path: str) -> SegmentSpan:
        file = self._file_system.open(path, writable=False)
        try:
            _, _, lowest_index, _, last_index = _facts(read_header(file, SEGMENT_FORMAT), path)
        finally:
            file.close()
        return SegmentSpan(path, lowest_index, last_index)


def _find_needless(spans: Sequence[SegmentSpan], snapshot_index: Index) -> list[str]:
    """Give the oldest segments of which nothing above the snapshot is alive."""
    alive_up_to: list[int] = []
    void_from: int | None = None
    for span in reversed(spans):
        last = span.last_index if void_from is None else min(span.last_index, void_from - 1)
        alive_up_to.insert(0, last)
        void_from = span.lowest_index if void_from is None else min(void_from, span.lowest_index)
    needless: list[str] = []
    for span, last in zip(spans, alive_up_to, strict=True):
        if last > snapshot_index:
            break
        needless.append(span.path)
    return needless


def _split_into_blocks(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    block: list[Entry] = []
    size = 0
    for entry in entries:
        block.append(entry)
        size += len(entry.data)
        if size >= _BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _facts(header: FileHeader, path: str) -> tuple[str, int, Index, Index, Index]:
    match header.facts:
        case [str(uid), int(sequence), int(lowest), int(first), int(last)]:
            return uid, sequence, Index(lowest), Index(first), Index(last)
        case _:
            raise corrupt(path, 0, "the header makes no sense")


def _check_facts(
    header: FileHeader, path: str, uid: str, sequence: int
) -> tuple[Index, Index, Index]:
    found_uid, found_sequence, lowest, first, last = _facts(header, path)
    if (found_uid, found_sequence) != (uid, sequence):
        raise corrupt(path, 0, f"it is segment {found_sequence} of store {found_uid}")
    return lowest, first, last


def _decode_block(block: bytes, path: str, offset: int) -> list[Entry]:
    try:
        entries = decode_entries(unpack(block))
    except (EncodingError, TypeError, ValueError, IndexError) as error:
        raise corrupt(path, offset, f"the block makes no sense: {error}") from error
    if not entries:
        raise corrupt(path, offset, "the block is empty")
    return entries
