"""The real files, on POSIX: what `file_system` promises, by system calls."""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final

from khepri.errors import DirectoryLockedError

from .file_system import storage_error

if TYPE_CHECKING:
    from types import TracebackType

    from .file_system import DirectoryLock, File


_ADVICE: Final[int | None] = getattr(os, "POSIX_FADV_DONTNEED", None)
"""Where there is this advice, the kernel follows it by beginning to write what is dirty."""


class _Translated:
    """``with _Translated(path):`` turns OSErrors into StorageErrors."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            raise storage_error(error, self._path) from error


class PosixFile:
    """A file descriptor."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str, descriptor: int) -> None:
        """Take over an open descriptor."""
        self.path = path
        self._descriptor = descriptor

    def pread(self, size_bytes: int, offset: int) -> bytes:
        """See `File.pread`."""
        with _Translated(self.path):
            data = os.pread(self._descriptor, size_bytes, offset)
            while len(data) < size_bytes:  # a signal or the 2 GiB limit of one call
                more = os.pread(self._descriptor, size_bytes - len(data), offset + len(data))
                if not more:
                    break
                data += more
        return data

    def pwrite(self, data: bytes, offset: int) -> None:
        """See `File.pwrite`."""
        try:  # not `_Translated`, which costs a tenth of a small write
            written = os.pwrite(self._descriptor, data, offset)
            while written < len(data):
                rest = memoryview(data)[written:]
                written += os.pwrite(self._descriptor, rest, offset + written)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def begin_writing(self, offset: int, size_bytes: int) -> None:
        """See `File.begin_writing`."""
        if _ADVICE is not None:
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._descriptor, offset, size_bytes, _ADVICE)

    def fdatasync(self) -> None:
        """See `File.fdatasync`."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def size(self) -> int:
        """See `File.size`."""
        with _Translated(self.path):
            return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """See `File.close`."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with _Translated(self.path):
                os.close(descriptor)


_STANDARD_ERROR: Final = 2
_UNKNOWN_BYTES: Final = 1 << 62


def _open(path: str, mode: int) -> int:
    """Open a file for its owner alone; never as standard input, output or error.

    In a process that has closed those, what anything prints there would go into our file.
    """
    descriptor = os.open(path, mode | os.O_CLOEXEC, 0o600)
    if descriptor > _STANDARD_ERROR:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _STANDARD_ERROR + 1)
    finally:
        os.close(descriptor)


class PosixFileSystem:
    """The real file system. Has no state of its own."""

    def open(self, path: str, *, writable: bool) -> File:
        """See `FileSystem.open`."""
        mode = os.O_RDWR if writable else os.O_RDONLY
        with _Translated(path):
            return PosixFile(path, _open(path, mode))

    def create(self, path: str) -> File:
        """See `FileSystem.create`."""
        with _Translated(path):
            return PosixFile(path, _open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC))

    def rename(self, source: str, target: str) -> None:
        """See `FileSystem.rename`."""
        with _Translated(target):
            Path(source).replace(target)

    def unlink(self, path: str) -> None:
        """See `FileSystem.unlink`."""
        with _Translated(path):
            Path(path).unlink()

    def make_directory(self, path: str) -> None:
        """See `FileSystem.make_directory`."""
        with _Translated(path):
            Path(path).mkdir(mode=0o700)

    def remove_directory(self, path: str) -> None:
        """See `FileSystem.remove_directory`."""
        with _Translated(path):
            Path(path).rmdir()

    def listdir(self, path: str) -> list[str]:
        """See `FileSystem.listdir`."""
        with _Translated(path):
            return sorted(entry.name for entry in Path(path).iterdir())

    def exists(self, path: str) -> bool:
        """See `FileSystem.exists`."""
        with _Translated(path):
            return Path(path).exists()

    def free_bytes(self, path: str) -> int:
        """See `FileSystem.free_bytes`."""
        with _Translated(path):
            found = os.statvfs(path)
        if not found.f_blocks:
            return _UNKNOWN_BYTES  # some file systems of user space say nothing
        return found.f_bavail * found.f_frsize

    def is_world_writable(self, path: str) -> bool:
        """See `FileSystem.is_world_writable`."""
        with _Translated(path):
            return bool(Path(path).stat().st_mode & 0o002)

    def fsync_directory(self, path: str) -> None:
        """See `FileSystem.fsync_directory`."""
        with _Translated(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def lock(self, path: str, holder: str) -> DirectoryLock:
        """See `FileSystem.lock`."""
        with _Translated(path):
            return _take_lock(path, holder)


class _PosixLock:
    """A descriptor with ``flock`` on it.

    ``flock`` and not ``lockf``: POSIX locks do not exclude the same process and are lost when
    any descriptor of the file is closed. The file is never removed: whoever waits for the old
    file and whoever creates the new one would both hold "the" lock.
    """

    __slots__ = ("__weakref__", "_descriptor")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _held_locks.add(self)

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _take_lock(path: str, holder: str) -> _PosixLock:
    while True:
        descriptor = _open(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_the_file(descriptor, path):
                _note_holder(descriptor, holder)
                return _PosixLock(descriptor)
        except BlockingIOError as error:
            other = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise DirectoryLockedError(
                f"{path} is held by {other or 'somebody unknown'}", path=path, holder=other
            ) from error
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # somebody put a new file in its place: try with that one


def _note_holder(descriptor: int, holder: str) -> None:
    # Only for the message others get: a full disk must not keep a store from being read.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)


def _is_still_the_file(descriptor: int, path: str) -> bool:
    mine = os.fstat(descriptor)
    try:
        named = Path(path).stat()
    except FileNotFoundError:
        return False
    return (mine.st_dev, mine.st_ino) == (named.st_dev, named.st_ino)


_held_locks: weakref.WeakSet[_PosixLock] = weakref.WeakSet()


def _release_in_child() -> None:
    """Close the locks a fork copied: a child that outlives us would keep the directory locked.

    Closing the copy does not unlock ours: a flock ends with its last descriptor.
    """
    for lock in list(_held_locks):
        lock.release()


os.register_at_fork(after_in_child=_release_in_child)
