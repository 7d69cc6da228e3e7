"""How far the log of one store was committed, noted now and then, never synced.

Raft does not persist the commit index (figure 2): a member that starts again learns it from its
leader. Where there is no leader, a member without this note could serve local reads of its last
snapshot only.

The note is a hint. It names an entry by index *and* term, and counts only if the log that was
recovered holds just that entry: two logs that agree there agree in everything before, so what
was committed then is what is there now. A torn, lost or old note costs freshness, nothing else;
that is why nothing here is synced and no error leaves.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from khepri.encoding import EncodingError, pack, unpack
from khepri.errors import StorageError
from khepri.raft.types import Index, Term

from .file_header import NO_SALT, read_file
from .framing import FrameKind, decode_frame, encode_frame

if TYPE_CHECKING:
    from .file_system import File, FileSystem


class Committed(NamedTuple):
    """An entry that is committed, and so are all before it."""

    index: Index  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]
    term: Term


class CommitNote:
    """The open file. Owner: the RaServer, one thread."""

    def __init__(self, file_system: FileSystem, path: str) -> None:
        """Open the file and read it; a file that cannot be used is done without."""
        self.found: Committed | None = None
        """What was noted before; None if nothing legible was."""
        self._written: Committed | None = None
        self._file: File | None = None
        with suppress(StorageError):
            if file_system.exists(path):
                self.found = _decode(read_file(file_system, path))
                self._file = file_system.open(path, writable=True)
            else:
                self._file = file_system.create(path)

    def write(self, index: Index, term: Term) -> None:
        """Note that all up to an entry is committed; the entry must be durable here.

        Not durable on return, and lost without a word if the disk refuses.
        """
        committed = Committed(index, term)
        if self._file is None or committed == self._written:
            return
        with suppress(StorageError):
            self._file.pwrite(encode_frame(FrameKind.SLOT, 0, NO_SALT, pack(committed)), 0)
            self._written = committed

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(StorageError):
                self._file.close()


def _decode(data: bytes) -> Committed | None:
    frame = decode_frame(memoryview(data), 0)
    if frame is None or frame.kind != FrameKind.SLOT:
        return None
    with suppress(EncodingError):
        match unpack(frame.payload):
            case [int(index), int(term)]:
                return Committed(Index(index), Term(term))
            case _:
                return None
    return None
