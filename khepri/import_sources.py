"""Where imports come from: a file, or a reader of the caller's own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from khepri.config import get_max_command_bytes
from khepri.errors import ValueTooLargeError, WrongTypeError

from .export_file import ExportFile
from .exported_node import ExportedNode, check
from .exporting import file_name
from .import_commands import about_bytes, is_below, least_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator


@runtime_checkable
class ExportReader(Protocol):
    """Where an import comes from, if not from a file: a format of your own.

    Both functions are called in the thread that imports.
    """

    def read(self) -> list[ExportedNode]:
        """Give some more tree nodes, parents before children; an empty list if there are no more.

        What it raises ends the import; of what was read before a part may be in the store.
        """
        ...

    def close(self) -> object:
        """Take note that the import has ended, well or not; called once.

        What it gives is the ``closed`` of an import that ended well.
        """
        ...


class FileSource(ExportFile):
    """A file. It is checked as a whole before it is read, and read once for each step."""

    def check(self, look: Callable[[int], object] = int) -> None:
        """Read all of it, so that what is damaged or foreign changes nothing.

        Args:
            look: called now and then with 0; what it raises ends the reading.

        Raises:
            DataCorruptionError, UnknownFormatError: it is no whole export.
            ValueTooLargeError: a tree node is larger than a command may be here.
        """
        limit = get_max_command_bytes()
        for nodes in self.nodes():
            look(0)
            for node in nodes:
                check_size_of(node, limit)

    def nodes(self) -> Iterator[list[ExportedNode]]:
        """Give all, from the beginning."""
        return self.read()[1]


class ReaderSource:
    """A reader. What further steps need of it is kept meanwhile, for it is read once."""

    def __init__(self, reader: ExportReader) -> None:
        """Use a reader."""
        self._reader = reader
        self._kept: list[ExportedNode] | None = None

    def check(self, look: Callable[[int], object] = int) -> None:
        """Check nothing: it is checked as it is read."""

    def nodes(self) -> Iterator[list[ExportedNode]]:
        """Give all at the first time, then what has conditions or an end, or is below an end.

        Raises:
            WrongTypeError: the reader gives something else than lists of tree nodes.
            InvalidOptionError, EncodingError, ValueTooLargeError: a store cannot hold one of them.
        """
        if self._kept is not None:
            yield self._kept
            return
        self._kept = []
        limit = get_max_command_bytes()
        ending: ExportedNode | None = None  # the last one, outside of others
        while nodes := _list_of(self._reader.read()):
            for node in nodes:
                check(node)
                check_size_of(node, limit)
                is_ending = ending is not None and is_below(node, ending)
                if node.expires_at_milliseconds is not None and not is_ending:
                    ending, is_ending = node, True
                if is_ending or node.keep_while:
                    self._kept.append(node)
            yield nodes

    def close(self) -> object:
        """Close the reader; give what that gives."""
        return self._reader.close()


def check_size_of(node: ExportedNode, limit_bytes: int) -> None:
    """Refuse what no command can carry.

    Raises:
        ValueTooLargeError: it is above the limit; names the tree node.
    """
    if about_bytes(node) > limit_bytes or node.keep_while:
        size_bytes = least_bytes(node)
        if size_bytes > limit_bytes:
            raise ValueTooLargeError(
                f"{node.path} needs a command of {size_bytes} bytes, the limit is {limit_bytes}",
                size_bytes=size_bytes,
                limit_bytes=limit_bytes,
            )


@contextmanager
def opened(source: object) -> Generator[tuple[FileSource | ReaderSource, list[Any]]]:
    """Open a source, and close it at the end.

    Yields:
        the source, and a list that has, after the end of the block, what closing it has given.

    Raises:
        WrongTypeError, InvalidOptionError: it is none.
        StorageError: the file cannot be read.
    """
    path = file_name(source, "source")
    opened_source = ReaderSource(_reader(source)) if path is None else FileSource(path)
    closed: list[Any] = []
    try:
        yield opened_source, closed
    except BaseException as error:
        try:
            opened_source.close()
        except Exception as second:  # noqa: BLE001 - whatever it is, the first one matters
            error.add_note(f"closing the reader then raised {second!r}")
        raise
    closed.append(opened_source.close())


def _reader(source: object) -> ExportReader:
    if isinstance(source, type) or not isinstance(source, ExportReader):
        raise WrongTypeError(
            f"source is the name of a file, or a reader, which has read and close, not"
            f" {source!r:.100}",
            option="source",
            value=source,
        )
    return source


def _list_of(nodes: object) -> list[ExportedNode]:
    if not isinstance(nodes, list):
        raise WrongTypeError(
            f"read gives a list of ExportedNode, not {nodes!r:.100}", option="source", value=nodes
        )
    return cast("list[ExportedNode]", nodes)
