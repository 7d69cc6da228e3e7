"""A machine's state as chunks of bytes, and back.

The chunks of equal states are equal, byte for byte, on every member: nodes come in an order that
depends on nothing but their names. Each chunk is small (about 64 KiB or 256 nodes) and made when
it is asked for, so that whoever writes a snapshot can rest in between.

A chunk is the CRC-32 of all bytes so far, then a msgpack list of records. The first chunk holds
the header, the last one the end mark, so a stream that was cut, shortened in the middle or damaged
anywhere is refused.

Nodes are written by *families* (all children of one node) after the families below them, with one
column per attribute: a family is then read by a handful of C loops instead of by a Python loop
over nodes, which is what makes a restart fast. A node finds its own children on a stack.

Not here: files and transfer (``khepri.log``), when a snapshot is taken (the server).
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from khepri.encoding import EncodingError, pack, unpack
from khepri.errors import DataCorruptionError, UnknownFormatError

from .children import restored
from .condition_codec import component_from_plain, component_to_plain
from .keep_while import EMPTY_INDEX, IMPLICIT, KeepWhile, Watch
from .paths import resolve_path
from .state import TreeState
from .tree import NO_CHILDREN, Names, TreeNode
from .unread_family import LARGEST, Columns, leave_unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    _Children = Columns | Mapping[str, TreeNode]

FORMAT_VERSION: Final = 1

CHUNK_BYTES: Final = 64 * 1024
CHUNK_NODES: Final = 256
_FAMILY_COST: Final = 6  # in nodes: what a family costs beside its members
_SORTED_AT_ONCE: Final = 512
_BUCKET_SIZE: Final = 128

_HEADER: Final = 0
_FAMILY: Final = 1
_FAMILY_LENGTH: Final = 8
_ROOT: Final = 2
_KEEP_WHILE: Final = 3
_SESSION: Final = 4
_END: Final = 5

_FIRST_PART: Final = 1
_LAST_PART: Final = 2

_CRC_BYTES: Final = 4


class Snapshot(NamedTuple):
    """All of a machine's state, as it is captured and as it is restored.

    Attributes:
        state: the tree with its index.
        applied_index: the log index applied last.
        applied_term: its term.
        time_milliseconds: the log's time.
        sessions: the session table (``SessionTable.to_plain``).
    """

    state: TreeState
    applied_index: int
    applied_term: int
    time_milliseconds: int
    sessions: list[list[Any]]


# --- writing ---


def write_chunks(snapshot: Snapshot) -> Iterator[bytes]:
    """Give the chunks of a snapshot, each made when asked for.

    The state is immutable, so this may go on in another thread while the machine does.
    """
    header = [
        _HEADER,
        FORMAT_VERSION,
        snapshot.applied_index,
        snapshot.applied_term,
        snapshot.time_milliseconds,
    ]
    checksum = 0
    for records in _batches(header, snapshot):
        body = pack(records)
        checksum = zlib.crc32(body, checksum)
        yield checksum.to_bytes(_CRC_BYTES, "big") + body


def _batches(header: list[Any], snapshot: Snapshot) -> Iterator[list[Any]]:
    """Gather records into chunks of bounded work."""
    yield [header]
    records: list[Any] = []
    cost = size = 0
    root = snapshot.state.root
    watchers: list[tuple[Names, KeepWhile]] = []
    for record, weight in _family_records(root, watchers):
        # Without a record this is a rest while a large family is put in order.
        if record is not None:
            records.append(record)
            cost += len(record[2]) + _FAMILY_COST
            size += weight
        if record is None or cost >= CHUNK_NODES or size >= CHUNK_BYTES:
            yield records
            records = []
            cost = size = 0
    records.append([_ROOT, root.payload, root.payload_version, root.child_list_version])
    yield records
    yield from _in_tens([_KEEP_WHILE, list(path), _watches_to_plain(it)] for path, it in watchers)
    yield from _in_tens([_SESSION, session] for session in snapshot.sessions)
    yield [[_END]]


def _in_tens(records: Iterable[list[Any]]) -> Iterator[list[Any]]:
    records = iter(records)
    while batch := list(islice(records, 10)):
        yield batch


class _Frame:
    """A node whose families are being written."""

    __slots__ = ("children", "inner", "left", "names", "nodes", "parts", "path", "started")

    def __init__(self, path: Names, children: Mapping[str, TreeNode]) -> None:
        self.path = path
        self.children = children
        self.left = len(children)
        self.parts = _parts_in_order(children)
        self.names: list[str] = []
        self.nodes: list[TreeNode] = []
        self.inner: list[int] = []  # positions whose own families come first, last one first
        self.started = False


def _family_records(
    root: TreeNode, watchers: list[tuple[Names, KeepWhile]]
) -> Iterator[tuple[list[Any] | None, int]]:
    """Give each family's records with their approximate size, or None for a rest.

    Args:
        root: the tree.
        watchers: nodes met with keep-while conditions are added here.
    """
    stack = [_Frame((), root.children)] if root.children else []
    while stack:
        frame = stack[-1]
        if frame.inner:
            position = frame.inner.pop()
            path = (*frame.path, frame.names[position])
            stack.append(_Frame(path, frame.nodes[position].children))
            continue
        if frame.names:
            yield _family_record(frame, watchers)
            frame.names = []
        if not frame.left:
            stack.pop()
            continue
        names = next(frame.parts)
        if names is None:
            yield None, 0
            continue
        children = frame.children
        frame.names = names
        frame.nodes = nodes = [children[name] for name in names]
        frame.inner = [at for at in range(len(nodes) - 1, -1, -1) if nodes[at].size > 1]
        frame.left -= len(names)


def _family_record(
    frame: _Frame, watchers: list[tuple[Names, KeepWhile]]
) -> tuple[list[Any], int]:
    """Give the record of one family, or of a part of a large one."""
    names = frame.names
    nodes = frame.nodes
    flags = (0 if frame.started else _FIRST_PART) | (0 if frame.left else _LAST_PART)
    frame.started = True
    payloads = [node.payload for node in nodes]
    payload_versions = [node.payload_version for node in nodes]
    child_list_versions = [node.child_list_version for node in nodes]
    inner = [at for at, node in enumerate(nodes) if node.size > 1]
    kept = [at for at, node in enumerate(nodes) if node.keep_while is not None]
    implicit: list[int] = []
    for at in kept:
        keep_while = nodes[at].keep_while
        if keep_while is IMPLICIT:
            implicit.append(at)
        elif keep_while is not None:
            watchers.append(((*frame.path, names[at]), keep_while))
    size = sum(map(len, filter(None, payloads))) + 16 * len(names)
    record = [
        _FAMILY,
        flags,
        names,
        payloads,
        _unless_all_one(payload_versions),
        _unless_all_one(child_list_versions),
        inner,
        implicit,
    ]
    return record, size


def _unless_all_one(versions: list[int]) -> list[int] | None:
    return None if versions.count(1) == len(versions) else versions


def _parts_in_order(children: Mapping[str, TreeNode]) -> Iterator[list[str] | None]:
    """Give the names of a family in parts, in an order that depends on the names alone.

    To sort a million names at once would stop everything for a second. Large families are
    therefore dealt into buckets by a checksum of the name, some hundred at a time with a rest
    (None) in between, and each bucket is sorted when its turn comes.
    """
    if len(children) <= _SORTED_AT_ONCE:
        names = sorted(children)
        yield from _cut(names, children)
        return
    mask = (1 << (len(children) // _BUCKET_SIZE).bit_length()) - 1
    buckets: defaultdict[int, list[str]] = defaultdict(list)
    unsorted = iter(children)
    while some := list(islice(unsorted, _SORTED_AT_ONCE)):
        for name in some:
            buckets[zlib.crc32(name.encode()) & mask].append(name)
        yield None
    for number in range(mask + 1):
        bucket = buckets.pop(number, None)
        if bucket is not None:
            bucket.sort()
            yield from _cut(bucket, children)


def _cut(names: list[str], children: Mapping[str, TreeNode]) -> Iterator[list[str]]:
    """Cut a list of names so that no part is too much for a chunk, large payloads included."""
    part: list[str] = []
    size = 0
    for name in names:
        payload = children[name].payload
        weight = len(payload) if payload is not None else 0
        if part and (len(part) >= CHUNK_NODES or size + weight > CHUNK_BYTES):
            yield part
            part = []
            size = 0
        part.append(name)
        size += weight
    if part:
        yield part


def _watches_to_plain(keep_while: KeepWhile) -> list[Any]:
    return [
        [[component_to_plain(part) for part in pattern], component_to_plain(condition)]
        for pattern, condition in keep_while.watches
    ]


# --- reading ---


def read_chunks(chunks: Iterable[bytes]) -> Snapshot:
    """Build the state back. Memory beside the state itself stays at a few chunks.

    While a large tree is built the garbage collector finds nothing to collect and a lot to look
    at; callers switch it off meanwhile and freeze afterwards.

    Args:
        chunks: what `write_chunks` gave, in order.

    Raises:
        DataCorruptionError: the chunks are not those of a whole snapshot.
        UnknownFormatError: they are of a format this release does not know.
    """
    reader = _Reader()
    take_family = reader.take_family
    try:
        for records in _checked(chunks):
            for record in records:
                if len(record) == _FAMILY_LENGTH:
                    take_family(*record)
                else:
                    reader.take(record)
        return reader.finish()
    except (EncodingError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise DataCorruptionError(
            f"the snapshot is damaged: {error}", path=None, offset=None, reason=str(error)
        ) from error


def _checked(chunks: Iterable[bytes]) -> Iterator[list[Any]]:
    checksum = 0
    for chunk in chunks:
        body = memoryview(chunk)[_CRC_BYTES:]
        checksum = zlib.crc32(body, checksum)
        if int.from_bytes(chunk[:_CRC_BYTES], "big") != checksum:
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
        self._header: list[Any] = []
        self._stack: list[tuple[_Children, int]] = []
        self._root: TreeNode | None = None
        self._index = EMPTY_INDEX
        self._sessions: list[list[Any]] = []
        self._ended = False

    def take(self, record: list[Any]) -> None:
        """Take one record in."""
        kind = record[0]
        if kind == _HEADER:
            self._take_header(*record[1:])
        elif not self._header or self._ended:
            raise ValueError("it has records before its header or after its end")
        elif kind == _ROOT:
            self._take_root(*record[1:])
        elif kind == _KEEP_WHILE:
            self._take_keep_while(*record[1:])
        elif kind == _SESSION:
            self._sessions.append(record[1])
        elif kind == _END:
            self._ended = True
        else:
            raise ValueError(f"unknown record {kind!r:.40}")

    def finish(self) -> Snapshot:
        """Give what was built."""
        if not self._ended or self._root is None:
            raise ValueError("it has no end")
        index, term, time_milliseconds = self._header
        state = TreeState(self._root, self._index)
        return Snapshot(state, index, term, time_milliseconds, self._sessions)

    def _take_header(self, version: int, *header: int) -> None:
        if version != FORMAT_VERSION:
            raise UnknownFormatError(
                f"snapshot format {version!r:.40} is unknown", path=None, version=version
            )
        if self._header:
            raise ValueError("it has two headers")
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
        if kind != _FAMILY or not self._header:
            raise ValueError("it has a family where none can be")
        columns = Columns(names, payloads, payload_versions, child_list_versions)
        size = len(names)
        stack = self._stack
        before: _Children | None = None
        size_before = 0
        if not flags & _FIRST_PART:
            before, size_before = stack.pop() if not inner else stack.pop(-len(inner) - 1)
        children: _Children
        if inner or implicit or isinstance(before, dict) or size + size_before > LARGEST:
            children, size = self._made(columns, inner, implicit)
            if before is not None:
                children = _joined(before, children)
            if flags & _LAST_PART:
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

    def _take_keep_while(self, names: list[str], plain: list[Any]) -> None:
        """Give a node its conditions; it is still ours alone and may be changed in place."""
        node = self._root
        for name in names:
            assert node is not None
            node = node.children[name]
        assert node is not None
        keep_while = KeepWhile(
            tuple(
                Watch(
                    resolve_path([component_from_plain(part) for part in pattern]),
                    component_from_plain(condition),
                )
                for pattern, condition in plain
            )
        )
        node.keep_while = keep_while
        self._index = self._index.with_watcher(tuple(names), keep_while)
