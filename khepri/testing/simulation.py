"""A whole cluster in one thread, from one seed: real core, machine and log code, simulated world.

    simulation = Simulation(seed=7)
    simulation.run()
    print(simulation.trace_digest, simulation.steps)

The same seed gives the same run, event by event, byte by byte, on every machine: nothing here
reads a clock, a file or a global generator, and nothing depends on the order of a hash.

A run has two phases. First faults happen while clients work; an `Observer` that checks safety
looks on. Then everything is healed, and the cluster must become well again within a bound of
virtual time: a leader, every member equal, a write through every member. `NoProgressError` says
it did not.

Here are the clock, the queue of events and the two phases. What nodes do is in
`simulation_node.py`, what goes wrong in `simulation_faults.py`.
"""

from __future__ import annotations

import hashlib
import random
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from khepri.raft.events import TriggerElection
from khepri.raft.types import Configuration, Member, MemberKind, Role

from .simulation_calls import register_procedures
from .simulation_clients import Client
from .simulation_faults import FaultInjector, plan_faults
from .simulation_network import Envelope, NetworkConditions, SimulatedNetwork
from .simulation_node import NEWEST_VERSION, SimulatedNode
from .simulation_observer import Observer
from .simulation_operator import Operator, Wish
from .simulation_settings import SimulationSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.raft.events import Event

    from .simulation_fault import Fault
    from .simulation_operation import Operation
    from .simulation_server import SimulatedServer

_PACKAGE_OF_LINES = 512
_LOOK_SECONDS = 0.25


class NoProgressError(AssertionError):
    """The cluster did not become well again within the bound."""


