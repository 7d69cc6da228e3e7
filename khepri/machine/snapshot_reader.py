"""Chunks of bytes back to a machine's state, from the form of ``snapshot_format.py``.

Whatever is not a whole snapshot is refused with `DataCorruptionError` and nothing else.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from khepri.encoding import EncodingError, unpack
from khepri.errors import DataCorruptionError, UnknownFormatError

from .children import restored
from .condition_codec import component_from_plain
from .expiry_index import ExpiryIndex
from .keep_while import EMPTY_INDEX, IMPLICIT, Expiry, KeepWhile, Watch
from .paths import resolve_path
from .sessions import checked_row
from .snapshot_format import (
    ACTION,
    CRC_BYTES,
    END,
    FAMILY,
    FAMILY_LENGTH,
    FIRST_PART,
    HEADER,
    KEEP_WHILE,
    KNOWN_VERSIONS,
    LAST_PART,
    NEXT_ACTION,
    ROOT,
    SESSION,
    TRIGGER,
    Snapshot,
)
from .state import TreeState
from .tree import NO_CHILDREN, TreeNode
from .triggers import ALL_KINDS, KINDS, NO_TRIGGERS, Action, Trigger
from .unread_family import LARGEST, Columns, leave_unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .tree import Names

    _Children = Columns | Mapping[str, TreeNode]


def read_chunks(chunks: Iterable[bytes], index: int | None = None) -> Snapshot:
    """Build the state back. Memory beside the state itself stays at a few chunks.

    While a large tree is built the garbage collector finds nothing to collect and a lot to look
    at; callers switch it off meanwhile and freeze afterwards.

    Args:
        chunks: what `write_chunks` gave, in order.
        index: the log index that they are said to stand for, if anything says so.

    Raises:
        DataCorruptionError: the chunks are not those of a whole snapshot, or of another index.
        UnknownFormatError: they are of a format this release does not know.
    """
    reader = _Reader()
    take_family = reader.take_family
    try:
        for records in _checked(chunks):
            for record in records:
                if len(record) == FAMILY_LENGTH:
                    take_family(*record)
                else:
                    reader.take(record)
        return reader.finish(index)
    except (EncodingError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise DataCorruptionError(
            f"the snapshot is damaged: {error}", path=None, offset=None, reason=str(error)
        ) from error


def _checked(chunks: Iterable[bytes]) -> Iterator[list[Any]]:
    checksum = 0
    for chunk in chunks:
        body = memoryview(chunk)[CRC_BYTES:]
        checksum = zlib.crc32(body, checksum)
        if int.from_bytes(chunk[:CRC_BYTES], "big") != checksum:
            raise ValueError("a checksum does not match")
        yield unpack(body)


def _joined(before: _Children, after: dict[str, TreeNode]) -> dict[str, TreeNode]:
    """Give one family of two parts of it."""
    family = before.family() if isinstance(before, Columns) else before
    assert isinstance(family, dict)
    family.update(after)
    return family


class _Reader:
    """Takes records in and builds the tree bottom up."""

    def __init__(self) -> None:
        self._version = 0
        self._header: list[Any] = []
        self._stack: list[tuple[_Children, int]] = []
        self._root: TreeNode | None = None
        self._index = EMPTY_INDEX
        self._dues: list[tuple[int, Names]] = []
        self._sessions: list[list[Any]] = []
        self._triggers = NO_TRIGGERS
        self._actions: list[tuple[int, Action]] = []
        self._ended = False

    def take(self, record: list[Any]) -> None:
        """Take one record in."""
        kind = record[0]
        if kind == HEADER:
            self._take_header(*record[1:])
        elif not self._header or self._ended:
            raise ValueError("it has records before its header or after its end")
        elif kind == ROOT:
            self._take_root(*record[1:])
        elif kind == KEEP_WHILE:
            self._take_keep_while(*record[1:])
        elif kind == SESSION:
            self._sessions.append(checked_row(record[1]))
        elif kind == NEXT_ACTION:
            self._take_next_action(*record[1:])
        elif kind == TRIGGER:
            self._take_trigger(*record[1:])
        elif kind == ACTION:
            self._take_action(*record[1:])
        elif kind == END:
            self._ended = True
        else:
            raise ValueError(f"unknown record {kind!r:.40}")

    def finish(self, said_index: int | None) -> Snapshot:
        """Give what was built."""
        if not self._ended or self._root is None:
            raise ValueError("it has no end")
        index, term, time_milliseconds = self._header
        if set(map(type, self._header)) != {int}:
            raise ValueError("its place in the log is none")
        if said_index not in {None, index}:
            raise ValueError(f"it is said to be of {said_index} and is of {index}")
        # All at once: one by one would take longer than everything else.
        watch_index = self._index._replace(expiries=ExpiryIndex.of(self._dues))
        actions = self._triggers.actions.update(self._actions)
        state = TreeState(self._root, watch_index, self._triggers._replace(actions=actions))
        return Snapshot(state, index, term, time_milliseconds, self._sessions)

    def _take_header(self, version: int, *header: int) -> None:
        if version not in KNOWN_VERSIONS:
            raise UnknownFormatError(
                f"snapshot format {version!r:.40} is unknown", path=None, version=version
            )
        if self._header:
            raise ValueError("it has two headers")
        self._version = version
        self._header = list(header)

    def take_family(  # noqa: PLR0917 - the columns of the record, in its order
        self,
        kind: int,
        flags: int,
        names: list[str],
        payloads: list[bytes | None],
        payload_versions: list[int] | None,
        child_list_versions: list[int] | None,
        inner: list[int],
        implicit: list[int],
    ) -> None:
        """Take in one family, or a part of one, by its columns."""
        if kind != FAMILY or not self._header:
            raise ValueError("it has a family where none can be")
        columns = Columns(names, payloads, payload_versions, child_list_versions)
        size = len(names)
        stack = self._stack
        before: _Children | None = None
        size_before = 0
        if not flags & FIRST_PART:
            before, size_before = stack.pop() if not inner else stack.pop(-len(inner) - 1)
        children: _Children
        if inner or implicit or isinstance(before, dict) or size + size_before > LARGEST:
            children, size = self._made(columns, inner, implicit)
            if before is not None:
                children = _joined(before, children)
            if flags & LAST_PART:
                children = restored(children)
        elif isinstance(before, Columns):
            before.extend(columns)
            children = before
        else:
            children = columns
        stack.append((children, size + size_before))

    def _made(
        self, columns: Columns, inner: list[int], implicit: list[int]
    ) -> tuple[dict[str, TreeNode], int]:
        """Make the nodes of a family that has more than leaves, and count all below."""
        nodes = columns.nodes()
        family = dict(zip(columns.names, nodes, strict=True))
        size = len(family)
        if size != len(nodes):
            raise ValueError("a name comes twice in a family")
        if inner:
            stack = self._stack
            below = stack[-len(inner) :]
            del stack[-len(inner) :]
            for at, (children, descendants) in zip(inner, below, strict=True):
                node = nodes[at]
                node.size = descendants + 1
                size += descendants
                if isinstance(children, Columns):
                    leave_unread(node, children)
                else:
                    node.children = children
        for at in implicit:
            nodes[at].keep_while = IMPLICIT
        return family, size

    def _take_root(
        self, payload: bytes | None, payload_version: int, child_list_version: int
    ) -> None:
        children: Mapping[str, TreeNode] = NO_CHILDREN
        size = 0
        if self._stack:
            ((unread, size),) = self._stack
            children = unread.family() if isinstance(unread, Columns) else unread
        self._stack = []
        self._root = TreeNode(
            payload, payload_version, child_list_version, children, None, size + 1
        )

    def _take_keep_while(self, names: list[str], plain: list[Any], *rest: Any) -> None:  # noqa: ANN401 - checked below
        """Give a node what it lives under; it is still ours alone, to be changed in place."""
        if len(rest) != (0 if self._version == 1 else 3):
            raise ValueError("what a node lives under has the wrong form")
        moment: Any = rest[0] if rest else None
        ttl: Any = rest[1] if rest else None
        is_implicit = bool(rest and rest[2])
        node = self._root
        if node is None:
            raise ValueError("what a node lives under comes before the tree")
        for name in names:
            node = node.children[name]
        watches = tuple(
            Watch(
                resolve_path([component_from_plain(part) for part in pattern]),
                component_from_plain(condition),
            )
            for pattern, condition in plain
        )
        expiry: Expiry | None = None
        if moment is not None:
            if not type(moment) is type(ttl) is int:
                raise ValueError("a time is no whole number")
            expiry = Expiry(moment, ttl)
            self._dues.append((moment, tuple(names)))
        node.keep_while = KeepWhile(watches, expiry, is_implicit=is_implicit)
        if watches:
            self._index = self._index.with_watcher(tuple(names), KeepWhile(watches))

    def _take_next_action(self, number: int) -> None:
        if type(number) is not int:
            raise ValueError("the number of an action is none")
        self._triggers = self._triggers._replace(next_number=number)

    def _take_trigger(
        self, trigger_id: str, pattern: list[Any], kinds: int, priority: int, path: list[str]
    ) -> None:
        if not type(kinds) is type(priority) is int or not 0 < kinds <= ALL_KINDS:
            raise ValueError("a trigger has the wrong form")
        "".join((trigger_id, *path))  # raises for anything but text
        resolved = resolve_path([component_from_plain(part) for part in pattern])
        trigger = Trigger(resolved, kinds, priority, tuple(path))
        self._triggers = self._triggers.with_trigger(trigger_id, trigger)

    def _take_action(
        self, number: int, trigger_id: str, procedure: str, path: list[str], kind: str
    ) -> None:
        if type(number) is not int or kind not in KINDS:
            raise ValueError("an action has the wrong form")
        "".join((trigger_id, procedure, *path))
        self._actions.append((number, Action(trigger_id, procedure, tuple(path), kind)))
