"""A small vocabulary for tests of the machine: one session, operations in, results out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.machine import commands
from khepri.machine.entries import Group, encode_entry
from khepri.machine.machine import Applied, Machine
from khepri.machine.paths import Path, PathPattern, resolve_path
from khepri.machine.properties import property_mask
from khepri.machine.replies import raise_or_return, to_error
from khepri.machine.sessions import NO_SESSION
from khepri.machine.values import decode_value, encode_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.machine.commands import KeepWhileOption, Operation
    from khepri.machine.replies import Reply
    from khepri.machine.tree import Names, TreeNode

ALL = property_mask(["payload", "payload_version", "child_list_version", "delete_reason"])


def value(something: object) -> bytes:
    return encode_value(something)


def path(unix: str) -> Path | PathPattern:
    return resolve_path(unix)


class Origin:
    """One origin with one session, in front of one machine."""

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or Machine()
        self.log: list[bytes] = []
        self.time_milliseconds = 1_000
        self.next_sequence = 1
        self.last: Applied | None = None
        self.session_id = self.open_session()

    def open_session(self) -> int:
        command = commands.encode(commands.open_session(b"origin"))
        applied = self.append(Group(NO_SESSION, 0, 0, [command]))
        token, session_id = raise_or_return(applied.groups[0].replies[0])
        assert token == b"origin"
        return int(session_id)

    def append(self, *groups: Group) -> Applied:
        """Put groups into one entry and apply it."""
        data = encode_entry(self.time_milliseconds, groups)
        self.log.append(data)
        self.last = self.machine.apply(len(self.log), 1, data)
        return self.last

    def replies(self, *operations: Operation) -> Sequence[Reply]:
        """Send operations as one group."""
        encoded = [commands.encode(operation) for operation in operations]
        sequence = self.next_sequence
        self.next_sequence += len(encoded)
        applied = self.append(Group(self.session_id, sequence, sequence, encoded))
        return applied.groups[0].replies

    def run(self, operation: Operation) -> Any:
        """Send one operation; give what the caller would get, or raise."""
        return raise_or_return(self.replies(operation)[0])

    def told(self, operation: Operation) -> dict[str, dict[str, Any]]:
        """The same, for operations that tell properties: by unix path."""
        return {str(at): properties for at, properties in self.run(operation).items()}

    def put(
        self, unix: str, something: object = None, keep_while: KeepWhileOption | None = None
    ) -> None:
        self.run(commands.put(path(unix), value(something), keep_while=keep_while))

    def put_nothing(self, unix: str, keep_while: KeepWhileOption | None = None) -> None:
        self.run(commands.put(path(unix), None, keep_while=keep_while))

    def delete(self, unix: str) -> None:
        self.run(commands.delete(path(unix)))

    def tree(self) -> dict[str, Any]:
        """Give unix path to value of every node but the root; a node without payload is None."""
        return {
            str(resolve_path(at)): None if node.payload is None else decode_value(node.payload)
            for at, node in nodes(self.machine.view.root).items()
            if at
        }

    def versions(self, unix: str) -> tuple[int, int]:
        node = nodes(self.machine.view.root)[Path(unix)]
        return node.payload_version, node.child_list_version

    def changes(self) -> list[tuple[str, str]]:
        """Give the change events of the last entry, as (kind, unix path)."""
        assert self.last is not None
        return [
            (
                "create" if old is None else "delete" if new is None else "update",
                str(resolve_path(at)),
            )
            for at, old, new, _reason in self.last.changes
        ]

    def reasons(self) -> dict[str, str | None]:
        """Give why nodes were deleted by the last entry, by unix path."""
        assert self.last is not None
        return {
            str(resolve_path(change.path)): change.reason
            for change in self.last.changes
            if change.new is None
        }


def nodes(root: TreeNode) -> dict[Names, TreeNode]:
    """Give every node by path, checking the sizes nodes know on the way."""
    found: dict[Names, TreeNode] = {}
    _collect((), root, found)
    return found


def _collect(at: Names, node: TreeNode, found: dict[Names, TreeNode]) -> int:
    found[at] = node
    size = 1
    for name in sorted(node.children):
        size += _collect((*at, name), node.children[name], found)
    assert node.size == size, f"{at} thinks it has {node.size} nodes, but has {size}"
    return size


def error_of(reply: Reply) -> Exception:
    assert reply is not None
    return to_error(reply)


def snapshot_bytes(machine: Machine) -> bytes:
    return b"".join(machine.snapshot_chunks())
