"""Simulated clients: each does one operation after the other on the store of its node.

A client gives up when its patience ends; the command may be applied all the same, later. Every
written value is unique, so that it can be told which write a read has seen, and how often a
command was applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.machine import commands
from khepri.machine.paths import Path
from khepri.machine.values import encode_value
from khepri.raft.events import ReadRequest

from .simulation_operation import Operation
from .simulation_server import Command
from .simulation_transactions import run_transaction
from .simulation_workload import Part, command_of, kinds_for, parts_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from .simulation import Simulation
    from .simulation_node import SimulatedNode

KINDS = ("put",) * 8 + ("read",) * 5 + ("local",) + ("cas",) * 3 + ("create", "update", "delete")

_PAUSES = 0.05
_LONG_PAUSES = 0.004
"""How often a thread that reads stands still between two lines, and how often for long."""


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
        self._kinds = ("read",) if only_reads else KINDS + kinds_for(world.settings)
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
            case "delete":
                operation.path = self._path_of_note()
                parts = [commands.delete(path), commands.put(operation.path, payload)]
                operation.data = commands.encode(commands.batch(parts))
            case _:
                self._encode_parts(operation, payload)
                return
        self._known[operation.key] = value

    def _path_of_note(self) -> Path:
        return Path(("notes", f"{self.node.name}-{self._random.randrange(3)}"))

    def _encode_parts(self, operation: Operation, payload: bytes) -> None:
        luck, settings, view = self._random, self.world.settings, self.node.access.view
        note = Part("put", self._path_of_note(), encode_value([operation.number, "note"]))
        if operation.kind == "transaction":
            assert view is not None, "clients wait for the tree"
            run = run_transaction(view, operation.key, operation.number, note, luck, settings)
            operation.data, operation.reads, operation.parts = run
        else:
            parts = parts_of(operation.kind, operation.key, payload, luck, settings)
            operation.parts = [*parts, note]
            operation.data = command_of(operation.parts)

    def _again(self, operation: Operation) -> None:
        """Run the function of a transaction again, on what is there now."""
        if self.node.server is None or self.node.access.view is None:
            self._pause(0.2)
        else:
            self.begin(operation.kind, operation.key)

    def answered(self, operation: Operation) -> None:
        """Take note of an outcome and go on after a pause."""
        operation.answered_at = self.world.now
        if operation.status == "ok":
            self.successes += 1
            self.world.successes += 1
        self.world.observer.answered(operation)
        if operation.kind == "transaction" and operation.status == "failed":
            if self.world.clients_run:
                self.world.after(0.0, self._again, operation)
            return
        self._pause(self._random.random() * self.world.settings.think_seconds)

    def _pause(self, seconds: float) -> None:
        if self.world.clients_run:
            self.world.after(seconds, self.next)
