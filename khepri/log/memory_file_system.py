"""The file system in memory: a twin of the real one that can lose what was not synced.

Fault model, stated once:

* **Power loss** (`MemoryFileSystem.power_loss`): every 512-byte sector written since the last
  `fdatasync` of its file takes any of the values it had since then, each sector by itself: torn
  and reordered writes. The size of a file likewise. Entries of a directory not yet synced with
  `fsync_directory` survive or not, each by itself, except that what builds on a lost one is lost.
* **Process death** (`MemoryFileSystem.process_death`): everything written stays; locks go.
* **A failed fdatasync** marks the pages clean all the same: they can still be read, a later
  `fdatasync` succeeds and does not write them, and a power loss may take them (ATC '20).
* **Errors and crashes at a chosen operation** through `hook`, which sees every call before it
  happens and may raise an OSError or `SimulatedCrash`.
* **Full disk** through `capacity_bytes`: what fits is written, then ENOSPC. **Bit rot** through
  `flip`, **cut files** through `cut`.

Deterministic: the only randomness is the generator handed to `power_loss`. One thread.
Not here: any knowledge of what the files mean.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from khepri.errors import DirectoryLockedError

from .file_system import storage_error
from .memory_file_node import FileNode
from .paths import folder_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .file_system import DirectoryLock, File
    from .memory_file_node import Randomness


class SimulatedCrash(BaseException):
    """The process died here. Not an Exception, so that no handler of the log code sees it."""


class Operation(NamedTuple):
    """One call, as the hook sees it before it happens."""

    number: int
    """Counts all operations of the file system that change something or sync, from 1."""
    name: str
    """``pwrite``, ``fdatasync``, ``create``, ``rename``, ``unlink``, ``make_directory``,
    ``remove_directory``, ``fsync_directory``; and ``pread``, which has the number of the last one.
    """
    path: str


class MemoryFile:
    """An open file of a `MemoryFileSystem`."""

    __slots__ = ("_epoch", "_file_system", "_is_open", "_node", "path")

    def __init__(self, file_system: MemoryFileSystem, path: str, node: FileNode) -> None:
        """Open `node`; only `MemoryFileSystem` calls this."""
        self.path = path
        self._file_system = file_system
        self._node = node
        self._epoch = file_system.epoch
        self._is_open = True
        file_system.open_files += 1

    def _alive(self) -> FileNode:
        if self._epoch != self._file_system.epoch:
            raise AssertionError("a file of a process that is dead")
        if not self._is_open:
            raise AssertionError("a closed file")
        return self._node

    def pread(self, size_bytes: int, offset: int) -> bytes:
        """See `File.pread`."""
        node = self._alive()
        self._file_system.reading(self.path)
        return bytes(node.data[offset : offset + size_bytes])

    def pwrite(self, data: bytes, offset: int) -> None:
        """See `File.pwrite`."""
        node = self._alive()
        self._file_system.changing("pwrite", self.path)
        excess = offset + len(data) - len(node.data) - self._file_system.room()
        fits = data if excess <= 0 else data[:-excess]
        if fits:
            node.write(fits, offset)
        if len(fits) < len(data):
            raise _posix_error(errno.ENOSPC, self.path)

    def begin_writing(self, offset: int, size_bytes: int) -> None:
        """See `File.begin_writing`: here, too, a power loss may take it or leave it."""

    def fdatasync(self) -> None:
        """See `File.fdatasync`."""
        node = self._alive()
        try:
            self._file_system.changing("fdatasync", self.path)
        except Exception:
            node.sync_failed()
            raise
        node.sync()

    def size(self) -> int:
        """See `File.size`."""
        return len(self._alive().data)

    def close(self) -> None:
        """See `File.close`."""
        if self._is_open and self._epoch == self._file_system.epoch:
            self._file_system.open_files -= 1
        self._is_open = False


class _Change(NamedTuple):
    """A directory operation that is not durable: these names now lead there (None: nowhere)."""

    entries: tuple[tuple[str, FileNode | None], ...]


_DIRECTORY = FileNode()
"""What the name of a directory leads to."""


class MemoryFileSystem:
    """Files in a dict, with a durable past."""

    def __init__(self, *, capacity_bytes: int | None = None) -> None:
        """Begin empty.

        Args:
            capacity_bytes: of all files together; None for no limit. May be changed any time.
        """
        self.capacity_bytes = capacity_bytes
        self.hook: Callable[[Operation], None] | None = None
        self.operations = 0
        self.epoch = 0
        """Counts deaths; files opened before the last one are unusable."""
        self.open_files = 0
        self._entries: dict[str, FileNode] = {"/": _DIRECTORY, ".": _DIRECTORY}
        self._durable: dict[str, FileNode] = dict(self._entries)
        self._changes: dict[str, list[_Change]] = {}
        self._locks: dict[str, _MemoryLock] = {}
        self._world_writable: set[str] = set()

    # The calls of the log code.

    def open(self, path: str, *, writable: bool) -> File:
        """See `FileSystem.open`."""
        del writable
        return MemoryFile(self, path, self._file(path))

    def create(self, path: str) -> File:
        """See `FileSystem.create`."""
        self.changing("create", path)
        node = FileNode()
        self._change(path, (path, node))
        return MemoryFile(self, path, node)

    def rename(self, source: str, target: str) -> None:
        """See `FileSystem.rename`. Only within one directory: nothing here needs more."""
        self.changing("rename", target)
        if folder_of(source) != folder_of(target):
            raise AssertionError("a rename across directories")
        self._change(target, (source, None), (target, self._file(source)))

    def unlink(self, path: str) -> None:
        """See `FileSystem.unlink`."""
        self.changing("unlink", path)
        self._file(path)
        self._change(path, (path, None))

    def make_directory(self, path: str) -> None:
        """See `FileSystem.make_directory`."""
        self.changing("make_directory", path)
        if path in self._entries:
            raise _posix_error(errno.EEXIST, path)
        self._change(path, (path, _DIRECTORY))

    def remove_directory(self, path: str) -> None:
        """See `FileSystem.remove_directory`."""
        self.changing("remove_directory", path)
        if self.listdir(path):
            raise _posix_error(errno.ENOTEMPTY, path)
        self._change(path, (path, None))

    def listdir(self, path: str) -> list[str]:
        """See `FileSystem.listdir`."""
        if self._entries.get(path) is not _DIRECTORY:
            raise _posix_error(errno.ENOENT, path)
        prefix = path + "/"
        names = (name[len(prefix) :] for name in self._entries if name.startswith(prefix))
        return sorted(name for name in names if "/" not in name)

    def exists(self, path: str) -> bool:
        """See `FileSystem.exists`."""
        return path in self._entries

    def free_bytes(self, path: str) -> int:
        """See `FileSystem.free_bytes`."""
        del path
        return max(0, self.room())

    def is_world_writable(self, path: str) -> bool:
        """See `FileSystem.is_world_writable`."""
        return path in self._world_writable

    def fsync_directory(self, path: str) -> None:
        """See `FileSystem.fsync_directory`."""
        self.changing("fsync_directory", path)
        for change in self._changes.pop(path, ()):
            _carry_out(change, self._durable)
            for name, node in change.entries:
                if node is None and name not in self._entries:
                    self._forget_below(name)

    def lock(self, path: str, holder: str) -> DirectoryLock:
        """See `FileSystem.lock`."""
        if path in self._locks:
            other = self._locks[path].holder
            raise DirectoryLockedError(f"{path} is held by {other}", path=path, holder=other)
        lock = self._locks[path] = _MemoryLock(self._locks, path, holder)
        return lock

    # What a test or a simulation does to it.

    def power_loss(self, random: Randomness) -> None:
        """Lose what was not synced, as the fault model at the top says; locks go too."""
        for folder in sorted(self._changes):
            self._lose_entries(self._changes[folder], random)
        self._changes.clear()
        self._entries = {
            path: node for path, node in self._durable.items() if self._is_reachable(path)
        }
        self._durable = dict(self._entries)
        for path in sorted(self._entries):
            self._entries[path].lose_power(random)
        self.process_death()

    def process_death(self) -> None:
        """End the process that used the files: locks go, open files are unusable."""
        self.epoch += 1
        self.open_files = 0
        self._locks.clear()
        self.hook = None

    def flip(self, path: str, offset: int, mask: int = 0xFF) -> None:
        """Rot: change bits of a byte that was durable."""
        self._file(path).data[offset] ^= mask

    def cut(self, path: str, size_bytes: int) -> None:
        """Cut a file off, durably."""
        del self._file(path).data[size_bytes:]

    def make_world_writable(self, path: str) -> None:
        """Give everybody the right to write in a directory."""
        self._world_writable.add(path)

    def contents(self) -> dict[str, bytes]:
        """Give every file with its bytes, to see whether something was modified."""
        return {
            path: bytes(node.data)
            for path, node in self._entries.items()
            if node is not _DIRECTORY
        }

    def file_bytes(self) -> int:
        """Give the size of all files together."""
        return sum(len(node.data) for node in self._entries.values())

    def copy(self) -> MemoryFileSystem:
        """Give an independent copy as after `process_death`, everything durable."""
        other = MemoryFileSystem(capacity_bytes=self.capacity_bytes)
        for path, node in self._entries.items():
            if node is _DIRECTORY:
                other._entries[path] = node
            else:
                fresh = other._entries[path] = FileNode()
                fresh.data[:] = node.data
        other._durable = dict(other._entries)
        return other

    # Between the two.

    def changing(self, name: str, path: str) -> None:
        """Count an operation and ask the hook, which may raise."""
        self.operations += 1
        if self.hook is not None:
            self._ask_hook(name, path)

    def reading(self, path: str) -> None:
        """Ask the hook about a read."""
        if self.hook is not None:
            self._ask_hook("pread", path)

    def room(self) -> int:
        """Give the bytes by which files may still grow."""
        if self.capacity_bytes is None:
            return 1 << 62
        return self.capacity_bytes - self.file_bytes()

    def _ask_hook(self, name: str, path: str) -> None:
        assert self.hook is not None
        try:
            self.hook(Operation(self.operations, name, path))
        except OSError as error:
            raise storage_error(error, path) from error
        except SimulatedCrash:
            self.hook = _stay_dead
            raise

    def _file(self, path: str) -> FileNode:
        node = self._entries.get(path)
        if node is None:
            raise _posix_error(errno.ENOENT, path)
        if node is _DIRECTORY:
            raise _posix_error(errno.EISDIR, path)
        return node

    def _change(self, path: str, *entries: tuple[str, FileNode | None]) -> None:
        folder = folder_of(path)
        if self._entries.get(folder) is not _DIRECTORY:
            raise _posix_error(errno.ENOENT, path)
        change = _Change(entries)
        self._changes.setdefault(folder, []).append(change)
        _carry_out(change, self._entries)

    def _forget_below(self, path: str) -> None:
        """Let go of what was in a directory that is gone for good: nothing leads there."""
        prefix = path + "/"
        for names in (self._durable, self._changes):
            for name in [it for it in names if it == path or it.startswith(prefix)]:
                del names[name]

    def _lose_entries(self, changes: list[_Change], random: Randomness) -> None:
        lost_names: set[str] = set()
        for change in changes:
            names = {name for name, _ in change.entries}
            if lost_names & names or random.randrange(2):
                lost_names |= names
            else:
                _carry_out(change, self._durable)

    def _is_reachable(self, path: str) -> bool:
        while path not in {"/", "."}:
            path = folder_of(path)
            if self._durable.get(path) is not _DIRECTORY:
                return False
        return True


def _stay_dead(operation: Operation) -> None:
    """Let nothing happen after the death, whatever the code tries while it unwinds."""
    raise SimulatedCrash(operation)


def _posix_error(number: int, path: str) -> Exception:
    return storage_error(OSError(number, os.strerror(number)), path)


def _carry_out(change: _Change, entries: dict[str, FileNode]) -> None:
    for name, node in change.entries:
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


class _MemoryLock:
    """A name in the table of locks."""

    def __init__(self, locks: dict[str, _MemoryLock], path: str, holder: str) -> None:
        self.holder = holder
        self._locks = locks
        self._path = path

    def release(self) -> None:
        if self._locks.get(self._path) is self:
            del self._locks[self._path]