class Simulation:
    """One run.

    Attributes:
        seed: what everything comes from.
        settings: how large and how bad.
        observer: who looks on.
        now: the virtual time in seconds.
        steps: how many events have happened.
        nodes: by name.
        network: between them.
        operator: who changes the members.
        random: for what is nobody's in particular.
        operations: how many operations clients have begun.
        successes: how many of them succeeded.
        clients_run: whether clients begin new operations.
        quiet_until: before, clients only read.
        is_healed: whether the first phase is over.
        fault_counts: how often each kind of fault was injected.
    """

    def __init__(
        self,
        seed: int,
        settings: SimulationSettings | None = None,
        observer: Observer | None = None,
        faults: Sequence[Fault] | None = None,
    ) -> None:
        """Make the cluster; nothing happens yet.

        Args:
            seed: any number.
            settings: those drawn from the seed if left out.
            observer: nobody if left out.
            faults: the schedule planned from the seed if left out.
        """
        self.seed = seed
        self.settings = settings or SimulationSettings.draw(seed)
        self.observer = observer or Observer()
        self.faults = plan_faults(seed, self.settings) if faults is None else list(faults)
        self.now = 0.0
        self.steps = 0
        self.operations = 0
        self.successes = 0
        self.clients_run = True
        self.quiet_until = 0.0
        self.is_healed = False
        self.fault_counts: dict[str, int] = {}
        self.random = random.Random(f"{seed}/world")
        self.nobody = _Nobody()
        self._lost_disk: SimulatedNode | None = None
        self._queue: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._planned = 0
        self._lines: list[str] = []
        self._digest = hashlib.sha256()
        self.network = SimulatedNetwork(
            random.Random(f"{seed}/network"), self.after, self._deliver
        )
        count = self.settings.members + self.settings.spare_nodes
        self.nodes = {name: SimulatedNode(self, name) for name in "ABCDEFGHI"[:count]}
        self.operator = Operator(self)
        self._injector = FaultInjector(self)
        self._clients = [
            Client(
                self,
                node,
                random.Random(f"{seed}/{node.name}/client {number}"),
                only_reads=number < self.settings.readers,
            )
            for node in self.nodes.values()
            for number in range(self.settings.clients_per_node)
        ]

    # --- events

    def at(self, time: float, action: Callable[..., object], *arguments: object) -> None:
        """Plan an event."""
        self._planned += 1
        heappush(self._queue, (time, self._planned, action, arguments))

    def after(self, seconds: float, action: Callable[..., object], *arguments: object) -> None:
        """Plan an event some time from now."""
        self._planned += 1
        heappush(self._queue, (self.now + seconds, self._planned, action, arguments))

    def run_until(self, time: float) -> None:
        """Let everything happen that is planned up to a point in time."""
        queue = self._queue
        while queue and queue[0][0] <= time:
            self.now, _, action, arguments = heappop(queue)
            self.steps += 1
            action(*arguments)
        self.now = time

    def _deliver(self, envelope: Envelope) -> None:
        self.nodes[envelope.receiver].receive(envelope)

    # --- the trace

    def trace_step(self, server: SimulatedServer, events: Sequence[Event]) -> None:
        """Write a line about a core's step."""
        core = server.core
        names = " ".join([one.__class__.__name__ for one in events])
        self._lines.append(
            f"{self.now!r} {server.node.name} {names} {core.role.value} {core.term}"
            f" {core.last_index} {core.last_written} {core.commit_index}\n"
        )
        if len(self._lines) >= _PACKAGE_OF_LINES:
            self._flush_lines()

    def note(self, kind: str) -> None:
        """Write a line about something that happens to the world."""
        self._lines.append(f"{self.now!r} {kind}\n")
        self.observer.fault(kind)

    def _flush_lines(self) -> None:
        self._digest.update("".join(self._lines).encode())
        self._lines.clear()

    @property
    def trace_digest(self) -> str:
        """The hash of the whole trace, and of everything on all disks now."""
        self._flush_lines()
        digest = self._digest.copy()
        for node in self.nodes.values():
            for path, data in sorted(node.disk.contents().items()):
                digest.update(path.encode())
                digest.update(data)
        return digest.hexdigest()

    # --- questions

    def leader(self) -> SimulatedServer | None:
        """Give the leader of the highest term, if any server leads."""
        leaders = [
            node.server
            for node in self.nodes.values()
            if node.server is not None and node.server.core.role is Role.LEADER
        ]
        return max(leaders, key=lambda server: server.core.term, default=None)

    @property
    def is_disk_lost(self) -> bool:
        """Whether a node's disk is gone, or not to be trusted, and not yet replaced."""
        node, leader = self._lost_disk, self.leader()
        if node is None:
            return False
        member = leader.core.configuration.find(node.server_id) if leader is not None else None
        is_back = (
            member is not None
            and node.is_up
            and not node.disk.is_rotten
            and member.uid == node.uid
            and member.kind is MemberKind.VOTER
            and leader is not None
            and leader.core.commit_index >= leader.core.last_index
        )
        if is_back:
            self._lost_disk = None
        return not is_back

    # --- what nodes and faults report

    def lost_disk(self, node: SimulatedNode) -> None:
        """A node's disk is gone, or has rotten bits: see to it that its member is replaced.

        A rotten disk is replaced in any case: bits that nothing has read yet may be wrong.
        """
        self._lost_disk = node
        self.after(0.5 + self.random.random() * 4, self._replace, node)

    def _replace(self, node: SimulatedNode) -> None:
        if node.disk.is_rotten or node.needs_wipe:
            if node.is_up:
                node.die(power_loss=False)
            node.life += 1
            node.wipe()
        self.operator.want(Wish("add", node.name))

    def crashed_inside(self, node: SimulatedNode) -> None:
        """A process died in the middle of a disk operation."""
        self.note("died_inside")
        self.after(0.05 + self.random.random() * 2, node.start)

    # --- the two phases

    def run(self) -> None:
        """Do the whole run.

        Raises:
            NoProgressError: the cluster did not recover.
        """
        register_procedures()
        self.form()
        for fault in self.faults:
            self.at(fault.at, self._injector.inject, fault)
        end = self.settings.fault_seconds + 1.0
        self.run_until(end)
        self.heal()
        self.run_until(end + 3.0)
        self.clients_run = False
        self._demand("settle", self._is_settled, end + self.settings.quiet_seconds)
        probes = self._probe()
        self._demand(
            "write through every member",
            lambda: all(probe.status == "ok" for probe in probes),
            self.now + self.settings.quiet_seconds,
        )
        self._demand("settle again", self._is_settled, self.now + self.settings.quiet_seconds)

    def form(self) -> None:
        """Start the initial members and their clients."""
        self.usual_network()
        initial = list(self.nodes.values())[: self.settings.members]
        for node in initial:
            node.form()
        members = tuple(Member(n.server_id, n.uid, MemberKind.VOTER) for n in initial)
        for node in initial:
            node.initial = Configuration(members)
            node.machine_version = node.random.randint(1, NEWEST_VERSION)
            node.start()
        first = initial[0].server
        assert first is not None, "nothing goes wrong at the beginning"
        initial[0].later(0.01, first.arrive, TriggerElection())
        for client in self._clients:
            self.after(0.1 + self.random.random() * 0.2, client.next)

    def usual_network(self) -> None:
        """Make the network as bad as it usually is; a good one once all is healed."""
        conditions = NetworkConditions()
        if not self.is_healed:
            conditions.duplication = self.settings.duplication
            conditions.loss = self.settings.loss
        self.network.conditions = conditions

    def heal(self) -> None:
        """End all faults: a good network, good disks, right clocks, everybody up."""
        self.note("heal")
        self.is_healed = True
        register_procedures()
        self.network.heal()
        for node in self.nodes.values():
            node.disk.recover_health()
            node.slowness = 1.0
            node.clock.set_rate(self.now, 1.0)
            if node.uid and not node.needs_wipe:
                node.start()
            if node.server is not None:
                node.server.resume()
        for node in self.nodes.values():
            # A new cluster waits to be told to elect; whoever forms it tells it until it has.
            if node.server is not None and node.server.core.term == 0:
                node.later(0.01, node.server.arrive, TriggerElection())

    def _demand(self, what: str, is_so: Callable[[], bool], deadline: float) -> None:
        while not is_so():
            if self.now >= deadline:
                raise NoProgressError(f"I15: the cluster did not {what}: {self._describe()}")
            self._keep_up()
            self.run_until(self.now + _LOOK_SECONDS)

    def _keep_up(self) -> None:
        """Do what an operator does with processes that end."""
        for node in self.nodes.values():
            if node.uid and not node.is_up and not node.needs_wipe:
                node.start()

    def _is_settled(self) -> bool:
        leader = self.leader()
        if leader is None or not self.operator.is_idle or self.is_disk_lost:
            return False
        end = leader.core.last_index
        for member in leader.core.configuration.members:
            server = self.nodes[member.server_id.node].server
            if (
                server is None
                or server.machine.view.index != end
                or server.core.last_written != end
                or not server.node.segment_writer.is_idle
                or server.pump.has_work
                or server.pump.origin.has_something_in_flight
                or (member.kind is MemberKind.PROMOTABLE)
                or (server.core.leader != leader.node.server_id)
                or server.machine.view.state.triggers.actions
            ):
                return False
        return True

    def _probe(self) -> list[Operation]:
        """Write something through every member."""
        leader = self.leader()
        assert leader is not None, "the cluster is settled"
        members = {member.server_id.node for member in leader.core.configuration.members}
        probes: list[Operation] = []
        for name in sorted(members):
            client = Client(self, self.nodes[name], random.Random(f"{self.seed}/{name}/probe"))
            probes.append(client.begin("put", "0"))
        return probes

    def _describe(self) -> str:
        lines: list[str] = []
        for node in self.nodes.values():
            server = node.server
            if server is None:
                lines.append(f"{node.name} is down{' (damaged)' if node.needs_wipe else ''}")
                continue
            core = server.core
            lines.append(
                f"{node.name} {core.role.value} term {core.term} log {core.last_index}"
                f" written {core.last_written} commit {core.commit_index}"
                f" applied {server.machine.view.index} leader {core.leader}"
                f" in flight {len(server.pump.origin.tickets())} members"
                f" {[(m.server_id.node, m.kind.name) for m in core.configuration.members]}"
            )
        return "; ".join(lines) + f"; operator idle: {self.operator.is_idle}"


class _Nobody:
    """A ticket nobody waits for."""

    def resolve(self, answer: object, index: int) -> None:
        """Take no notice."""
