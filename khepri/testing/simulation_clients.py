"""Simulated clients: each does one operation after the other on the store of its node.

A client gives up when its patience ends; the command may be applied all the same, later. Every
written value is unique, so that it can be told which write a read has seen, and how often a
command was applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.machine import commands
from khepri.machine.paths import Path
from khepri.machine.replies import is_error
from khepri.machine.values import encode_value
from khepri.raft.effects import Rejected
from khepri.raft.events import ReadRequest

from .simulation_server import Command, Outcome

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from khepri.machine.tree import TreeNode

    from .simulation import Simulation
    from .simulation_node import SimulatedNode
    from .simulation_server import SimulatedServer

KINDS = ("put",) * 8 + ("read",) * 5 + ("local",) + ("cas",) * 3 + ("create", "update", "delete")

_PAUSES = 0.05
_LONG_PAUSES = 0.004
"""How often a thread that reads stands still between two lines, and how often for long."""


def key_path(key: str) -> Path:
    """Give the path of a key."""
    return Path(("k", key))


def payload_at(root: TreeNode, key: str) -> bytes | None:
    """Give the payload of a key in a tree; None if there is none."""
    folder = root.children.get("k")
    node = folder.children.get(key) if folder is not None else None
    return None if node is None else node.payload


class Operation:
    """One operation of one client: also the ticket it is answered through.

    Attributes:
        number: counts all operations of a run.
        node: the node it is done on.
        kind: put, create, update, delete, cas, read (linearizable) or local.
        key: of what.
        data: the bytes of the command; unique. None for reads.
        payload: what is written.
        path: where it is written: the key's, but a delete leaves a note elsewhere.
        expected: the payload a cas wants to find.
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
        "path",
        "payload",
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


class Client:
    """Somebody who uses the store of one node."""

    def __init__(
        self,
        world: Simulation,
        node: SimulatedNode,
        randomness: random.Random,
        *,
        only_reads: bool = False,
    ) -> None:
        """Make a client; `next` has it begin."""
        self._kinds = ("read",) if only_reads else KINDS
        self.world = world
        self.node = node
        self._random = randomness
        self._known: dict[str, object] = {}
        self.successes = 0

    def next(self) -> None:
        """Do the next operation, or wait for the node to be there."""
        server, random = self.node.server, self._random
        if server is None or self.node.access.view is None or not self.world.clients_run:
            if self.world.clients_run:
                self._pause(0.2)
            return
        key = str(random.randrange(self.world.settings.keys))
        kind = random.choice(self._kinds)
        self.begin("read" if self.world.now < self.world.quiet_until else kind, key)

    def begin(self, kind: str, key: str) -> Operation:
        """Do one operation now; the node has a server."""
        server = self.node.server
        assert server is not None, "the node is up"
        operation = Operation(self, kind, key)
        if kind not in {"read", "local"}:
            self._encode(operation)
        self.world.observer.invoked(operation)
        if kind == "local":
            operation.resolve(None, 0)
            return operation
        self.world.after(self.world.settings.patience_seconds, operation.give_up)
        if operation.data is None:
            self._look_at_the_clock(operation)
        else:
            self.node.later(0.0, server.arrive, Command(operation.data, operation))
        return operation

    # --- linearizable reads, line by line as `StoreAccess.leased_view`

    def _look_at_the_clock(self, operation: Operation) -> None:
        now = self.node.clock_now()
        self._go_on(self._look_at_the_lease, operation, now)

    def _look_at_the_lease(self, operation: Operation, now: float) -> None:
        lease = self.node.access.lease
        if now < lease.until:
            self._go_on(self._look_at_the_tree, operation, lease.commit_index)
        else:
            self._ask(operation)

    def _look_at_the_tree(self, operation: Operation, needed: int) -> None:
        view = self.node.access.view
        if view is not None and view.index >= needed:
            operation.is_leased = True
            operation.resolve(None, 0)
        else:
            self._ask(operation)

    def _ask(self, operation: Operation) -> None:
        server = self.node.server
        if server is not None:
            self.node.later(0.0, server.arrive, ReadRequest(operation))

    def _go_on(self, line: Callable[..., None], *arguments: object) -> None:
        """Go on with the next line: at once as a rule, but a thread may stand still anywhere."""
        luck = self._random.random()
        seconds = 0.0
        if luck < _PAUSES:
            seconds = self._random.random() * (1.5 if luck < _LONG_PAUSES else 0.003)
        seconds = max(seconds, self.node.suspended_until - self.world.now)
        if seconds > 0:
            self.node.later(seconds, line, *arguments)
        else:
            line(*arguments)

    # --- writes

    def _encode(self, operation: Operation) -> None:
        path = operation.path
        value: list[object] = [operation.number]
        if self._random.random() < 0.1:  # noqa: PLR2004 - one in ten
            value.append("x" * self._random.randrange(900))
        payload = operation.payload = encode_value(value)
        match operation.kind:
            case "put":
                operation.data = commands.encode_put(path, payload)
            case "create":
                operation.data = commands.encode(commands.create(path, payload))
            case "update":
                operation.data = commands.encode(commands.update(path, payload))
            case "cas":
                expected = self._known.get(operation.key, 0)
                operation.expected = encode_value(expected)
                one = commands.compare_and_swap(path, expected, payload)
                operation.data = commands.encode(one)
            case _:
                operation.path = Path(("notes", f"{self.node.name}-{self._random.randrange(3)}"))
                parts = [commands.delete(path), commands.put(operation.path, payload)]
                operation.data = commands.encode(commands.batch(parts))
        self._known[operation.key] = value

    def answered(self, operation: Operation) -> None:
        """Take note of an outcome and go on after a pause."""
        operation.answered_at = self.world.now
        if operation.status == "ok":
            self.successes += 1
            self.world.successes += 1
        self.world.observer.answered(operation)
        self._pause(self._random.random() * self.world.settings.think_seconds)

    def _pause(self, seconds: float) -> None:
        if self.world.clients_run:
            self.world.after(seconds, self.next)
