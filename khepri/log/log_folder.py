"""The folder of the write-ahead log: making new files, keeping a spare, dropping old ones.

Two threads use it, each for its own part: the log's writer makes files, the segment writer drops
them. They meet only in spare files, which one makes and the other takes: one that was listed a
moment ago may be gone.

Not here: what is in a file (`log_file`).
"""

from __future__ import annotations

from contextlib import suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from khepri.errors import DiskFullError, StorageError

from .block_file import Portions, discard_file, publish_file
from .file_header import TEMPORARY_SUFFIX, corrupt
from .framing import SALT_BYTES
from .log_file import LogHeader, encode_log_header, read_log_file, read_log_header
from .paths import LOG_SUFFIX, SPARE_SUFFIX, list_numbered, numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .file_system import File, FileSystem
    from .log_file import LogFile

_ZEROS = bytes(1 << 20)


class NewLogFile(NamedTuple):
    """A log file, open for writing; it has no name in the log until it is published."""

    file: File
    path: str
    header: LogHeader


class LogFolder:
    """The files of one write-ahead log."""

    def __init__(
        self, file_system: FileSystem, path: str, random_bytes: Callable[[int], bytes]
    ) -> None:
        """Look at a folder; nothing is read yet.

        Args:
            file_system: where it is.
            path: the folder.
            random_bytes: gives that many random bytes (`os.urandom`).
        """
        self._file_system = file_system
        self.path = path
        self._random_bytes = random_bytes
        self.next_batch = 1
        """Number of the batch that is written next, all before it are durable. The writer's."""
        self.wanted_spare_bytes = 0
        """How large a file the writer will want next. The writer's, too."""

    def list_files(self) -> list[tuple[int, str]]:
        """Give number and path of the files, oldest first."""
        return list_numbered(self._file_system, self.path, LOG_SUFFIX)

    def read_all(self, end_batch: int | None) -> Iterator[LogFile]:
        """Read and check the whole log, oldest file first. Changes nothing.

        Args:
            end_batch: where the log ends; None to find out from the newest file.

        Raises:
            DataCorruptionError, UnknownFormatError: as `read_log_file`; also when a file between
                others is missing.
        """
        names = self.list_files()
        for (sequence, path), follower in zip_longest(names, names[1:]):
            if follower is None:
                yield read_log_file(self._file_system, sequence, path, end_batch)
                return
            if follower[0] != sequence + 1:
                raise corrupt(self._log_path(sequence + 1), 0, "the file is missing")
            its_end = read_log_header(self._file_system, follower[1]).first_batch
            yield read_log_file(self._file_system, sequence, path, its_end)

    def prepare(self, sequence: int, first_batch: int, size_bytes: int) -> NewLogFile:
        """Make a file with all its space and its header, synced, under a temporary name.

        The log is not changed by it. A spare file that is large enough is taken instead of
        writing new space.

        Raises:
            DiskFullError: there is no space, or it would be the last; nothing is begun.
            DiskFullError, DiskFailedError, DirectoryAccessError: what was begun is removed.
        """
        path = self._log_path(sequence)
        file = self._take_spare(size_bytes)
        is_new = file is None
        if file is None:
            if not self._has_room(size_bytes):
                raise DiskFullError(
                    f"no space for {path}: the rest is for moving older entries", path=path
                )
            file = self._file_system.create(path + TEMPORARY_SUFFIX)
        try:
            size_bytes = size_bytes if is_new else file.size()
            header = LogHeader(sequence, first_batch, size_bytes, self._random_bytes(SALT_BYTES))
            if is_new:
                _write_zeros(file, size_bytes)
            file.pwrite(encode_log_header(header), 0)
            file.fdatasync()
        except StorageError:
            discard_file(self._file_system, file)
            raise
        return NewLogFile(file, path, header)

    def publish(self, new: NewLogFile) -> None:
        """Give a prepared file its name, durably. From here on no older file may be written.

        Its header seals the file before it: batches from its first one on in that one are void.

        Raises:
            DiskFullError, DiskFailedError: it may have its name or not; prepare another one with
                the same number.
        """
        self._file_system.rename(new.file.path, new.path)
        self.sync()

    def drop(self, sequence: int) -> None:
        """Remove a file from the log, durably, and see to it that there is a spare one.

        Overwriting an old file, or one made here by the way, spares the writer from writing new
        space while everybody waits: a large file costs more than a tenth of a second.
        """
        path = self._log_path(sequence)
        spare_path = numbered(self.path, sequence, SPARE_SUFFIX)
        wanted = self.wanted_spare_bytes
        spares = list_numbered(self._file_system, self.path, SPARE_SUFFIX)
        has_spare = any(self._size_if_there(spare) >= wanted for _, spare in spares)
        if has_spare or not self._has_room(0):
            self._file_system.unlink(path)
        elif self._size_of(path) >= wanted:
            self._file_system.rename(path, spare_path)
        else:
            self._file_system.unlink(path)
            if self._has_room(wanted):
                with suppress(StorageError):  # the writer can do without
                    self._make_spare(spare_path, wanted)
        self.sync()

    def sync(self) -> None:
        """Make durable which files there are.

        Between dropping two files: if the younger one were gone and the older one came back, its
        appends would be done last.
        """
        self._file_system.fsync_directory(self.path)

    def _has_room(self, size_bytes: int) -> bool:
        """Tell whether a new file would leave room for moving any of those there are.

        The entries of a log file are in a segment before it goes. If the log took the last space,
        no file could go, no snapshot could be written, and the disk would stay full for ever.
        """
        largest = max([self._size_if_there(path) for _, path in self.list_files()], default=0)
        return self._file_system.free_bytes(self.path) >= size_bytes + largest

    def _log_path(self, sequence: int) -> str:
        return numbered(self.path, sequence, LOG_SUFFIX)

    def _take_spare(self, size_bytes: int) -> File | None:
        """Open a spare file of at least that size; smaller ones are removed."""
        for _, path in list_numbered(self._file_system, self.path, SPARE_SUFFIX):
            # Its removal from the log must be durable before it is overwritten: else a power
            # loss could bring back the old name with the new content.
            self.sync()
            file = self._file_system.open(path, writable=True)
            if file.size() >= size_bytes:
                return file
            file.close()
            self._file_system.unlink(path)
        return None

    def _make_spare(self, path: str, size_bytes: int) -> None:
        file = self._file_system.create(path + TEMPORARY_SUFFIX)
        try:
            _write_zeros(Portions(file), size_bytes)
            publish_file(self._file_system, file, path)
        except StorageError:
            discard_file(self._file_system, file)
            raise

    def _size_if_there(self, path: str) -> int:
        """Give 0 for one that the other thread has taken or dropped since it was listed."""
        try:
            return self._size_of(path)
        except StorageError:
            if self._file_system.exists(path):
                raise
            return 0

    def _size_of(self, path: str) -> int:
        file = self._file_system.open(path, writable=False)
        try:
            return file.size()
        finally:
            file.close()


def _write_zeros(file: File | Portions, size_bytes: int) -> None:
    """Fill a new file: written blocks, unlike reserved ones, need no metadata at a later sync."""
    for offset in range(0, size_bytes, len(_ZEROS)):
        file.pwrite(_ZEROS[: size_bytes - offset], offset)
