"""Snapshots of one store: written, received, read, sent. At most the newest is kept.

A snapshot is one block file: its header has the `SnapshotMeta`, each block is one chunk as the
machine yielded it. It becomes the current one by the rename of a synced file and a sync of the
folder; only then the older one is removed. A peer gets the bytes of the file as they are, by
offset, and checks all of them before it makes the file its own.

Not here: what chunks contain (`khepri.machine`), when to take or send one (`khepri.raft`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from khepri.encoding import EncodingError
from khepri.errors import StorageError
from khepri.raft.types import SnapshotMeta

from .block_file import (
    BlockFileWriter,
    Portions,
    discard_file,
    publish_file,
    read_blocks,
    read_header,
)
from .file_header import TEMPORARY_SUFFIX, FileFormat, corrupt
from .framing import SALT_BYTES
from .paths import SNAPSHOT_SUFFIX, list_numbered, numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from .file_header import FileHeader
    from .file_system import File, FileSystem

SNAPSHOT_FORMAT = FileFormat("snapshot", 1)


class SnapshotReader:
    """One snapshot, open; see `interface.SnapshotReader` for the promises."""

    def __init__(self, file_system: FileSystem, path: str) -> None:
        """Open it and check its header.

        Raises:
            DataCorruptionError, UnknownFormatError: it is not what was written.
        """
        self._file = file_system.open(path, writable=False)
        try:
            self._header = read_header(self._file, SNAPSHOT_FORMAT)
            self.meta = _decode_meta(self._header, path)
            self.size_bytes = self._file.size()
        except StorageError:
            self._file.close()
            raise

    def chunks(self) -> Iterator[bytes]:
        """See `interface.SnapshotReader.chunks`."""
        for _, chunk in read_blocks(self._file, self._header):
            yield chunk

    def read(self, offset: int, max_bytes: int) -> tuple[bytes, bool]:
        """See `interface.SnapshotReader.read`."""
        data = self._file.pread(max_bytes, offset)
        return data, offset + len(data) >= self.size_bytes

    def close(self) -> None:
        """See `interface.SnapshotReader.close`."""
        self._file.close()


def check_newest_snapshot(file_system: FileSystem, folder: str) -> SnapshotMeta | None:
    """Read all of the newest snapshot and give its meta. Changes nothing.

    An older one beside it was only not removed yet. It is no way out when the newest is damaged:
    the log between the two may be gone already (case S03).

    Raises:
        DataCorruptionError, UnknownFormatError: it is not what was written.
    """
    reader = _open_newest(file_system, folder)
    if reader is None:
        return None
    try:
        for _ in reader.chunks():
            pass
    finally:
        reader.close()
    return reader.meta


class Snapshots:
    """See `interface.Snapshots` for the promises. One thread, except for readers."""

    def __init__(
        self, file_system: FileSystem, folder: str, random_bytes: Callable[[int], bytes]
    ) -> None:
        """Find the current snapshot, by its header alone: `recovery` has checked all of it.

        Raises:
            DataCorruptionError, UnknownFormatError: the header is not what was written.
        """
        self._file_system = file_system
        self._folder = folder
        self._random_bytes = random_bytes
        self._accepting: SnapshotAcceptor | None = None
        reader = _open_newest(file_system, folder)
        self.current: SnapshotMeta | None = None
        if reader is not None:
            self.current = reader.meta
            reader.close()

    def write(self, meta: SnapshotMeta, chunks: Iterable[bytes]) -> bool:
        """See `interface.Snapshots.write`."""
        steps = self.write_in_steps(meta, chunks)
        try:
            while True:
                next(steps)
        except StopIteration as end:
            return bool(end.value)

    def write_in_steps(
        self, meta: SnapshotMeta, chunks: Iterable[bytes]
    ) -> Generator[None, None, bool]:
        """See `interface.Snapshots.write_in_steps`."""
        if not self.is_newer(meta):
            return False
        writer = BlockFileWriter(
            self._file_system,
            numbered(self._folder, meta.index, SNAPSHOT_SUFFIX),
            SNAPSHOT_FORMAT,
            meta.to_plain(),
            self._random_bytes(SALT_BYTES),
        )
        try:
            for chunk in chunks:
                writer.append(chunk)
                yield
            writer.finish()
        except (Exception, GeneratorExit):  # the latter when it is broken off
            writer.abort()
            raise
        self._became_current(meta)
        return True

    def accept(self, meta: SnapshotMeta) -> SnapshotAcceptor:
        """See `interface.Snapshots.accept`."""
        if self._accepting is not None:
            self._accepting.abort()
        # A name of its own: a worker that was left behind may still be at the one before.
        number = int.from_bytes(self._random_bytes(8))
        path = f"{self._folder}/{number}.received{TEMPORARY_SUFFIX}"
        self._accepting = SnapshotAcceptor(self, meta, self._file_system, path)
        return self._accepting

    def open_reader(self) -> SnapshotReader:
        """See `interface.Snapshots.open_reader`."""
        assert self.current is not None, "there is no snapshot"
        return SnapshotReader(self._file_system, self._path_of(self.current))

    def is_newer(self, meta: SnapshotMeta) -> bool:
        """Whether it reaches beyond the current one."""
        return self.current is None or meta.index > self.current.index

    def publish(self, file: File, meta: SnapshotMeta) -> None:
        """Make a whole and checked temporary file the current snapshot, durably."""
        publish_file(self._file_system, file, self._path_of(meta))
        self._became_current(meta)

    def _path_of(self, meta: SnapshotMeta) -> str:
        return numbered(self._folder, meta.index, SNAPSHOT_SUFFIX)

    def _became_current(self, meta: SnapshotMeta) -> None:
        self.current = meta
        # A newer one is there only if its publication failed at the last step.
        with suppress(StorageError):  # others do no harm; the next start tries again
            remove_snapshots_but(self._file_system, self._folder, meta.index)


class SnapshotAcceptor:
    """What came of a peer's snapshot so far; see `interface.SnapshotAcceptor`."""

    def __init__(
        self, snapshots: Snapshots, meta: SnapshotMeta, file_system: FileSystem, path: str
    ) -> None:
        """Begin; what an earlier attempt left is overwritten."""
        self._is_over = False
        self._snapshots = snapshots
        self._meta = meta
        self._file_system = file_system
        self._file = file_system.create(path)
        self._portions = Portions(self._file)
        self.next_offset = 0

    def append(self, offset: int, data: bytes) -> None:
        """See `interface.SnapshotAcceptor.append`."""
        if self._is_over:
            raise AssertionError("another attempt has begun, or this one has ended")
        if offset != self.next_offset:
            raise AssertionError(f"a piece at {offset}, expected {self.next_offset}")
        self._portions.pwrite(data, offset)
        self.next_offset += len(data)

    def commit(self) -> bool:
        """See `interface.SnapshotAcceptor.commit`."""
        if self._is_over:
            raise AssertionError("another attempt has begun, or this one has ended")
        try:
            if not self._snapshots.is_newer(self._meta):
                self.abort()
                return False
            self._check()
            self._snapshots.publish(self._file, self._meta)
        except StorageError:
            self.abort()
            raise
        self._is_over = True
        return True

    def abort(self) -> None:
        """See `interface.SnapshotAcceptor.abort`."""
        if not self._is_over:  # else the name may be another attempt's
            self._is_over = True
            discard_file(self._file_system, self._file)

    def _check(self) -> None:
        header = read_header(self._file, SNAPSHOT_FORMAT)
        found = _decode_meta(header, self._file.path)
        if found != self._meta:
            raise corrupt(self._file.path, 0, f"{found} came instead of {self._meta}")
        for _ in read_blocks(self._file, header):
            pass


def _open_newest(file_system: FileSystem, folder: str) -> SnapshotReader | None:
    names = list_numbered(file_system, folder, SNAPSHOT_SUFFIX)
    if not names:
        return None
    index, path = names[-1]
    reader = SnapshotReader(file_system, path)
    if reader.meta.index != index:
        reader.close()
        raise corrupt(path, 0, f"it is the snapshot of index {reader.meta.index}")
    return reader


def remove_snapshots_but(file_system: FileSystem, folder: str, index: int) -> None:
    """Remove all but the one of `index`."""
    for number, path in list_numbered(file_system, folder, SNAPSHOT_SUFFIX):
        if number != index:
            file_system.unlink(path)


def _decode_meta(header: FileHeader, path: str) -> SnapshotMeta:
    try:
        return SnapshotMeta.from_plain(header.facts)
    except EncodingError as error:
        raise corrupt(path, 0, f"the header makes no sense: {error}") from error
