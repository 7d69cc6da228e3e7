"""I7, I10, I11 and the session guarantees: what machines answer and clients see.

The first machine that applies an entry has the model replay it; every machine's results are
compared with the model's, and with the first machine's byte by byte. A client's operations are
checked against the model and against real time, by the log index each took effect at: the
witness order, which is checked and not trusted (ecosystem §4.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.machine.replies import is_error
from khepri.machine.sessions import GroupStatus
from khepri.raft.types import EntryKind
from khepri.testing.simulation_observer import Observer
from tests.sim.model import Model
from tests.sim.violation import ViolationError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from khepri.log.interface import RecoveredStore
    from khepri.machine.machine import Applied
    from khepri.machine.replies import Reply
    from khepri.machine.tree import TreeNode
    from khepri.raft.types import Entry, SnapshotMeta
    from khepri.testing.simulation_operation import Operation
    from khepri.testing.simulation_server import SimulatedServer

Result = tuple[int, int, GroupStatus, "Sequence[Reply]"]
_STATUS = {
    GroupStatus.APPLIED: "applied",
    GroupStatus.GAP: "gap",
    GroupStatus.SESSION_EXPIRED: "expired",
}


def payloads_of(root: TreeNode) -> dict[tuple[str, ...], tuple[bytes, int]]:
    """Give every payload of a tree with its version."""
    found: dict[tuple[str, ...], tuple[bytes, int]] = {}
    waiting: list[tuple[tuple[str, ...], TreeNode]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        if node.payload is not None:
            found[path] = (node.payload, node.payload_version)
        waiting.extend(((*path, name), child) for name, child in node.children.items())
    return found


class ClientChecker(Observer):
    """The books about machines and clients of one run."""

    def __init__(self, marks: Counter[str]) -> None:
        self.model = Model(marks)
        self.history: list[Operation] = []
        self.floor = 0
        self._results: dict[int, list[Result]] = {}
        self._local: dict[SimulatedServer, int] = {}

    # --- machines

    def applied(self, server: SimulatedServer, entry: Entry, applied: Applied | None) -> None:
        if entry.kind is not EntryKind.COMMANDS:
            self.model.seen_up_to(entry.index)
            return
        assert applied is not None
        found = [(g.session_id, g.first_sequence, g.status, g.replies) for g in applied.groups]
        first = self._results.get(entry.index)
        if first is None:
            self._results[entry.index] = found
            self._compare_with_model(entry, found)
        elif first != found:
            raise ViolationError(
                f"I7: {server.node.name} answers {entry.index} with {found!r:.150},"
                f" another member with {first!r:.150}"
            )

    def _compare_with_model(self, entry: Entry, found: list[Result]) -> None:
        self.model.seen_up_to(entry.index)
        expected = self.model.replay(entry)
        for (session_id, first, status, replies), wanted in zip(found, expected, strict=True):
            outcomes = wanted[3]
            if (session_id, first, _STATUS[status]) != wanted[:3]:
                raise ViolationError(f"I10: {entry.index} gives {found!r:.100}, expected {wanted}")
            if outcomes is None:
                continue
            got = [not is_error(reply) for reply in replies]
            acknowledged = [reply is None for reply in replies]
            for one, right, is_gone in zip(got, outcomes, acknowledged, strict=True):
                if one != right and not is_gone:  # an acknowledged reply is no more
                    raise ViolationError(
                        f"I7: {entry.index} gives {replies!r:.200}, expected {outcomes}"
                    )

    def installed(self, server: SimulatedServer, meta: SnapshotMeta) -> None:
        self.model.seen_up_to(meta.index)
        self._compare_tree(server)

    def recovered(self, server: SimulatedServer, stored: RecoveredStore) -> None:
        del stored
        self._compare_tree(server)

    def ended(self, server: SimulatedServer) -> None:
        self._local.pop(server, None)

    def _compare_tree(self, server: SimulatedServer) -> None:
        view = server.machine.view
        found, expected = payloads_of(view.root), self.model.tree_at(view.index)
        if found != expected:
            raise ViolationError(
                f"I7: the tree of {server.node.name} at {view.index} differs from the model's in"
                f" {sorted(set(found.items()) ^ set(expected.items()))!r:.300}"
            )

    # --- clients

    def invoked(self, operation: Operation) -> None:
        operation.floor = self.floor
        if operation.data is not None:
            self.model.commands[operation.data] = operation

    def answered(self, operation: Operation) -> None:
        status, data = operation.status, operation.data
        if status == "refused":
            if data is not None and data in self.model.applied_at:
                raise ViolationError(f"I10: operation {operation.number} is refused and applied")
            return
        if status == "unknown":
            return
        if data is None:
            self._read(operation)
        else:
            self._written(operation, data)
        if operation.kind != "local":
            self.history.append(operation)
            self.floor = max(self.floor, operation.index)

    def _written(self, operation: Operation, data: bytes) -> None:
        index = self.model.applied_at.get(data)
        if index is None:
            raise ViolationError(f"I10: operation {operation.number} is acknowledged, not applied")
        if self.model.succeeded[data] != (operation.status == "ok"):
            raise ViolationError(
                f"I10: operation {operation.number} is answered {operation.status}"
            )
        if index <= operation.floor:
            raise ViolationError(
                f"I11: operation {operation.number} takes effect at {index}, before one at"
                f" {operation.floor} that was over when it began"
            )
        operation.index = index
        server = operation.server
        if server is not None and not server.is_over:
            view = server.node.access.view
            if view is None or view.index < index:
                raise ViolationError(f"I11: {server.node.name} acknowledges what it does not show")
            self._local[server] = max(self._local.get(server, 0), index)

    def _read(self, operation: Operation) -> None:
        server, index = operation.server, operation.index
        assert server is not None
        if operation.kind == "read" and index < operation.floor:
            raise ViolationError(
                f"I11: read {operation.number} sees {index}, {operation.floor} was over before"
            )
        if index < self._local.get(server, 0):
            raise ViolationError(
                f"I11: {server.node.name} shows {index} after {self._local[server]}"
            )
        self._local[server] = index
        expected, _ = self.model.at(("k", operation.key), index)
        if operation.seen != expected:
            raise ViolationError(
                f"I11: read {operation.number} of {operation.key} at {index} sees"
                f" {operation.seen!r:.60} instead of {expected!r:.60}"
            )
