"""The file system in memory for several threads: every call of the twin, one at a time.

`MemoryFileSystem` is for one thread, since the simulator has only one. Real actors have several.
"""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

from .memory_file_system import MemoryFileSystem, Operation

if TYPE_CHECKING:
    from .file_system import DirectoryLock, File


class SharedFile:
    """An open file of a `SharedFileSystem`; see `file_system.File` for the promises."""

    __slots__ = ("_inner", "_lock", "path")

    def __init__(self, inner: File, lock: threading.RLock) -> None:
        """Wrap a file."""
        self._inner = inner
        self._lock = lock
        self.path = inner.path

    def pread(self, size_bytes: int, offset: int) -> bytes:
        """See `file_system.File.pread`."""
        with self._lock:
            return self._inner.pread(size_bytes, offset)

    def pwrite(self, data: bytes, offset: int) -> None:
        """See `file_system.File.pwrite`."""
        with self._lock:
            self._inner.pwrite(data, offset)

    def begin_writing(self, offset: int, size_bytes: int) -> None:
        """See `file_system.File.begin_writing`."""
        with self._lock:
            self._inner.begin_writing(offset, size_bytes)

    def fdatasync(self) -> None:
        """See `file_system.File.fdatasync`."""
        with self._lock:
            self._inner.fdatasync()

    def size(self) -> int:
        """See `file_system.File.size`."""
        with self._lock:
            return self._inner.size()

    def close(self) -> None:
        """See `file_system.File.close`."""
        with self._lock:
            self._inner.close()


class SharedFileSystem:
    """A `MemoryFileSystem` that any thread may use; see `file_system.FileSystem`.

    Attributes:
        inner: the twin, to set its faults; hold `guard` while you do.
        guard: held during every call.
    """

    def __init__(self, inner: MemoryFileSystem | None = None) -> None:
        """Wrap a twin, a new one if none is given."""
        self.inner = inner or MemoryFileSystem()
        self.guard = threading.RLock()

    def end_process(self) -> SharedFileSystem:
        """Give the files as they are if the process that uses them is killed at this moment.

        Its threads are still there, as they would not be after a SIGKILL, and may go on to write.
        No sync of theirs succeeds any more, so they can acknowledge nothing that is not among the
        files given here.
        """
        with self.guard:
            left = self.inner.copy()
            self.inner.hook = _refuse_to_sync
        return SharedFileSystem(left)

    def open(self, path: str, *, writable: bool) -> File:
        """See `file_system.FileSystem.open`."""
        with self.guard:
            return SharedFile(self.inner.open(path, writable=writable), self.guard)

    def create(self, path: str) -> File:
        """See `file_system.FileSystem.create`."""
        with self.guard:
            return SharedFile(self.inner.create(path), self.guard)

    def rename(self, source: str, target: str) -> None:
        """See `file_system.FileSystem.rename`."""
        with self.guard:
            self.inner.rename(source, target)

    def unlink(self, path: str) -> None:
        """See `file_system.FileSystem.unlink`."""
        with self.guard:
            self.inner.unlink(path)

    def make_directory(self, path: str) -> None:
        """See `file_system.FileSystem.make_directory`."""
        with self.guard:
            self.inner.make_directory(path)

    def remove_directory(self, path: str) -> None:
        """See `file_system.FileSystem.remove_directory`."""
        with self.guard:
            self.inner.remove_directory(path)

    def listdir(self, path: str) -> list[str]:
        """See `file_system.FileSystem.listdir`."""
        with self.guard:
            return self.inner.listdir(path)

    def exists(self, path: str) -> bool:
        """See `file_system.FileSystem.exists`."""
        with self.guard:
            return self.inner.exists(path)

    def free_bytes(self, path: str) -> int:
        """See `file_system.FileSystem.free_bytes`."""
        with self.guard:
            return self.inner.free_bytes(path)

    def is_world_writable(self, path: str) -> bool:
        """See `file_system.FileSystem.is_world_writable`."""
        with self.guard:
            return self.inner.is_world_writable(path)

    def fsync_directory(self, path: str) -> None:
        """See `file_system.FileSystem.fsync_directory`."""
        with self.guard:
            self.inner.fsync_directory(path)

    def lock(self, path: str, holder: str) -> DirectoryLock:
        """See `file_system.FileSystem.lock`."""
        with self.guard:
            return self.inner.lock(path, holder)


def _refuse_to_sync(operation: Operation) -> None:
    if operation.name in {"fdatasync", "fsync_directory"}:
        raise OSError(errno.EIO, f"the process was killed before this {operation.name}")
