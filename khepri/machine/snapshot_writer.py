"""A machine's state to chunks of bytes, in the form of ``snapshot_format.py``.

Each chunk is small (about 64 KiB or 256 nodes, a fifth of a millisecond of work) and is made when
it is asked for, so that whoever writes a snapshot can rest in between.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from khepri.encoding import pack

from .condition_codec import component_to_plain
from .keep_while import IMPLICIT
from .snapshot_format import (
    ACTION,
    CRC_BYTES,
    END,
    FAMILY,
    FIRST_PART,
    FORMAT_VERSION,
    HEADER,
    KEEP_WHILE,
    LAST_PART,
    NEXT_ACTION,
    ROOT,
    SESSION,
    TRIGGER,
    WITHOUT_TRIGGERS,
    Snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .keep_while import KeepWhile
    from .tree import Names, TreeNode
    from .triggers import Triggers

CHUNK_BYTES: Final = 64 * 1024
CHUNK_NODES: Final = 256
_FAMILY_COST: Final = 6  # in nodes: what a family costs beside its members
_SORTED_AT_ONCE: Final = 512
_BUCKET_SIZE: Final = 128


def write_chunks(snapshot: Snapshot) -> Iterator[bytes]:
    """Give the chunks of a snapshot, each made when asked for.

    The state is immutable, so this may go on in another thread while the machine does.
    """
    has_triggers = snapshot.state.triggers.are_to_be_kept
    header = [
        HEADER,
        FORMAT_VERSION if has_triggers else WITHOUT_TRIGGERS,
        snapshot.applied_index,
        snapshot.applied_term,
        snapshot.time_milliseconds,
    ]
    checksum = 0
    for records in _batches(header, snapshot):
        body = pack(records)
        checksum = zlib.crc32(body, checksum)
        yield checksum.to_bytes(CRC_BYTES, "big") + body


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
    records.append([ROOT, root.payload, root.payload_version, root.child_list_version])
    yield records
    yield from _in_tens(_keep_while_record(path, it) for path, it in watchers)
    yield from _in_tens([SESSION, session] for session in snapshot.sessions)
    if snapshot.state.triggers.are_to_be_kept:
        yield from _in_tens(_trigger_records(snapshot.state.triggers))
    yield [[END]]


def _trigger_records(triggers: Triggers) -> Iterator[list[Any]]:
    yield [NEXT_ACTION, triggers.next_number]
    for trigger_id, (pattern, kinds, priority, path) in sorted(triggers.by_id.items(), key=_key):
        plain = [component_to_plain(part) for part in pattern]
        yield [TRIGGER, trigger_id, plain, kinds, priority, list(path)]
    for number, (trigger_id, procedure, path, kind) in sorted(triggers.actions.items()):
        yield [ACTION, number, trigger_id, procedure, list(path), kind]


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
    flags = (0 if frame.started else FIRST_PART) | (0 if frame.left else LAST_PART)
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
        FAMILY,
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


def _keep_while_record(path: Names, keep_while: KeepWhile) -> list[Any]:
    watches = [
        [[component_to_plain(part) for part in pattern], component_to_plain(condition)]
        for pattern, condition in keep_while.watches
    ]
    expiry = keep_while.expiry or (None, None)
    return [KEEP_WHILE, list(path), watches, *expiry, keep_while.is_implicit]


def _key(item: tuple[str, object]) -> str:
    return item[0]
