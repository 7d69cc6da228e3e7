"""The files as this room sees them: a small interface, and the real one on POSIX.

`FileSystem` and `File` are the whole border between the log code and the machine it runs on.
The simulated twin is `memory_file_system`; the log code runs unchanged on both.

What the log code counts on, and nothing more:

* `File.fdatasync` makes all earlier writes to the file durable, and the size it needs to read
  them back.
* `FileSystem.fsync_directory` makes creations, renames and removals in a directory durable.
* A rename replaces its target at once: other openers see the old file or the new one.
* A write that is cut off by a power loss leaves every 512-byte sector old or new, in any
  combination, and leaves bytes outside of the write alone.

Not here: what is written. Every error is a `khepri.errors.StorageError` with the OSError as its
cause.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from khepri.errors import (
    DirectoryAccessError,
    DirectoryLockedError,
    DiskFailedError,
    DiskFullError,
    StorageError,
)

if TYPE_CHECKING:
    from types import TracebackType

_DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ACCESS = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    }
)


class File(Protocol):
    """An open file. Reads and writes name their offset; there is no position."""

    @property
    def path(self) -> str:
        """Where it was opened; stays the same after a rename."""
        ...

    def pread(self, size_bytes: int, offset: int) -> bytes:
        """Read; shorter than asked only at the end of the file."""
        ...

    def pwrite(self, data: bytes, offset: int) -> None:
        """Write all of `data`, not yet durably. After an error any part of it may be there."""
        ...

    def fdatasync(self) -> None:
        """Make everything written so far durable.

        After an error nothing may be assumed of writes since the last success, and a later
        success says nothing about them (Rebello et al., ATC '20).
        """
        ...

    def size(self) -> int:
        """Give the size in bytes."""
        ...

    def close(self) -> None:
        """Close it; durable is only what was synced. Closing twice is allowed."""
        ...


class DirectoryLock(Protocol):
    """The right to use a directory, held until released or until the process ends."""

    def release(self) -> None:
        """Give it up. Releasing twice is allowed."""
        ...


class FileSystem(Protocol):
    """The calls the log code makes. Paths are strings with ``/``. Any thread may call."""

    def open(self, path: str, *, writable: bool) -> File:
        """Open a file that exists."""
        ...

    def create(self, path: str) -> File:
        """Create an empty file with mode 0600; what was there under that name is emptied."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Rename, replacing `target`. Durable after `fsync_directory`."""
        ...

    def unlink(self, path: str) -> None:
        """Remove a file; open ones stay readable. Durable after `fsync_directory`."""
        ...

    def make_directory(self, path: str) -> None:
        """Create one directory with mode 0700. Durable after `fsync_directory` of the parent."""
        ...

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        ...

    def listdir(self, path: str) -> list[str]:
        """Give the names in a directory, sorted."""
        ...

    def exists(self, path: str) -> bool:
        """Whether something of that name is there."""
        ...

    def is_world_writable(self, path: str) -> bool:
        """Whether any user may change the directory."""
        ...

    def fsync_directory(self, path: str) -> None:
        """Make the entries of a directory durable."""
        ...

    def lock(self, path: str, holder: str) -> DirectoryLock:
        """Take the lock file `path`, creating it if needed, and note who holds it.

        Raises:
            DirectoryLockedError: somebody has it, this process included. Fact: ``holder``.
        """
        ...


def storage_error(error: OSError, path: str) -> StorageError:
    """Translate an OSError to khepri's own; the caller raises it from `error`."""
    reason = error.strerror or str(error)
    if error.errno in _DISK_IS_FULL:
        return DiskFullError(f"no space for {path}: {reason}", path=path)
    if error.errno in _NO_ACCESS:
        return DirectoryAccessError(f"no access to {path}: {reason}", path=path, reason=reason)
    return DiskFailedError(f"the disk failed at {path}: {reason}", path=path, reason=reason)


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
        with _Translated(self.path):
            written = os.pwrite(self._descriptor, data, offset)
            while written < len(data):
                rest = memoryview(data)[written:]
                written += os.pwrite(self._descriptor, rest, offset + written)

    def fdatasync(self) -> None:
        """See `File.fdatasync`."""
        with _Translated(self.path):
            os.fdatasync(self._descriptor)

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


class PosixFileSystem:
    """The real file system. Has no state of its own."""

    def open(self, path: str, *, writable: bool) -> File:
        """See `FileSystem.open`."""
        mode = os.O_RDWR if writable else os.O_RDONLY
        with _Translated(path):
            return PosixFile(path, os.open(path, mode | os.O_CLOEXEC))

    def create(self, path: str) -> File:
        """See `FileSystem.create`."""
        with _Translated(path):
            mode = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            return PosixFile(path, os.open(path, mode, 0o600))

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
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
