"""All checkers in one observer, and one checked run from a seed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from khepri.testing.simulation import Simulation
from khepri.testing.simulation_observer import Observer
from tests.sim.call_checker import CallChecker
from tests.sim.change_checker import ChangeChecker
from tests.sim.client_checker import ClientChecker
from tests.sim.durability_checker import DurabilityChecker
from tests.sim.marks import Marks
from tests.sim.raft_checker import RaftChecker
from tests.sim.rest_checker import check_rest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.errors import StorageError
    from khepri.log.interface import Append, RecoveredStore
    from khepri.machine.machine import Applied
    from khepri.raft.effects import Effect
    from khepri.raft.events import Event
    from khepri.raft.types import Entry, SnapshotMeta
    from khepri.testing.simulation_fault import Fault
    from khepri.testing.simulation_node import SimulatedNode
    from khepri.testing.simulation_operation import Operation
    from khepri.testing.simulation_server import SimulatedServer
    from khepri.testing.simulation_settings import SimulationSettings


class Checkers(Observer):
    """Hands everything to the checkers, in an order that fits their books."""

    def __init__(self) -> None:
        self.raft = RaftChecker()
        self.durability = DurabilityChecker(self.raft)
        self.marks = Marks()
        self.clients = ClientChecker(self.marks.reached)
        self.calls = CallChecker(self.clients.model.triggers, self.marks.reached)
        self.changes = ChangeChecker(self.clients.model.triggers, self.marks.reached)
        # The hot ones go straight to the only checker that wants them.
        self.persisted = self.raft.persisted  # type: ignore[method-assign]
        self.invoked = self.clients.invoked  # type: ignore[method-assign]
        self.called = self.calls.called  # type: ignore[method-assign]

    def recovered(self, server: SimulatedServer, stored: RecoveredStore) -> None:
        self.durability.recovered(server, stored)
        self.raft.recovered(server, stored)
        self.clients.recovered(server, stored)
        self.calls.recovered(server, stored)
        self.marks.recovered(server, stored)

    def stepped(
        self, server: SimulatedServer, events: Sequence[Event], effects: Sequence[Effect]
    ) -> None:
        self.raft.stepped(server, events, effects)
        self.marks.stepped(server, events, effects)

    def log_written(self, node: SimulatedNode, appends: Sequence[Append]) -> None:
        self.raft.log_written(node, appends)
        self.marks.log_written(node, appends)

    def snapshot_durable(self, node: SimulatedNode, meta: SnapshotMeta) -> None:
        self.raft.snapshot_durable(node, meta)
        self.marks.snapshot_durable(node, meta)

    def applied(self, server: SimulatedServer, entry: Entry, applied: Applied | None) -> None:
        self.raft.applied(server, entry, applied)
        self.clients.applied(server, entry, applied)
        self.calls.applied(server, entry, applied)
        self.changes.applied(server, entry, applied)
        self.marks.applied(server, entry, applied)

    def installed(self, server: SimulatedServer, meta: SnapshotMeta) -> None:
        self.raft.installed(server, meta)
        self.clients.installed(server, meta)
        self.calls.installed(server, meta)
        self.marks.installed(server, meta)

    def ended(self, server: SimulatedServer) -> None:
        self.durability.ended(server)
        self.raft.ended(server)
        self.clients.ended(server)
        self.marks.ended(server)

    def damaged(self, node: SimulatedNode, error: StorageError) -> None:
        self.durability.damaged(node, error)
        self.marks.damaged(node, error)

    def answered(self, operation: Operation) -> None:
        self.clients.answered(operation)
        self.marks.answered(operation)

    def fault(self, kind: str) -> None:
        self.calls.fault(kind)
        self.marks.fault(kind)


class Run(NamedTuple):
    """What is left of a checked run that held."""

    world: Simulation
    marks: Marks
    searched_keys: int


def run_checked(
    seed: int,
    settings: SimulationSettings | None = None,
    faults: Sequence[Fault] | None = None,
    *,
    checkers: Checkers | None = None,
) -> Run:
    """Do a run with all checkers.

    Raises:
        AssertionError: a checker's, the simulator's, or one of the product's own asserts.
    """
    observer = checkers or Checkers()
    world = Simulation(seed, settings, observer, faults)
    logger = logging.getLogger("khepri")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # thousands of disks fail here
    try:
        world.run()
    finally:
        logger.setLevel(level)
    searched = check_rest(world, observer.raft, observer.clients, observer.calls)
    return Run(world, observer.marks, searched)
