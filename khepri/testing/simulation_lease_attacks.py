"""Faults made to order against leases: each tries to have another leader elected too early.

By chance alone the many things that must come together hardly do within a lease. Each attack aims
at one way to break the promise that a lease rests on (`khepri/raft/lease.py`); while the promise
is kept, all of them are harmless.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeAlias

from khepri.raft import events as event

if TYPE_CHECKING:
    from collections.abc import Callable

    from .simulation import Simulation
    from .simulation_fault import Fault
    from .simulation_node import SimulatedNode
    from .simulation_server import SimulatedServer

Attack: TypeAlias = "Callable[[SimulatedServer, list[SimulatedNode], random.Random], float]"

RESTART_SECONDS = 0.02
"""How soon a process is back that is to forget its promise."""


class LeaseAttacks:
    """Does one attack after the other to a simulation."""

    def __init__(self, world: Simulation) -> None:
        """Be ready."""
        self._world = world

    def inject(self, fault: Fault) -> None:
        """Do one attack, if there is a leader with others to elect another one."""
        leader = self._world.leader()
        if leader is None:
            return
        voters = sorted(leader.core.configuration.voters)
        others = [
            self._world.nodes[voter.node] for voter in voters if voter != leader.node.server_id
        ]
        if not others:
            return
        one = random.Random(f"{fault.who}/{fault.measure}")
        attacks: list[Attack] = [
            self._slow_clock,
            self._forgetful_voters,
            self._early_candidate,
            self._late_transfer,
            self._late_answers,
            self._sleeping_leader,
        ]
        attack = attacks[int(fault.measure * len(attacks))]
        one.shuffle(others)
        begins_seconds = attack(leader, others, one)
        if attack != self._sleeping_leader:
            self._world.after(begins_seconds, self._isolate, leader.node, 0.5 + fault.seconds)

    # --- the attacks: each gives in how many seconds the leader is cut off

    def _slow_clock(
        self, leader: SimulatedServer, others: list[SimulatedNode], one: random.Random
    ) -> float:
        """The leader's clock is as slow as may be, all others as fast."""
        del one
        now, settings = self._world.now, self._world.settings
        leader.node.clock.set_rate(now, settings.slowest_clock)
        for node in others:
            node.clock.set_rate(now, settings.fastest_clock)
        return 0.05

    def _forgetful_voters(
        self, leader: SimulatedServer, others: list[SimulatedNode], one: random.Random
    ) -> float:
        """One member wants an election; the others, who refuse, are restarted.

        It can win only if its log is complete, so nobody writes while it waits.
        """
        seconds = 0.7 + one.random() * 0.6
        self._world.quiet_until = self._world.now + seconds
        self._world.after(0.1, self._cut_between, leader.node, others[0], 3.0)
        for node in others[1:]:
            self._world.after(seconds, self._restart, node)
        return seconds

    def _early_candidate(
        self, leader: SimulatedServer, others: list[SimulatedNode], one: random.Random
    ) -> float:
        """One member alone hears the leader, and is told to campaign."""
        for node in others[1:]:
            self._cut_between(leader.node, node, 3.0)
        seconds = 0.7 + one.random() * 0.3
        self._world.after(seconds + 0.001, self._trigger, others[0])
        return seconds

    def _late_transfer(
        self, leader: SimulatedServer, others: list[SimulatedNode], one: random.Random
    ) -> float:
        """The leader is cut off when it has just told another member to campaign."""
        request = event.TransferLeadership(others[0].server_id, self._world.nobody)
        leader.node.later(0.0, leader.arrive, request)
        seconds = one.choice((0.0003, 0.001, 0.003))
        back = [(node.name, leader.node.name) for node in others]
        self._cut(back, 2.0)
        return seconds

    def _late_answers(
        self, leader: SimulatedServer, others: list[SimulatedNode], one: random.Random
    ) -> float:
        """What the others have answered long ago arrives when they do not hear the leader."""
        network, name = self._world.network, leader.node.name
        for node in others:
            network.clog((node.name, name))
            self._world.after(0.45 + one.random() * 0.1, network.unclog, (node.name, name))
        ways = [(name, node.name) for node in others]
        self._world.after(0.1, self._cut, ways, 2.0)
        return 0.6

    def _sleeping_leader(
        self, leader: SimulatedServer, others: list[SimulatedNode], one: random.Random
    ) -> float:
        """The leader's machine is suspended while the others elect a successor."""
        del others
        leader.node.suspend(0.5 + one.random() * 2)
        return 0.0

    # --- what they need

    def _isolate(self, node: SimulatedNode, seconds: float) -> None:
        others = [name for name in self._world.nodes if name != node.name]
        self._cut([(node.name, other) for other in others], seconds)
        self._cut([(other, node.name) for other in others], seconds)

    def _cut_between(self, one: SimulatedNode, other: SimulatedNode, seconds: float) -> None:
        self._cut([(one.name, other.name), (other.name, one.name)], seconds)

    def _cut(self, links: list[tuple[str, str]], seconds: float) -> None:
        network = self._world.network
        network.cut(links)
        self._world.after(seconds, network.mend, links)

    def _restart(self, node: SimulatedNode) -> None:
        if node.is_up:
            node.die(power_loss=False)
            self._world.after(RESTART_SECONDS, node.start)

    def _trigger(self, node: SimulatedNode) -> None:
        if node.server is not None:
            node.later(0.0, node.server.arrive, event.TriggerElection())
