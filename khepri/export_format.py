"""The form of an export file: what its writer and its reader agree on.

After eight bytes that tell the kind of file come chunks. A chunk is the length of its body, a
checksum, the body, and a checksum again; each is the CRC-32 of everything in the file before it.
So the length is known to be right before it is believed, and a file that was cut, shortened in the
middle, put together of two, or damaged anywhere is refused.

A body is a msgpack list that begins with its kind:

- ``[HEADER, version, store id, log index, term, log time in milliseconds]``, the first;
- ``[NODES, [tree node, ...]]``, in path order, each as `ExportedNode.to_plain` gives it;
- ``[END, count of tree nodes]``, the last.

What comes behind the version in a header may differ between versions; all before it may not.
"""

from __future__ import annotations

import zlib
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final

from khepri.encoding import EncodingError, pack, unpack
from khepri.errors import DataCorruptionError, UnknownFormatError
from khepri.machine.data_pattern_codec import list_of

from .exported_node import ExportedNode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

MAGIC: Final = b"khepriX\n"
VERSION: Final = 1

HEADER: Final = 0
NODES: Final = 1
END: Final = 2
CONTENT_LENGTH: Final = 2
"""Of what is behind the header."""

WORD_BYTES: Final = 4
"""Of a length, and of a checksum."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an export comes from.

    Attributes:
        store_id: of which store it is.
        index: the place in the log that it shows, `khepri.applied` takes it.
        term: the term of that place.
        time_milliseconds: the log's time when it was made: milliseconds since 1970.
    """

    store_id: str
    index: int
    term: int
    time_milliseconds: int


class ChunkWriter:
    """Makes the bytes of a file, part by part."""

    __slots__ = ("_checksum",)

    def __init__(self) -> None:
        """Begin a file."""
        self._checksum = 0

    def start(self, origin: Origin) -> bytes:
        """Give its beginning."""
        self._checksum = zlib.crc32(MAGIC)
        return MAGIC + self._chunk([HEADER, VERSION, *astuple(origin)])

    def nodes(self, nodes: list[list[Any]]) -> bytes:
        """Give a chunk of tree nodes."""
        return self._chunk([NODES, nodes])

    def end(self, count: int) -> bytes:
        """Give its end."""
        return self._chunk([END, count])

    def _chunk(self, content: list[Any]) -> bytes:
        body = pack(content)
        head = self._with_checksum(len(body).to_bytes(WORD_BYTES, "big"))
        return head + self._with_checksum(body)

    def _with_checksum(self, data: bytes) -> bytes:
        checksum = zlib.crc32(data, self._checksum)
        word = checksum.to_bytes(WORD_BYTES, "big")
        self._checksum = zlib.crc32(word, checksum)
        return data + word


class ChunkReader:
    """Reads a file, chunk by chunk, from its beginning; memory stays at one chunk."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        """Read a file that is open; errors name it by its path."""
        self._file = file
        self._path = path
        self._offset = 0
        self._chunk_offset = 0
        self._checksum = 0

    def origin(self) -> Origin:
        """Read the beginning.

        Raises:
            DataCorruptionError: it is no export, or damaged.
            UnknownFormatError: it is one of a version that this release does not know.
        """
        magic = self._file.read(len(MAGIC))
        if magic != MAGIC:
            raise self._damage("it is no export of a store")
        self._offset, self._checksum = len(MAGIC), zlib.crc32(MAGIC)
        content = self._next_chunk()
        if len(content) < CONTENT_LENGTH or content[0] != HEADER:
            raise self._damage("it has no header")
        version = content[1]
        if version != VERSION:
            raise UnknownFormatError(
                f"{self._path} is an export of format version {version!r:.40}; this release knows"
                f" {VERSION}",
                path=self._path,
                version=version,
            )
        facts = content[2:]
        if list(map(type, facts)) != [str, int, int, int]:
            raise self._damage("its header has another form")
        return Origin(*facts)

    def nodes(self) -> Iterator[list[ExportedNode]]:
        """Read the tree nodes, a chunk at a time; what is behind the last one has been checked.

        Raises:
            DataCorruptionError: the file is damaged, or does not go on to its end.
        """
        count = 0
        while True:
            content = self._next_chunk()
            if len(content) != CONTENT_LENGTH or content[0] not in (NODES, END):
                raise self._damage("a chunk is of no known kind")
            kind, held = content
            if kind == END:
                break
            try:
                nodes = [ExportedNode.from_plain(plain) for plain in list_of(held)]
            except EncodingError as error:
                raise self._damage(str(error)) from error
            count += len(nodes)
            yield nodes
        if held != count:
            raise self._damage(f"it has {count} tree nodes and should have {held!r:.40}")
        self._chunk_offset = self._offset
        if self._file.read(1):
            raise self._damage("there is more behind its end")

    def _next_chunk(self) -> list[Any]:
        self._chunk_offset = self._offset
        length = int.from_bytes(self._checked(WORD_BYTES), "big")
        try:
            return list_of(unpack(self._checked(length)))
        except EncodingError as error:
            raise self._damage(str(error)) from error

    def _checked(self, size_bytes: int) -> bytes:
        """Read bytes and the checksum behind them."""
        data = self._file.read(size_bytes)
        word = self._file.read(WORD_BYTES)
        if len(data) != size_bytes or len(word) != WORD_BYTES:
            raise self._damage("it ends too early")
        checksum = zlib.crc32(data, self._checksum)
        if int.from_bytes(word, "big") != checksum:
            raise self._damage("a checksum does not match")
        self._checksum = zlib.crc32(word, checksum)
        self._offset += size_bytes + WORD_BYTES
        return data

    def _damage(self, reason: str) -> DataCorruptionError:
        return DataCorruptionError(
            f"{self._path} is damaged at offset {self._chunk_offset}: {reason}",
            path=self._path,
            offset=self._chunk_offset,
            reason=reason,
        )
