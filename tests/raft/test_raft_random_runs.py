"""Random faults from a seed: loss, doubling, delay, cuts, crashes, snapshots, changing members.

The real simulator has the real log and machine; this one has the core alone and runs in a
fraction of a second. After the chaos everything heals, and then a leader, a new write and equal
machines are demanded. Reads are checked all the time, those by a lease too: an index given for a
read is never below what was committed anywhere when the read was asked for. Clocks are wrong by a
fifth.
"""

from __future__ import annotations

import random

import pytest

from khepri.raft.effects import ReadReady
from khepri.raft.events import (
    AddMember,
    LogRecovered,
    LogWriteFailed,
    RemoveMember,
    TransferLeadership,
    TriggerElection,
)
from khepri.raft.settings import RaftSettings
from khepri.raft.types import Configuration, MemberKind
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_notation import member, sid

SETTINGS = RaftSettings(
    trailing_entries=5,
    trailing_bytes=1000,
    snapshot_chunk_bytes=300,
    snapshot_timeout_seconds=3.0,
    max_append_entries=4,
    max_inflight_messages=3,
    promotion_lag_entries=8,
)


class RandomRun:
    """One run; the seed decides everything."""

    def __init__(self, seed: int, names: str) -> None:
        self.random = random.Random(seed)
        self.cluster = Cluster(names, seed=seed, settings=SETTINGS)
        # As wrong as the leader's lease allows.
        self.cluster.clock_rates = {name: self.random.choice((0.8, 1.0, 1.2)) for name in names}
        self.spare = list("XYZ") if len(names) > 1 else []
        self.writes = 0
        self.reads: dict[tuple[str, int], int] = {}
        self.actions = [
            (50, self.write),
            (20, self.read),
            (6, self.crash),
            (12, self.restart),
            (5, self.isolate),
            (6, self.mend),
            (6, self.snapshot),
            (4, self.add_member),
            (3, self.remove_member),
            (3, self.transfer),
            (2, self.trigger),
            (3, self.disk_trouble),
        ]

    def run(self, seconds: float) -> None:
        cluster = self.cluster
        cluster.elect("A")
        cluster.delay = self.delay
        end = cluster.now + seconds
        weights = [weight for weight, _ in self.actions]
        while cluster.now < end:
            cluster.run_for(self.random.random() * 0.15)
            (action,) = self.random.choices(self.actions, weights)
            action[1]()
            self.check_reads()
        self.heal()

    def delay(self, _sender: str, _target: str, _message: object) -> list[float]:
        luck = self.random.random()
        if luck < 0.1:
            return []
        if luck < 0.2:
            return [self.random.random() * 2, self.random.random() * 0.01]
        if luck < 0.25:
            return [0.001, 0.002, 0.003]
        return [0.001 + self.random.random() * 0.01]

    # --- what happens ----------------------------------------------------------------------

    def somebody(self) -> str:
        return self.random.choice(sorted(self.cluster.nodes))

    def leader_or_somebody(self) -> str:
        leader = self.cluster.leader
        return leader.name if leader and self.random.random() < 0.7 else self.somebody()

    def write(self) -> None:
        for _ in range(self.random.randrange(4)):
            self.writes += 1
            self.cluster.put(self.leader_or_somebody(), b"%d" % self.writes)

    def read(self) -> None:
        name = self.leader_or_somebody()
        ticket = len(self.reads)
        self.reads[name, ticket] = max(n.core.commit_index for n in self.cluster.nodes.values())
        self.cluster.read(name, ticket)

    def check_reads(self) -> None:
        for node in self.cluster.nodes.values():
            for effect in node.history:
                if isinstance(effect, ReadReady) and isinstance(effect.ticket, int):
                    assert effect.index >= self.reads[node.name, effect.ticket], "a stale read"
            node.history.clear()

    def crash(self) -> None:
        alive = sorted(node.name for node in self.cluster.alive)
        if len(alive) > 1 or self.random.random() < 0.5:
            self.cluster.crash(self.random.choice(alive or ["A"]))

    def restart(self) -> None:
        if self.cluster.dead:
            self.cluster.restart(self.random.choice(sorted(self.cluster.dead)))

    def isolate(self) -> None:
        self.cluster.isolate(self.somebody())

    def mend(self) -> None:
        self.cluster.cut_links = set()

    def snapshot(self) -> None:
        node = self.cluster[self.somebody()]
        busy = node.core._server.receiver.installing
        if node.name in self.cluster.dead or not node.machine or busy:
            return
        taken = node.disk.snapshot
        if taken is None or node.machine[-1].index > taken.index:
            node.take_snapshot()

    def add_member(self) -> None:
        leader = self.cluster.leader
        if self.spare and leader is not None:
            name = self.spare.pop()
            self.cluster.add(name, Configuration())
            newcomer = member(name, MemberKind.PROMOTABLE)
            self.cluster.tell(leader.name, AddMember(newcomer, "add"))

    def remove_member(self) -> None:
        leader, name = self.cluster.leader, self.somebody()
        if leader is not None and name in "XYZ":
            self.cluster.tell(leader.name, RemoveMember(sid(name), "remove"))

    def transfer(self) -> None:
        self.cluster.tell(
            self.leader_or_somebody(), TransferLeadership(sid(self.somebody()), "transfer")
        )

    def trigger(self) -> None:
        self.cluster.tell(self.somebody(), TriggerElection())

    def disk_trouble(self) -> None:
        name = self.somebody()
        if name not in self.cluster.dead:
            self.cluster[name].unsynced.clear()
            self.cluster.tell(name, LogWriteFailed("no space"))
            self.cluster.tell_later(name, LogRecovered(), self.random.random())

    # --- the end ---------------------------------------------------------------------------

    def members(self) -> list[str]:
        leader = self.cluster.leader
        assert leader is not None
        return [m.server_id.node for m in leader.core.configuration.members]

    def settled(self) -> bool:
        leader = self.cluster.leader
        return leader is not None and all(
            node.core.term == leader.core.term
            and node.core.leader == sid(leader.name)
            and node.core.last_applied == leader.core.last_index
            and node.core.last_written == leader.core.last_index
            for node in map(self.cluster.__getitem__, self.members())
        )

    def heal(self) -> None:
        cluster = self.cluster
        cluster.heal()
        for name in sorted(cluster.dead):
            cluster.restart(name)
        cluster.run_until(self.settled, 90)
        cluster.run_for(3)  # transfers and changes under way come to their end
        cluster.run_until(self.settled, 30)
        cluster.write(b"final")
        cluster.run_until(self.settled, 30)
        leader = cluster.leader
        assert leader is not None
        for name in self.members():
            assert cluster[name].machine == leader.machine


@pytest.mark.parametrize("names", ["A", "AB", "ABC", "ABCDE"])
@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_the_invariants_hold_and_service_returns(seed: int, names: str) -> None:
    RandomRun(seed, names).run(10.0)
