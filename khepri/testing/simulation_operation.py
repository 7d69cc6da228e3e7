"""One operation of one simulated client, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.machine.paths import Path
from khepri.machine.replies import is_error
from khepri.raft.effects import Rejected

from .simulation_server import Outcome
from .simulation_transactions import payload_at
from .simulation_workload import KEYS

if TYPE_CHECKING:
    from .simulation_clients import Client
    from .simulation_node import SimulatedNode
    from .simulation_server import SimulatedServer
    from .simulation_workload import Part


def key_path(key: str) -> Path:
    """Give the path of a key."""
    return Path((KEYS, key))


class Operation:
    """One operation of one client: also the ticket it is answered through.

    Attributes:
        number: counts all operations of a run.
        node: the node it is done on.
        kind: put, create, update, delete, cas, read (linearizable) or local; or one of
            `simulation_workload.kinds_for`.
        key: of what.
        data: the bytes of the command; unique. None for reads.
        payload: what is written.
        path: where it is written: the key's, but a delete leaves a note elsewhere.
        expected: the payload a cas wants to find.
        parts: what a command of several parts does, but a delete.
        reads: what a transaction has read: keys with their payloads, None if not there.
        floor: the highest index of any operation that was answered before this one began.
        invoked_at: when it began.
        answered_at: when it was answered.
        status: pending, ok, failed (by its condition), refused (did not happen), unknown.
        index: the log index it took effect at, or was read at.
        seen: the payload a read has found.
        is_leased: whether it was read by the lease.
        server: who answered.
    """

    __slots__ = (
        "answered_at",
        "client",
        "data",
        "expected",
        "floor",
        "index",
        "invoked_at",
        "is_leased",
        "key",
        "kind",
        "node",
        "number",
        "parts",
        "path",
        "payload",
        "reads",
        "seen",
        "server",
        "status",
    )

    def __init__(self, client: Client, kind: str, key: str) -> None:
        """Begin an operation."""
        world = client.world
        world.operations += 1
        self.number = world.operations
        self.client = client
        self.node: SimulatedNode = client.node
        self.server: SimulatedServer | None = client.node.server
        self.kind = kind
        self.key = key
        self.data: bytes | None = None
        self.payload: bytes | None = None
        self.path = key_path(key)
        self.expected: bytes | None = None
        self.parts: list[Part] = []
        self.reads: dict[str, bytes | None] = {}
        self.floor = 0
        self.invoked_at = world.now
        self.answered_at = 0.0
        self.status = "pending"
        self.index = 0
        self.seen: bytes | None = None
        self.is_leased = False

    def resolve(self, answer: object, index: int) -> None:
        """Take the answer, unless nobody waits for it any more."""
        if self.status != "pending":
            return
        self.index = index
        if isinstance(answer, Outcome):
            self.status = "refused" if answer.is_definite else "unknown"
        elif isinstance(answer, Rejected):
            self.status = "refused"
        elif self.data is None:
            view = self.node.access.view
            assert view is not None
            self.index, self.seen = view.index, payload_at(view.root, self.key)
            self.status = "ok"
        else:
            self.status = "failed" if is_error(answer) else "ok"  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # all others are replies
        self.client.answered(self)

    def give_up(self) -> None:
        """Stop waiting."""
        if self.status == "pending":
            self.status = "unknown"
            self.client.answered(self)
