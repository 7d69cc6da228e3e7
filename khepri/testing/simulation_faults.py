"""What goes wrong in a simulated run: a schedule of faults, made from a seed, as plain data.

A fault says when, what, and two numbers in [0, 1) that choose the victim and the measure when it
is injected. So a schedule can be printed, cut down to the faults that matter, and run again.

What is never done: more than one node at a time loses its disk, or has it damaged, and only while
the others are enough to go on: Raft promises nothing beyond that.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from khepri.raft import events as event
from khepri.raft.types import MemberKind

from .simulation_call_faults import CallFaults, plan_call_faults
from .simulation_disk import CHANGING
from .simulation_fault import Fault
from .simulation_lease_attacks import LeaseAttacks
from .simulation_network import NetworkConditions
from .simulation_operator import Wish

if TYPE_CHECKING:
    from collections.abc import Callable

    from .simulation import Simulation
    from .simulation_node import SimulatedNode
    from .simulation_settings import SimulationSettings


WEIGHTS = {
    "power_loss": 7,
    "process_death": 4,
    "death_inside": 10,
    "leader_death": 4,
    "all_die": 1,
    "server_crash": 2,
    "stall": 4,
    "slow_disk": 3,
    "io_errors": 5,
    "read_errors": 2,
    "disk_full": 3,
    "bit_rot": 2,
    "lost_disk": 2,
    "partition": 6,
    "isolated_leader": 3,
    "one_way_cut": 4,
    "clog": 3,
    "bad_network": 6,
    "clock_rate": 3,
    "suspend": 3,
    "lease_attack": 4,
    "wall_clock_jump": 1,
    "add_member": 3,
    "remove_member": 2,
    "transfer": 3,
    "trigger": 2,
    "snapshot": 3,
}
"""How often each kind is chosen, relative to the others."""


def plan_faults(
    seed: int, settings: SimulationSettings, *, has_favourites: bool = True
) -> list[Fault]:
    """Give the schedule that belongs to a seed and settings.

    Args:
        seed: any number.
        settings: how long and how dense.
        has_favourites: whether each seed leaves some kinds out and does some others often:
            many different kinds of bad luck find more than one that is always the same.
    """
    one = random.Random(f"{seed}/faults")
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    if has_favourites:
        weights = [weight * one.choice((0, 1, 1, 8)) for weight in weights]
        # A leader that does not know it is deposed is what reads are most in danger of.
        weights[kinds.index("isolated_leader")] += 8
        weights[kinds.index("lease_attack")] += 4
    count = int(settings.fault_seconds * settings.faults_per_second)
    faults = [
        Fault(
            at=round(0.5 + one.random() * settings.fault_seconds, 4),
            kind=one.choices(kinds, weights)[0],
            who=min(round(one.random(), 4), 0.9999),
            measure=min(round(one.random(), 4), 0.9999),
            seconds=round(one.choice((0.05, 0.3, 1.0, 2.0, 4.0)) * (0.5 + one.random()), 3),
        )
        for _ in range(count)
    ]
    return sorted(faults + plan_call_faults(seed, settings))


def plan_lease_attacks(seed: int, settings: SimulationSettings) -> list[Fault]:
    """Give a schedule of hardly anything but attacks on leases; for `under_lease_attack`."""
    one = random.Random(f"{seed}/lease attacks")
    faults: list[Fault] = []
    at = 0.5
    while at < settings.fault_seconds:
        kind = one.choice(("lease_attack",) * 8 + ("clock_rate", "process_death", "add_member"))
        # One who starts alone is joined by others first.
        if settings.members + len(faults) < 3:  # noqa: PLR2004
            kind = "add_member"
        faults.append(Fault(round(at, 4), kind, one.random(), one.random(), 0.5 + one.random()))
        at += 0.8 if kind == "add_member" else 2.0 + one.random() * 1.5
    return faults


class FaultInjector:
    """Does to a simulation what a schedule says."""

    def __init__(self, world: Simulation) -> None:
        """Be ready."""
        self._world = world
        self._lease_attacks = LeaseAttacks(world)
        self._call_faults = CallFaults(world)

    def inject(self, fault: Fault) -> None:
        """Do one fault, if there is somebody to do it to."""
        handler: Callable[[Fault], None] = getattr(
            self, "_" + fault.kind, self._call_faults.inject
        )
        self._world.fault_counts[fault.kind] = self._world.fault_counts.get(fault.kind, 0) + 1
        self._world.note(fault.kind)
        handler(fault)

    # --- victims

    def _up(self) -> list[SimulatedNode]:
        return [node for node in self._world.nodes.values() if node.is_up]

    def _victim(self, fault: Fault) -> SimulatedNode | None:
        up = self._up()
        return up[int(fault.who * len(up))] if up else None

    def _may_lose_a_disk(self, node: SimulatedNode) -> bool:
        """Tell whether the others can go on without this node's disk for ever."""
        world = self._world
        leader = world.leader()
        if leader is None or not world.operator.is_idle or world.is_disk_lost:
            return False
        configuration = leader.core.configuration
        voters = configuration.voters
        others_fine = all(world.nodes[voter.node].uid for voter in voters)
        waiting = [m for m in configuration.members if m.kind is not MemberKind.VOTER]
        return len(voters) >= 3 and node.server_id in voters and others_fine and not waiting  # noqa: PLR2004

    # --- lives

    def _kill(self, node: SimulatedNode, fault: Fault, *, power_loss: bool) -> None:
        if node.is_up:
            node.die(power_loss=power_loss)
            self._world.after(fault.seconds, node.start)

    def _power_loss(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None:
            self._kill(node, fault, power_loss=True)

    def _process_death(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None:
            self._kill(node, fault, power_loss=False)

    def _death_inside(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None:
            node.disk.die_at(1 + int(fault.measure**2 * 60))

    def _leader_death(self, fault: Fault) -> None:
        leader = self._world.leader()
        if leader is not None:
            self._kill(leader.node, fault, power_loss=fault.measure < 0.7)  # noqa: PLR2004

    def _all_die(self, fault: Fault) -> None:
        for node in self._up():
            self._kill(node, fault, power_loss=True)

    def _server_crash(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None and node.server is not None:
            node.crash_server()

    def _stall(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None and node.server is not None:
            node.server.stall(fault.seconds)

    # --- disks

    def _slow_disk(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None:
            node.slowness = 1 + fault.measure * 200
            self._world.after(fault.seconds, setattr, node, "slowness", 1.0)

    def _io_errors(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None:
            names = CHANGING if int(fault.measure * 97) % 2 else frozenset({"fdatasync"})
            node.disk.fail_next(1 + int(fault.measure * 6), names)

    def _read_errors(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None:
            node.disk.fail_next(1 + int(fault.measure * 3), frozenset({"pread"}))
            self._kill(node, fault, power_loss=False)

    def _disk_full(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None:
            node.disk.leave_room(int(fault.measure * 8192))
            self._world.after(fault.seconds, node.disk.give_room)

    def _bit_rot(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is None or not self._may_lose_a_disk(node):
            return
        self._kill(node, fault, power_loss=False)
        files = sorted((path, data) for path, data in node.disk.contents().items() if data)
        path, data = files[int(fault.measure * len(files))]
        used = len(data.rstrip(b"\0")) or len(data)
        node.disk.flip(path, int(fault.measure * 7919) % used, 1 << int(fault.measure * 97) % 8)
        node.disk.is_rotten = True
        self._world.lost_disk(node)

    def _lost_disk(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is None or not self._may_lose_a_disk(node):
            return
        node.die(power_loss=True)
        node.wipe()
        self._world.lost_disk(node)

    # --- the network

    def _links(self, fault: Fault) -> list[tuple[str, str]]:
        """Give the directions that a partition of some shape cuts."""
        names = list(self._world.nodes)
        one = random.Random(f"{fault.who}/{fault.measure}")
        shape = one.randrange(5)
        groups = {name: one.randrange(3 if shape == 1 else 2) for name in names}
        if shape == 0:  # one alone
            alone = one.choice(names)
            groups = {name: int(name == alone) for name in names}
        pairs = [(a, b) for a in names for b in names if a != b]
        if shape == 3:  # noqa: PLR2004 - a ring: each sees its two neighbours
            place = {name: position for position, name in enumerate(names)}
            near = {1, len(names) - 1}
            return [(a, b) for a, b in pairs if abs(place[a] - place[b]) not in near]
        cut = [(a, b) for a, b in pairs if groups[a] != groups[b]]
        if shape == 4:  # noqa: PLR2004 - a bridge: one sees both sides
            bridge = one.choice(names)
            return [pair for pair in cut if bridge not in pair]
        return cut

    def _cut(self, links: list[tuple[str, str]], seconds: float) -> None:
        network = self._world.network
        network.cut(links)
        self._world.after(seconds, network.mend, links)

    def _partition(self, fault: Fault) -> None:
        self._cut(self._links(fault), fault.seconds)

    def _isolated_leader(self, fault: Fault) -> None:
        leader = self._world.leader()
        if leader is not None:
            me = leader.node.name
            others = [name for name in self._world.nodes if name != me]
            away, back = [(me, o) for o in others], [(o, me) for o in others]
            chosen = (away + back, away, back)[int(fault.measure * 3)]
            self._cut(chosen, fault.seconds)

    def _one_way_cut(self, fault: Fault) -> None:
        names = list(self._world.nodes)
        pairs = [(a, b) for a in names for b in names if a != b]
        if pairs:
            self._cut([pairs[int(fault.who * len(pairs))]], fault.seconds)

    def _clog(self, fault: Fault) -> None:
        names = list(self._world.nodes)
        pairs = [(a, b) for a in names for b in names if a != b]
        if pairs:
            link = pairs[int(fault.who * len(pairs))]
            self._world.network.clog(link)
            self._world.after(fault.seconds, self._world.network.unclog, link)

    def _bad_network(self, fault: Fault) -> None:
        one = random.Random(f"{fault.who}/{fault.measure}")
        network = self._world.network
        network.conditions = NetworkConditions(
            jitter_seconds=one.choice((0.002, 0.02, 0.2)),
            loss=one.choice((0.0, 0.05, 0.3)),
            duplication=one.choice((0.0, 0.05, 0.3)),
            delay_tail=one.choice((0.0, 0.05, 0.3)),
            delay_tail_seconds=one.choice((0.1, 1.0, 5.0)),
        )
        self._world.after(fault.seconds, self._world.usual_network)

    # --- clocks

    def _clock_rate(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None:
            settings = self._world.settings
            slowest, fastest = settings.slowest_clock, settings.fastest_clock
            node.clock.set_rate(self._world.now, slowest + fault.measure * (fastest - slowest))

    def _suspend(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None:
            node.suspend(fault.seconds)

    def _lease_attack(self, fault: Fault) -> None:
        self._lease_attacks.inject(fault)

    def _wall_clock_jump(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None:
            node.clock.wall_offset_seconds += (fault.measure - 0.3) * 4000

    # --- the operator

    def _add_member(self, fault: Fault) -> None:
        spare = [node for node in self._world.nodes.values() if not node.uid]
        if spare and not self._world.is_disk_lost and self._world.operator.is_idle:
            kind = MemberKind.NON_VOTER if fault.measure < 0.1 else MemberKind.PROMOTABLE  # noqa: PLR2004
            self._world.operator.want(Wish("add", spare[0].name, kind))

    def _remove_member(self, fault: Fault) -> None:
        leader = self._world.leader()
        if leader is None or self._world.is_disk_lost or not self._world.operator.is_idle:
            return
        members = leader.core.configuration.members
        if len(leader.core.configuration.voters) > 1:
            member = members[int(fault.who * len(members))]
            self._world.operator.want(Wish("remove", member.server_id.node))

    def _transfer(self, fault: Fault) -> None:
        leader = self._world.leader()
        if leader is not None:
            voters = [None, *sorted(leader.core.configuration.voters)]
            target = voters[int(fault.who * len(voters))]
            request = event.TransferLeadership(target, self._world.nobody)
            leader.node.later(0.0, leader.arrive, request)

    def _trigger(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None and node.server is not None:
            node.later(0.0, node.server.arrive, event.TriggerElection())

    def _snapshot(self, fault: Fault) -> None:
        node = self._victim(fault)
        if node is not None and node.server is not None:
            node.server.cadence.take_now()
