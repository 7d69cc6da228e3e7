"""The files as this room sees them: a small interface.

`FileSystem` and `File` are the whole border between the log code and the machine it runs on.
The real one is `posix_file_system`, the simulated twin `memory_file_system`; the log code runs
unchanged on both.

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

import errno
from typing import Protocol

from khepri.errors import DirectoryAccessError, DiskFailedError, DiskFullError, StorageError

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

    def begin_writing(self, offset: int, size_bytes: int) -> None:
        """Have the disk begin with what was written there, without waiting for it. A hint.

        It promises nothing, and never raises: errors are those of the next `fdatasync`.
        """
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

    def free_bytes(self, path: str) -> int:
        """Give how much more the disk that holds a path has room for; others use it as well."""
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
