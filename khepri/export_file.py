"""Export files on disk: written beside, synced, then renamed; checked as a whole, then read.

Under its own name a file is whole or not there, whatever happens meanwhile. Files have mode 0600:
they hold what the store holds. What is in them is said in `export_format.py`.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from khepri.errors import DirectoryAccessError, StorageError
from khepri.log.file_system import storage_error

from .export_format import ChunkReader, ChunkWriter, Origin

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from .exported_node import ExportedNode

CHUNK_BYTES: Final = 64 * 1024
"""A chunk ends with the tree node that makes it larger."""

CHUNK_NODES: Final = 1024

_NODE_BYTES: Final = 32
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK})
"""What file systems say that have no hard links, or no more."""


class FileWriter:
    """Writes an export to a file; an `ExportWriter`."""

    def __init__(self, path: str | os.PathLike[str], origin: Origin, *, overwrite: bool) -> None:
        """Begin, under a name that is not the file's.

        Raises:
            DirectoryAccessError: the file exists and is not to be overwritten, or nothing can be
                written there.
            StorageError: the disk refuses.
        """
        self._path = os.fspath(path)
        self._overwrites = overwrite
        self._chunks = ChunkWriter()
        self._waiting: list[list[Any]] = []
        self._waiting_bytes = self._count = 0
        if not overwrite and os.path.lexists(self._path):
            raise self._exists()
        with _translated(self._path):
            self._place = _place_of(self._path)
            self._folder = os.path.dirname(self._place) or "."  # noqa: PTH120 - a text, as it came
            descriptor, self._temporary = tempfile.mkstemp(
                prefix=".khepri-export-", suffix=".new", dir=self._folder
            )  # with mode 0600
            self._file = os.fdopen(descriptor, "wb")
        try:
            self._put(self._chunks.start(origin))
        except BaseException as error:
            self.abort(error)
            raise

    def write(self, node: ExportedNode) -> None:
        """Add a tree node.

        Raises:
            StorageError: the disk refuses.
        """
        self._waiting.append(node.to_plain())
        self._waiting_bytes += _NODE_BYTES + node.about_bytes()
        self._count += 1
        if self._waiting_bytes >= CHUNK_BYTES or len(self._waiting) >= CHUNK_NODES:
            self._put_waiting()

    def commit(self) -> None:
        """Give the file its name, durably.

        Raises:
            DirectoryAccessError: there is one of that name now.
            StorageError: the disk refuses.
        """
        self._put_waiting()
        self._put(self._chunks.end(self._count))
        with _translated(self._path):
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                if self._overwrites:
                    os.replace(self._temporary, self._place)  # noqa: PTH105
                else:
                    self._name_it()
                os.fsync(folder)
            finally:
                os.close(folder)

    def abort(self, reason: BaseException) -> None:  # noqa: ARG002 - as an `ExportWriter` has it
        """Leave nothing behind."""
        with suppress(OSError):  # of what could not be written before
            self._file.close()
        with suppress(OSError):  # it may have its name already
            os.unlink(self._temporary)  # noqa: PTH108

    def _name_it(self) -> None:
        """Rename, unless there is something of that name: no plain rename sees to that."""
        try:
            os.link(self._temporary, self._place, follow_symlinks=False)
        except FileExistsError:
            raise self._exists() from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.lexists(self._place):
                raise self._exists() from None
            os.replace(self._temporary, self._place)  # noqa: PTH105
        else:
            os.unlink(self._temporary)  # noqa: PTH108

    def _put_waiting(self) -> None:
        if self._waiting:
            self._put(self._chunks.nodes(self._waiting))
            self._waiting, self._waiting_bytes = [], 0

    def _put(self, data: bytes) -> None:
        with _translated(self._path):
            self._file.write(data)

    def _exists(self) -> DirectoryAccessError:
        return DirectoryAccessError(
            f"{self._path} exists already and is not overwritten unless that is asked for",
            path=self._path,
            reason="it exists",
        )


class ExportFile:
    """An export file that is open to be read, any number of times, from its beginning."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open it.

        Raises:
            StorageError: it cannot be read.
        """
        self.path = os.fspath(path)
        with _translated(self.path):
            _refuse_what_is_no_file(self.path)  # a pipe would block
            self._file = open(self.path, "rb")  # noqa: PTH123, SIM115 - closed by `close`

    def read(self) -> tuple[Origin, Iterator[list[ExportedNode]]]:
        """Give where it comes from, and its tree nodes, a chunk at a time.

        Raises:
            DataCorruptionError: it is damaged, cut, or no export; while its nodes are read, too.
            UnknownFormatError: it is of a version that this release does not know.
            StorageError: the disk refuses.
        """
        with _translated(self.path):
            self._file.seek(0)
            chunks = ChunkReader(self._file, self.path)
            return chunks.origin(), self._nodes(chunks)

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def _nodes(self, chunks: ChunkReader) -> Iterator[list[ExportedNode]]:
        with _translated(self.path):
            yield from chunks.nodes()


def _place_of(path: str) -> str:
    """Give where the file itself is: a rename would replace a link to it, or a device."""
    if not os.path.lexists(path):
        return path
    with suppress(FileNotFoundError):  # of a link to what is not there yet
        _refuse_what_is_no_file(path)
    return os.path.realpath(path)


def _refuse_what_is_no_file(path: str) -> None:
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a text, as it came
        raise DirectoryAccessError(f"{path} is no file", path=path, reason="it is no file")


@contextmanager
def _translated(path: str) -> Generator[None]:
    """Turn what the system says into errors of khepri that name the file."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(error, path) from error
