"""Who watches a simulation: called at every turn of every member, and may look everywhere.

The base class does nothing. Checkers, marks and recorders derive from it; they must change
nothing and draw no random number, so that a run is the same with and without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.actors.procedures import TriggerEvent
    from khepri.errors import StorageError
    from khepri.log.interface import Append, RecoveredStore
    from khepri.machine.machine import Applied
    from khepri.raft.effects import Effect
    from khepri.raft.events import Event
    from khepri.raft.types import Entry, HardState, SnapshotMeta

    from .simulation_calls import SimulatedEventHandler
    from .simulation_node import SimulatedNode
    from .simulation_operation import Operation
    from .simulation_server import SimulatedServer


class Observer:
    """Sees everything, does nothing."""

    def recovered(self, server: SimulatedServer, stored: RecoveredStore) -> None:
        """A server was made from what is on disk; its first step follows."""

    def stepped(
        self, server: SimulatedServer, events: Sequence[Event], effects: Sequence[Effect]
    ) -> None:
        """A core took a step and its effects were executed."""

    def persisted(self, server: SimulatedServer, hard_state: HardState) -> None:
        """Term and vote are durable."""

    def log_written(self, node: SimulatedNode, appends: Sequence[Append]) -> None:
        """These appends are durable."""

    def snapshot_durable(self, node: SimulatedNode, meta: SnapshotMeta) -> None:
        """A snapshot is durable."""

    def applied(self, server: SimulatedServer, entry: Entry, applied: Applied | None) -> None:
        """A machine has applied an entry; None if it was not one of commands."""

    def installed(self, server: SimulatedServer, meta: SnapshotMeta) -> None:
        """A server's machine was replaced by one from a snapshot."""

    def ended(self, server: SimulatedServer) -> None:
        """A server's life is over."""

    def damaged(self, node: SimulatedNode, error: StorageError) -> None:
        """A node's files are refused as damaged."""

    def invoked(self, operation: Operation) -> None:
        """A client begins an operation."""

    def answered(self, operation: Operation) -> None:
        """A client's operation has an outcome, known or unknown."""

    def called(
        self, handler: SimulatedEventHandler, node: SimulatedNode, event: TriggerEvent
    ) -> None:
        """A call that a trigger asks for is made; the handler's life is one of an actor."""

    def fault(self, kind: str) -> None:
        """Something bad was done."""
